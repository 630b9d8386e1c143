"""Sentences on costs: each where it is true, and not where it would be false."""

import numpy as np
import pandas as pd
import pytest

from sklearn_fairprune.measurement.cost_sentences import TOLERATED, cost_sentences

NAMES = ["dense", "half", "small"]
OVERALL = pd.DataFrame(index=NAMES)
SIZES = pd.DataFrame(
    {
        "weights": [100, 100, 40],
        "kept": [100, 50, 40],
        "macs": [1200, 1200, 400],
        "bytes": [480, 480, 200],
    },
    index=NAMES,
)
NOTE = "neither faster nor smaller in memory"


def timed(*limits, batch=1, names=("half", "small")):
    """Latency of models with these speed-ups: low, median, high."""
    rows = [(1.0, 1.0, 1.0), *limits]
    index = [(name, batch) for name in ("dense", *names)]
    columns = ["speed_up_low", "speed_up", "speed_up_high"]
    index = pd.MultiIndex.from_tuples(index, names=["model", "batch"])
    return pd.DataFrame(rows, index=index, columns=columns)


def told(sizes=SIZES, latency=None, names=NAMES):
    return cost_sentences(OVERALL.loc[names], sizes.loc[names], latency)


def test_masked_networks_are_told_once_and_by_name_if_others_are_not():
    fewer, note = told()
    assert fewer == (
        "small takes 3 times fewer multiply-accumulates of a row than dense, 400 in the place "
        "of 1,200."
    )
    assert note.startswith(
        f"Weights set to zero make a network {NOTE}: `macs` and `bytes` of "
    )
    assert "`bytes` of half are those of the dense one; call shrink()" in note
    (note,) = told(names=["dense", "half"])
    assert "`macs` and `bytes` are those of the dense one; call shrink()" in note


@pytest.mark.parametrize(
    "change",
    [
        {"kept": 100},  # nothing is zero
        {"macs": 1100},  # it is faster
        {"bytes": 300},  # it is smaller
        {"macs": np.nan},  # nobody knows
    ],
    ids=str,
)
def test_what_is_not_masked_is_not_told_to_be(change):
    sizes = SIZES.assign(**{k: SIZES[k].astype(float) for k in change})
    for name, value in change.items():
        sizes.loc["half", name] = value
    sentences = told(sizes, names=["dense", "half"])
    assert not any(NOTE in line for line in sentences)
    assert len(sentences) == ("macs" in change and change["macs"] == 1100)


def test_more_macs_are_not_fewer_and_none_are_none():
    sizes = SIZES.assign(macs=[1200, 1201, 0])
    (line,) = told(sizes)
    assert line.startswith("small takes no multiply-accumulates of a row")


def test_faster_slower_and_neither():
    (_, faster, slower) = told(latency=timed((0.5, 0.625, 0.8), (4.9, 5.2, 5.5)))[0:3]
    lines = {faster, slower}
    assert "small is 5.2 times [4.9, 5.5] faster than dense at batch 1." in lines
    assert "half is 1.6 times [1.25, 2] slower than dense at batch 1." in lines


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        ((0.9, 1.2, 1.5), "no faster"),  # it includes 1
        ((1.01, 1.03, 1 + TOLERATED), "no faster"),  # as copies of one network
        ((1.06, 1.1, 1.2), "faster"),
        ((0.8, 0.9, 0.96), "no faster"),
        ((0.8, 0.9, 0.94), "slower"),
    ],
    ids=str,
)
def test_the_word_follows_from_the_limits(limits, word):
    (line,) = told(latency=timed(limits, names=["half"]), names=["dense", "half"])
    assert ("no faster" in line, "faster" in line, "slower" in line) == (
        word == "no faster",
        "faster" in word,
        word == "slower",
    )


def test_why_it_is_no_faster_is_said_of_masked_networks_alone():
    both = pd.concat([timed((0.9, 1, 1.1), (0.9, 1, 1.1), batch=batch) for batch in (1, 256)])
    lines = told(latency=both)[1:]
    assert lines == [
        "half is no faster than dense at batch 1 and 256: zeros are stored and multiplied "
        "like other numbers; shrink() removes units that do nothing.",
        "small is no faster than dense at batch 1 and 256.",
    ]


def test_what_is_unknown_is_not_told():
    nan = (np.nan,) * 3
    assert told(latency=timed(nan, nan))[1:] == []
    assert told(latency=timed((np.nan, 3.0, np.nan), nan))[1:] == []
    assert told(SIZES.drop(columns="macs")) == []
    assert cost_sentences(OVERALL, SIZES.iloc[1:]) == []
    assert cost_sentences(OVERALL, SIZES.iloc[:1]) == []
    assert cost_sentences(OVERALL, pd.DataFrame()) == []
