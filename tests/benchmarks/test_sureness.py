"""Every group that is named is counted, whatever its size."""

import json

import numpy as np
import pytest
import sureness


@pytest.mark.parametrize("group", [0, 1, 2])
def test_a_group_that_always_pays_is_named(group, monkeypatch):
    monkeypatch.setattr(sureness, "LARGE", [40, 60])
    first = [0, 40, 100, 130][group]
    last = [0, 40, 100, 130][group + 1]

    def draw(rng, n):
        values = rng.normal(size=n)
        values[first:last] += 10
        return values

    counts = sureness.named(draw, 30, 3)
    assert counts[group] == 3
    assert counts.sum() == 3


def test_every_group_of_every_cell_is_scored():
    lines = sureness.summarise({("normal", 9): [0, 30, 1], ("normal", 30): [0, 0, 0]}, 400)
    assert len(lines) == 8
    met = {line["name"]: line["met"] for line in lines}
    assert met["normal, beside a group of 9: group of 185 rows falsely named"]
    assert not met["normal, beside a group of 9: group of 801 rows falsely named"]
    assert met["normal, beside a group of 9: group of 9 rows falsely named"]
    assert not met["normal, beside a group of 9: any group falsely named"]
    assert lines[1]["value"] == 30 / 400
    low, high = json.loads(lines[1]["unit"])
    assert low < 30 / 400 < high


def test_the_script_writes_what_it_counted(results, monkeypatch):
    monkeypatch.setattr(sureness, "SIZES", [9])
    monkeypatch.setattr("sys.argv", ["", "--reports", "2"])
    sureness.main()
    kept = json.loads((results / "sureness.json").read_text())
    assert len(kept["summary"]) == 4 * len(sureness.DRAW)
    assert all(np.shape(v) == (3,) for v in kept["data"].values())
