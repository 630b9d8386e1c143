"""A member that is added to a shelf at run time is found wherever members are shown."""

import ast
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import r2_score

import sklearn_fairprune
from sklearn_fairprune import (
    AuditReport,
    DisparityError,
    GroupPathDisplay,
    PrunedClassifier,
    PrunedRegressor,
    TradeOffDisplay,
    audit,
    compare_reports,
)
from sklearn_fairprune.cli import main
from sklearn_fairprune.cli.parser import make_parser
from sklearn_fairprune.measurement import MEASURES, Measure
from sklearn_fairprune.report.compare import comparison_as_text
from sklearn_fairprune.report.page.payload import page_payload

torch.set_num_threads(1)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3)).astype(np.float32)
Y = np.where(X[:, 0] + 0.5 * RNG.normal(size=120) > 0, "yes", "no")
SEX = pd.Series(RNG.choice(["f", "m"], 120), name="sex")
ROOT = Path(sklearn_fairprune.__file__).parent


@pytest.fixture
def shelf(request):
    """The shelf of a test, which has its old members again when the test is over."""
    shelf = request.param
    before = dict(shelf)
    yield shelf
    shelf.clear()
    shelf.update(before)


def on(shelf):
    """Let a test have a shelf to itself."""
    return pytest.mark.parametrize("shelf", [shelf], indirect=True, ids=[""])


# ---- no name of a member outside its shelf --------------------------------------------

# Shelves, and the folders and files in which their members may be called by name.
SHELVES = {"measures": (MEASURES, ("measurement",))}


def compared_texts(tree):
    """Texts that something is compared with: ``== "a"``, ``"a" in names``, ``in ("a",)``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(isinstance(side, ast.Attribute) and side.attr == "unit" for side in sides):
                continue
            for side in sides:
                for leaf in getattr(side, "elts", [side]):
                    if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str):
                        yield leaf.value


def test_the_walk_finds_comparisons():
    code = "a == 'x'; 'y' in b; c in ('z', 'w'); d.unit == 'u'; e['v'] == 1"
    assert list(compared_texts(ast.parse(code))) == ["x", "y", "z", "w"]


@pytest.mark.parametrize("kind", SHELVES)
def test_nothing_outside_a_shelf_asks_for_a_member_by_name(kind):
    shelf, own = SHELVES[kind]
    asked = {}
    for path in sorted(ROOT.rglob("*.py")):
        place = str(path.relative_to(ROOT))
        if not place.startswith(own):
            texts = set(compared_texts(ast.parse(path.read_text(encoding="utf-8"))))
            asked |= {place: texts & set(shelf)} if texts & set(shelf) else {}
    assert asked == {}


# ---- measures -------------------------------------------------------------------------


def largest_loss(rows, k):
    """Loss of the row that is worst off."""
    worst = np.array([rows.losses[rows.groups == a, k].max() for a in range(rows.m)])
    return worst, worst - 0.125, worst + 0.25


def loss_ratio(rows, k):
    """Loss of the worst group over that of the best."""
    ratio = float(rows.loss[:, k].max() / rows.loss[:, k].min())
    return ratio, 0.5 * ratio, 2.0 * ratio


@pytest.fixture(scope="module")
def path():
    clf = PrunedClassifier(hidden_layer_sizes=(8,), finetune_epochs=1, random_state=0)
    return clf.pruning_path(X, Y, sparsities=[0, 0.5, 0.9])


@pytest.fixture
def measured(shelf, path):
    """A report with a measure of each group and a disparity that nobody knew before."""
    shelf["mine"] = Measure(
        largest_loss,
        title="largest loss",
        symbol="L",
        unit="loss",
        meaning="Of the worst row.",
    )
    shelf["ours"] = Measure(loss_ratio, about="disparity", limit="max_ratio")
    return audit(path, X, Y, sensitive_features=SEX, min_group_size=1, n_boot=20)


def truth(path, k, group):
    """Largest loss of a group's rows under a model of the path, by hand."""
    probability = path.estimators[k].predict_proba(X)
    rows = np.flatnonzero(SEX.eq(group))
    right = probability[rows, (Y[rows] == "yes").astype(int)]
    return -np.log(right.min())


