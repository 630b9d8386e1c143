"""Files in which predictions stand beside the targets."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sklearn_fairprune import audit_predictions
from sklearn_fairprune.cli import main
from sklearn_fairprune.report import AuditReport
from sklearn_fairprune.tables.files import FileOptions
from sklearn_fairprune.tables.scored import read_scored

torch.set_num_threads(1)
rng = np.random.default_rng(0)
N = 400
TABLE = pd.DataFrame(
    {
        "id": range(N),
        "paid": rng.choice(["yes", "no"], N),
        "sex": rng.choice(["f", "m"], N),
        "p0": rng.random(N).round(3),
        "p1": rng.random(N).round(3),
    }
)
TABLE["dense"] = TABLE["paid"].where(TABLE["p0"] < 0.9, "no")
TABLE["pruned"] = TABLE["paid"].where((TABLE["p1"] < 0.6) | (TABLE["sex"] == "m"), "no")


def put(folder, table=TABLE, **options):
    path = Path(folder) / "scored.csv"
    table.to_csv(path, index=False, **options)
    return path


@pytest.mark.parametrize("columns", [["p0", "p1"], ["dense", "pruned"]])
def test_the_command_tells_what_the_function_tells(columns, tmp_path, capsys):
    path = put(tmp_path)
    command = ["audit", "--data", str(path), "--target", "paid", "--sensitive", "sex"]
    command += ["--predictions", ",".join(columns), "--html", str(tmp_path / "page.html")]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "scored: predictions of 400 rows, seed 0" in told
    given = {name: TABLE[name].to_numpy() for name in columns}
    truth = audit_predictions(TABLE["paid"], given, sensitive_features=TABLE[["sex"]])
    assert all(line in told for line in truth.findings)
    report = AuditReport.from_json(tmp_path / "out" / "audit.json")
    pd.testing.assert_frame_equal(report.overall, truth.overall)
    assert set(report.reading.loc[columns, "used_as"]) == {"prediction"}
    assert report.about["target"] == "paid"
    assert "hidden" not in report.about


def test_decimal_commas_missing_targets_and_numbers(tmp_path):
    table = TABLE.assign(price=TABLE["p0"] * 1000, paid=TABLE["paid"].where(TABLE["p0"] > 0.1))
    path = put(tmp_path, table, sep=";", decimal=",")
    data = read_scored(path, "paid", ["p0", "p1"], ["sex"])
    kept = table[table["paid"].notna()]
    assert data.y.tolist() == kept["paid"].tolist()
    np.testing.assert_allclose(data.predictions["p1"], kept["p1"])
    data = read_scored(path, "price", ["p0", "p1"])
    np.testing.assert_allclose(data.y, table["price"])
    assert data.sensitive is None


def test_codes_are_labels_where_the_targets_are_codes(tmp_path):
    turned = {"yes": "01", "no": "1"}
    codes = TABLE.replace({"paid": turned, "dense": turned})
    data = read_scored(put(tmp_path, codes), "paid", ["dense"], ["sex"])
    assert data.predictions["dense"].tolist() == codes["dense"].tolist()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--predictions", "p0,p2"], "scored.csv has no column 'p2'; it has 'id', 'paid'"),
        (
            ["--predictions", "p0,sex"],
            "A column can be used once only, got 'paid', 'p0'",
        ),
        (["--predictions", "p0,holes"], "holes has no prediction in 40 of 400 rows"),
        (["--predictions", "p0,id"], r"predictions\['id'\] must be labels such as those of y"),
        (
            ["--predictions", "p0,p1", "--hidden", "5"],
            "--hidden: with --predictions nothing",
        ),
        (["--predictions", "p0", "--fail-above", "depth=1"], "'depth' is none of"),
    ],
)
def test_mistakes_have_status_2(words, message, tmp_path, capsys):
    holes = TABLE["p0"].where(np.arange(N) % 10 > 0)
    path = put(tmp_path, TABLE.assign(holes=holes))
    command = ["audit", "--data", str(path), "--target", "paid", "--sensitive", "sex"]
    try:
        status = main([*command, *words])
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert re.search(message, capsys.readouterr().err)


def test_predictions_are_for_a_file(capsys):
    assert main(["audit", "--data", "mortgage", "--predictions", "a,b"]) == 2
    assert "--predictions: for a file, not for mortgage" in capsys.readouterr().err


def test_missing_texts_may_be_named(tmp_path):
    table = TABLE.assign(sex=TABLE["sex"].where(TABLE["p0"] > 0.5, "?"))
    data = read_scored(
        put(tmp_path, table), "paid", ["p0"], ["sex"], None, FileOptions(na=("?",))
    )
    assert set(data.sensitive["sex"]) == {"f", "m", "missing"}
