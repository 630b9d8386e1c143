"""Two forms take turns, for as long as the budget lasts."""

from sklearn_fairprune.engine.timing import Clock


def test_the_clock_takes_turns_within_its_budget():
    calls = []
    clock = Clock((1, 4, 1000, 2000), 10.0, 0.05)
    found = clock.seconds(
        lambda X: calls.append(("dense", X)), lambda X: calls.append(("sparse", X)), int, 50
    )
    assert list(found) == [1, 4, 50]  # 2000 is no more than memory allows, too
    assert [name for name, _ in calls[:4]] == ["dense", "sparse", "dense", "sparse"]
    assert {X for _, X in calls} == {1, 4, 50}
    assert Clock((1, 2), 0, 0.1).seconds(abs, abs, int, 9).keys() == {1}


def test_slower_and_faster_are_beyond_the_tolerance():
    clock = Clock((1,), 1.0, 0.05)
    seconds = {1: (1.0, 1.06), 2: (1.0, 1.04), 3: (1.0, 0.96), 4: (1.0, 0.9)}
    assert clock.slower(seconds) == [1]
    assert clock.faster(seconds) == [4]