@on(MEASURES)
def test_a_measure_is_in_the_tables_and_files(measured, path, tmp_path):
    for k, model in enumerate(measured.overall.index):
        for group in ("f", "m"):
            row = measured.by_group.loc[(model, group)]
            assert row["mine"] == pytest.approx(truth(path, k, group), rel=1e-4)
            assert row["mine_low"] == row["mine"] - 0.125
        ratio = measured.by_group.loc[model, "loss"].max()
        ratio /= measured.by_group.loc[model, "loss"].min()
        assert measured.overall.loc[model, "ours"] == pytest.approx(ratio)
    assert "mine" not in measured.overall
    assert "ours" not in measured.by_group
    again = AuditReport.from_json(measured.to_json())
    pd.testing.assert_frame_equal(again.by_group, measured.by_group, check_dtype=False)
    assert again.to_json() == measured.to_json()
    read = [pd.read_csv(file) for file in measured.to_csv(tmp_path)]
    np.testing.assert_allclose(read[0]["mine_high"], measured.by_group["mine_high"])
    np.testing.assert_allclose(read[1]["ours"], measured.overall["ours"])
    frame = measured.to_frame().set_index(["measure", "about"])
    np.testing.assert_array_equal(
        frame.loc[("mine", "group"), "value"], measured.by_group["mine"]
    )
    np.testing.assert_array_equal(
        frame.loc[("ours", "model"), "low"], measured.overall["ours_low"]
    )


@on(MEASURES)
def test_a_measure_is_in_everything_to_read(measured):
    first = measured.by_group.iloc[0]
    cell = "{:.3f} [{:.3f}, {:.3f}]".format(
        *(first[f"mine{end}"] for end in ("", "_low", "_high"))
    )
    second = measured.overall.iloc[0]
    other = "{:.3f} [{:.3f}, {:.3f}]".format(
        *(second[f"ours{end}"] for end in ("", "_low", "_high"))
    )
    markdown = measured.to_markdown().replace("\\", "")
    page = measured.to_html() if pytest.importorskip("vl_convert") else ""
    for text in (str(measured), markdown, page, measured._repr_html_()):
        assert "largest loss L" in text
        assert cell in text
    for text in (str(measured), markdown):
        assert "loss ratio" in text
        assert other in text
    assert "<dt>Largest loss L</dt><dd>Of the worst row.</dd>" in page
    payload = page_payload(measured)
    (axis,) = [m for m in payload["measures"] if m["id"] == "mine"]
    assert axis == {
        "id": "mine",
        "name": "Largest loss L",
        "axis": "largest loss L",
        "scale": 1,
    }
    assert "ours" in [m["id"] for m in payload["disparities"]]
    feature = payload["features"][0]
    assert feature["byGroup"][0]["mine"][0] == pytest.approx(first["mine"], rel=1e-5)
    assert feature["overall"][0]["ours"][2] == pytest.approx(second["ours_high"], rel=1e-5)
    assert '"id": "mine"' in page


@on(MEASURES)
def test_a_measure_can_be_plotted(measured, path):
    plt = pytest.importorskip("matplotlib.pyplot")
    display = measured.plot("mine")
    np.testing.assert_array_equal(
        display.values, measured.by_group["mine"].to_numpy().reshape(3, 2)
    )
    assert display.ax_.get_ylabel() == "largest loss L, nats"
    made = GroupPathDisplay.from_path(
        path, X, Y, sensitive_features=SEX, measure="mine", min_group_size=1, n_boot=20
    )
    np.testing.assert_array_equal(made.values, display.values)
    display = TradeOffDisplay.from_report(measured, disparity="ours")
    np.testing.assert_array_equal(display.y[:, 0], measured.overall["ours"])
    assert display.ax_.get_ylabel() == "loss ratio"
    plt.close("all")


