"""A column of weights: read as it is written, seen by no network, and counted."""

import numpy as np
import pandas as pd
import pytest
import torch

from sklearn_fairprune import audit_predictions
from sklearn_fairprune.cli import main
from sklearn_fairprune.datasets import read_table
from sklearn_fairprune.report import AuditReport
from sklearn_fairprune.tables.weights import weight_values

torch.set_num_threads(1)
RNG = np.random.default_rng(0)
N = 300
TABLE = pd.DataFrame(
    {
        "paid": RNG.choice(["yes", "no"], N),
        "sex": RNG.choice(["f", "m"], N),
        "income": RNG.normal(size=N).round(3),
        "wgt": RNG.lognormal(size=N).round(4),
    }
)
TABLE["dense"] = TABLE["paid"]
TABLE["pruned"] = TABLE["paid"].where(RNG.random(N) < 0.7, "no")


def put(folder, table=TABLE, **options):
    path = folder / "loans.csv"
    table.to_csv(path, index=False, **options)
    return path


def test_weights_of_rows_without_a_target_are_left_out(tmp_path):
    table = TABLE.assign(paid=TABLE["paid"].where(TABLE["income"] > -1))
    data = read_table(put(tmp_path, table), "paid", ["sex"], sample_weight="wgt")
    known = table["paid"].notna().to_numpy()
    np.testing.assert_array_equal(data.sample_weight, table["wgt"][known])
    assert "wgt" not in data.X
    line = data.reading.loc["wgt"]
    assert (line["used_as"], line["holds"], line["rows"]) == ("weight", "numbers", known.sum())
    assert read_table(put(tmp_path), "paid").sample_weight is None


def test_weights_are_read_as_they_are_written(tmp_path):
    path = put(tmp_path, TABLE, sep=";", decimal=",")
    data = read_table(path, "paid", ["sex"], sample_weight="wgt")
    np.testing.assert_array_equal(data.sample_weight, TABLE["wgt"])


@pytest.mark.parametrize("mode", ["predictions", "training"])
def test_the_command_weighs_the_held_out_rows(mode, tmp_path, capsys):
    table = TABLE.assign(wgt=TABLE["wgt"].where(np.arange(N) > 2, 0))
    command = ["audit", "--data", str(put(tmp_path, table)), "--target", "paid"]
    command += ["--sensitive", "sex", "--sample-weight", "wgt", "--out", str(tmp_path)]
    quick = ["--sparsities", "0.9", "--hidden", "4", "--finetune-epochs", "0"]
    assert (
        main(command + (["--predictions", "dense,pruned"] if mode == "predictions" else quick))
        == 0
    )
    told = capsys.readouterr().out
    assert "Rows are weighted" in told
    report = AuditReport.from_json(tmp_path / "audit.json")
    assert report.about["sample_weight"] == "wgt"
    assert report.reading.loc["wgt", "used_as"] == "weight"
    if mode == "predictions":
        given = {name: TABLE[name].to_numpy() for name in ("dense", "pruned")}
        people = TABLE[["sex"]]
        with pytest.warns(UserWarning, match="effective rows"):
            truth = audit_predictions(
                TABLE["paid"], given, sensitive_features=people, sample_weight=table["wgt"]
            )
        pd.testing.assert_frame_equal(report.by_group, truth.by_group)
        assert report.about["rows_of_weight_0"] == 3
    else:
        assert report.about["rows"] + report.about.get("rows_of_weight_0", 0) == 90


def test_help_says_that_weights_are_not_trained_with(capsys):
    with pytest.raises(SystemExit):
        main(["audit", "--help"])
    assert "not trained with" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1", "lots"], "'w' must be finite numbers of at least 0, got 'lots' \\(1 of 2"),
        (["1", None], "got an empty cell"),
        (["1", "-2"], "got '-2'"),
        ([1.0, -2.0], "got -2.0"),
        ([1.0, np.inf], "got inf"),
        (pd.to_datetime(["2020-01-01", "2020-01-02"]), "must be numbers, and it holds dates"),
    ],
)
def test_cells_that_are_no_weights_are_refused(cells, message):
    with pytest.raises(ValueError, match=message):
        weight_values(pd.Series(cells), "w")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sample-weight", "nope"], "has no column 'nope'"),
        (["--sample-weight", "paid"], "'paid' cannot be target or group as well"),
        (["--sample-weight", "sex", "--predictions", "dense,pruned"], "once only"),
    ],
)
def test_columns_that_cannot_weigh_are_refused(options, message, tmp_path, capsys):
    command = ["audit", "--data", str(put(tmp_path)), "--target", "paid", "--sensitive", "sex"]
    assert main(command + options) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("data", ["mortgage", "digits"])
def test_data_of_the_package_have_no_weights(data, capsys):
    assert main(["audit", "--data", data, "--sample-weight", "wgt"]) == 2
    assert f"--sample-weight: for a file, not for {data}." in capsys.readouterr().err
