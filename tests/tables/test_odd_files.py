"""Tables as people have them: what reaches the network, and what is said of the rest."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from odd_files import CASES

from sklearn_fairprune.cli import main
from sklearn_fairprune.datasets import read_table
from sklearn_fairprune.tables.preparation import make_preprocessing

torch.set_num_threads(1)


def test_there_are_many_and_none_twice():
    names = [case.kind for case in CASES]
    assert len(names) == len(set(names)) == 132  # as the README says


def of_cases(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.kind)


@of_cases([case for case in CASES if case.error])
def test_what_is_no_task_is_refused(case, tmp_path):
    path = case.put(tmp_path)
    with pytest.raises(ValueError, match=case.error):
        read_table(path, case.target, case.sensitive, **case.options)


@of_cases([case for case in CASES if not case.error])
def test_a_file_is_read_as_it_is_written(case, tmp_path):
    path = case.put(tmp_path)
    data = read_table(path, case.target, case.sensitive, **case.options)
    notes = "\n".join(data.notes)
    for words in case.says:
        assert words in notes
    for words in case.silent:
        assert words not in notes
    if case.seen is not None:
        assert list(data.X) == case.seen
    for name, kind in case.kinds.items():
        assert data.reading.loc[name, "holds"] == kind
    if case.groups is not None:
        assert set(data.sensitive[case.sensitive[0]]) == case.groups
    assert case.check is None or case.check(data)
    everything_is_counted(data)


def everything_is_counted(data):
    """Each column is in the reading, and all that are not seen are in the notes."""
    reading, notes = data.reading, "\n".join(data.notes)
    assert data.y.dtype != object
    assert set(data.X) <= set(reading.index)
    out = reading.index[reading["used_as"] == "left out"]
    assert all(name in notes for name in out)
    assert ((reading["why"] != "") == (reading["used_as"] == "left out")).all()
    assert len(reading) == len(out) + len(set(data.X) | set(data.sensitive)) + 1
    seen = reading[reading["used_as"].isin(["seen", "group, seen"])]
    for name in data.X:
        lost = seen.loc[name, "missing"] + seen.loc[name, "unread"]
        assert data.X[name].isna().sum() == lost
    made = make_preprocessing(data.X).fit_transform(data.X)
    assert np.isfinite(made).all()
    assert not data.sensitive.isna().any(axis=None)


QUICK = ["--sparsities", "0.5", "--hidden", "4", "--finetune-epochs", "1"]


@pytest.mark.slow
@of_cases(CASES)
def test_no_file_ends_in_a_traceback(case, tmp_path, capsys):
    path, options = case.put(tmp_path), case.options
    quoted = ",".join(f'"{name}"' for name in case.sensitive)
    command = ["audit", "--data", str(path), "--target", case.target, "--sensitive", quoted]
    for name in ("sep", "encoding", "decimal"):
        command += [f"--{name}", options[name]] if name in options else []
    command += ["--na", ",".join(options["na"])] if "na" in options else []
    command += ["--keep-sensitive"] if "keep_sensitive" in options else []
    status = main([*command, *QUICK, "--out", str(tmp_path / "out")])
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    if case.error:
        assert status == 2
        assert re.search(case.error, told.err)
    else:
        assert status == 0
        assert all(words in told.out for words in case.says)
        reading = pd.read_csv(tmp_path / "out" / "reading.csv")
        assert set(reading["used_as"]) <= {
            "seen",
            "group",
            "group, seen",
            "target",
            "left out",
        }