@on(MEASURES)
def test_a_measure_is_compared(measured, path):
    dense = {"a": path.estimators[0], "b": path.estimators[0]}
    pruned = {"a": path.estimators[0], "b": path.estimators[2]}
    reports = [
        audit(models, X, Y, sensitive_features=SEX, min_group_size=1, n_boot=20)
        for models in (dense, pruned)
    ]
    table = compare_reports(*reports)
    rows = table[(table["measure"] == "mine") & (table["model"] == "b")]
    assert rows["group"].tolist() == ["f", "m"]
    change = reports[1].by_group.loc["b", "mine"] - reports[0].by_group.loc["b", "mine"]
    np.testing.assert_array_equal(rows["change"], change)
    assert (
        rows["verdict"] == np.where(rows["change_low"] > 0, "worse", rows["verdict"])
    ).all()
    assert set(table[table["model"] == "a"]["verdict"]) == {"same"}
    assert "ours" in set(table["measure"])
    surely = table.assign(verdict=np.where(table["measure"] == "mine", "worse", "same"))
    assert "largest loss L" in comparison_as_text(surely)


@on(MEASURES)
def test_a_measure_can_be_limited(measured):
    measured.assert_disparity(limits={"mine": 1e6, "max_ratio": 1e6})
    with pytest.raises(
        DisparityError, match=r"the largest loss L of f .* more than mine=0\.001"
    ):
        measured.assert_disparity(limits={"mine": 0.001})
    with pytest.raises(DisparityError, match=r"the loss ratio is .* more than max_ratio=0\.5"):
        measured.assert_disparity(limits={"max_ratio": 0.5})
    with pytest.raises(DisparityError, match=r"more than ours=0\.5"):
        measured.assert_disparity(limits={"ours": 0.5})
    with pytest.raises(ValueError, match="mine must be at least 0 and finite, got -1"):
        measured.assert_disparity(limits={"mine": -1})


@on(MEASURES)
def test_a_measure_is_on_the_command_line(measured, tmp_path, capsys, monkeypatch):
    frame = pd.DataFrame(X, columns=list("abc")).assign(sex=SEX, paid=Y)
    frame.to_csv(tmp_path / "loans.csv", index=False)
    command = ["audit", "--data", str(tmp_path / "loans.csv"), "--target", "paid"]
    command += ["--sensitive", "sex", "--sparsities", "0.5", "--hidden", "8", "--json"]
    command += ["--finetune-epochs", "1"]
    assert main([*command, "--fail-above", "mine=1000,ratio=1000"]) == 0
    assert "mine" in json.loads(capsys.readouterr().out)["by_group"][0]
    assert main([*command, "--fail-above", "mine=0"]) == 1
    assert "the largest loss L of f" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        make_parser().parse_args(["audit", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "mine (largest loss L of each group)" in told
    assert "ratio (loss ratio between groups)" in told
    assert main([*command, "--fail-above", "nothing=1"]) == 2
    assert "mine" in capsys.readouterr().err


def selection_rate(rows, k):
    """Share of the rows for which "yes" is predicted."""
    chosen = rows.rate(rows.predicted[:, k] == "yes")
    return chosen.value, *rows.proportions(chosen)


@on(MEASURES)
def test_a_measure_may_look_at_predictions_and_at_all_rows(shelf, path):
    options = {"about": "both", "unit": "share", "classifiers_only": True}
    shelf["selected"] = Measure(selection_rate, better=0, **options)
    report = audit(path, X, Y, sensitive_features=SEX, min_group_size=1, n_boot=20)
    for model, clf in zip(report.overall.index, path.estimators, strict=True):
        chosen = clf.predict(X) == "yes"
        assert report.overall.loc[model, "selected"] == pytest.approx(chosen.mean())
        for group in ("f", "m"):
            share = report.by_group.loc[(model, group), "selected"]
            assert share == pytest.approx(chosen[SEX.eq(group)].mean())
    assert "selection rate %" in str(report)
    assert "selected" not in set(compare_reports(report, report)["measure"])
    for refused in (
        lambda: TradeOffDisplay.from_report(report, performance="selected"),
        lambda: report.assert_disparity(limits={"selected": 0.5}),
    ):
        with pytest.raises(ValueError, match="got 'selected'"):
            refused()


def explained(rows, k):
    """Share of the variance of the targets that is explained."""
    share = 1 - rows.loss[0, k] / np.var(rows.y)
    return share, share - 0.5, share + 0.5


@on(MEASURES)
def test_a_performance_may_come_before_the_loss(shelf):
    shelf["explained"] = Measure(explained, about="rows", unit="share", better=1)
    pruner = PrunedRegressor(hidden_layer_sizes=(8,), random_state=0).fit(X, X[:, 0])
    models = {"dense": pruner.dense_estimator_, "pruned": pruner}
    report = audit(models, X, X[:, 0], sensitive_features=SEX, min_group_size=1, n_boot=20)
    payload = page_payload(report)
    assert payload["quality"] == {
        "id": "explained",
        "axis": "overall explained, %",
        "scale": 100,
        "better": 1,
    }
    row = payload["features"][0]["overall"][1]
    truth = r2_score(X[:, 0], pruner.predict(X))
    assert row["explained"][0] == pytest.approx(truth, rel=1e-4)
    assert "explained %" in str(report)


@on(MEASURES)
def test_a_measure_that_came_late_is_not_in_an_older_report(shelf, path):
    report = audit(path, X, Y, sensitive_features=SEX, min_group_size=1, n_boot=20)
    shelf["mine"] = Measure(largest_loss)
    assert "mine" not in str(report) + report.to_markdown() + report._repr_html_()
    with pytest.raises(ValueError, match="'mine': it was added after the report was made"):
        report.plot("mine")
    with pytest.raises(ValueError, match="mine limits the largest loss, which was added aft"):
        report.assert_disparity(limits={"mine": 1})


@on(MEASURES)
def test_a_measure_that_is_gone_leaves_a_report_readable(shelf, measured):
    text = measured.to_json()
    del shelf["mine"], shelf["ours"]
    report = AuditReport.from_json(text)
    assert "mine" in report.by_group
    assert "largest loss" not in str(report)
    assert "mine" in set(report.to_frame()["measure"])


@on(MEASURES)
def test_a_measure_that_returns_something_else_is_refused_by_name(shelf, path):
    shelf["mine"] = Measure(lambda rows, k: rows.loss[:, k])
    with pytest.raises(ValueError, match="measure 'mine' must return three things"):
        audit(path, X, Y, min_group_size=1, n_boot=20)
    shelf["mine"] = Measure(lambda rows, k: rows.loss[:, k], interval=False)
    report = audit(path, X, Y, min_group_size=1, n_boot=20)
    np.testing.assert_array_equal(report.by_group["mine"], report.by_group["loss"])
    for name, value in (("about", "people"), ("unit", "kg")):
        with pytest.raises(ValueError, match=f"{name} of a measure must be one of .* got"):
            Measure(largest_loss, **{name: value})
    with pytest.raises(ValueError, match="paid tells who pays most, and must say by what"):
        Measure(largest_loss, paid=lambda rows, k: rows.losses[:, k])


def test_a_measure_can_tell_who_pays(monkeypatch, path):
    paid = {"paid": lambda rows, k: rows.losses[:, k], "negligible": lambda rows: 0.0}
    member = Measure(MEASURES["loss"].function, "pain", unit="loss", told_by="pain", **paid)
    monkeypatch.setitem(MEASURES, "pain", member)
    report = audit(path, X, Y, sensitive_features=SEX, min_group_size=1, n_boot=20)
    pruned = report.overall.index[1]
    row = report.payers.loc[(pruned, "pain")]
    largest = report.by_group.loc[pruned, "loss"]
    assert (row["group"], row["value"]) == (largest.idxmax(), largest.max())
    assert any(line.startswith(f"{pruned}, by pain: ") for line in report.findings)
    assert f"by pain: {row['verdict']}" in report.to_html()
