"""What networks cost, in every form of a report; and what latency must not touch."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_fairprune import (
    AuditReport,
    GroupConstrainedPruner,
    PrunedClassifier,
    audit,
    audit_predictions,
    compare_reports,
)
from sklearn_fairprune.measurement import latency as measurement
from sklearn_fairprune.report.summary import headline

torch.set_num_threads(1)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 6)).astype("f4")
SEX = np.array(["f", "m"])[RNG.integers(0, 2, 120)]
Y = (X[:, 0] + (SEX == "f") * X[:, 1] > 0).astype(int)
OPTIONS = {"sensitive_features": SEX, "n_boot": 50, "min_group_size": 1}
NAMES = ["dense", "half", "few", "pipe", "held", "module"]
NOTE = "Weights set to zero make a network neither faster nor smaller in memory"
TIMED = ("ms, batch 1", "speed-up, batch 3", "one thread", " faster than dense at batch ")


def small(**options):
    given = {"hidden_layer_sizes": (8,), "finetune_epochs": 1, "random_state": 0} | options
    return PrunedClassifier(**given)


@pytest.fixture(scope="module")
def models():
    path = small().pruning_path(X, Y, sparsities=[0, 0.5, 0.9])
    found = dict(zip(NAMES, path.estimators, strict=False))
    found["pipe"] = make_pipeline(StandardScaler(), small(sparsity=0.9)).fit(X, Y)
    held = GroupConstrainedPruner(small(sparsity=0.5), tolerance=9.0)
    found["held"] = held.fit(X, Y, sensitive_features=SEX)
    torch.manual_seed(0)
    found["module"] = nn.Sequential(nn.Linear(6, 2))
    return found | {"logistic": LogisticRegression().fit(X, Y)}


@pytest.fixture(scope="module")
def reports(models):
    """Without and with latency."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measurement, "MOST", 10)
        return audit(models, X, Y, **OPTIONS), audit(models, X, Y, latency=(3, 1), **OPTIONS)


def test_of_every_network(reports, models):
    sizes, timed = reports[1].sizes, reports[1].latency
    assert sizes.index.tolist() == NAMES
    assert sizes["macs"].tolist() == [6 * 8 + 8 * 2] * 5 + [12]
    assert sizes["nonzero_macs"].tolist() == sizes["kept"].tolist()
    assert sizes["units"].tolist() == [10] * 5 + [2]
    pruner = models["pipe"][-1]
    assert sizes.loc["pipe", "dead_units"] == sum(n for n, _ in pruner.dead_units_.values())
    assert sizes.loc["held", "effective_sparsity"] == models["held"].effective_sparsity_
    assert timed.index.tolist() == [(name, batch) for name in NAMES for batch in (1, 3)]
    assert (timed["milliseconds_low"] <= timed["milliseconds"]).all()
    assert (timed["milliseconds"] <= timed["milliseconds_high"]).all()
    assert len(reports[0].latency) == 0


def forms(report):
    page = re.sub(r"<script.*?</script>|<[^>]*>", "", report.to_html(), flags=re.S)
    return {
        "text": str(report),
        "markdown": report.to_markdown(),
        "card": report.to_markdown(technical=True),
        "page": page,
    }


def test_in_every_form(reports):
    pytest.importorskip("vl_convert")
    for report, measured in zip(reports, (False, True), strict=True):
        for form, text in forms(report).items():
            plain = " ".join(text.replace("\\", "").split())
            for words in ("effective sparsity", "dead units", "MACs not zero", "zipped, kB"):
                assert words in plain, form
            assert "module takes 5.33 times fewer multiply-accumulates" in plain, form
            assert (plain.count(NOTE) == 1) is not measured, form
            assert [w in plain for w in TIMED] == [measured] * 4, form
        assert not any("faster" in line for line in headline(report))
        assert not any("faster" in line for line in report.findings)


def test_the_page_marks_rows_by_their_model(reports):
    pytest.importorskip("vl_convert")
    page = reports[1].to_html()
    for label in ("Sizes of the networks", "Latency of the networks"):
        table = page[page.index(f'aria-label="{label}"') :].split("</table>")[0]
        assert re.findall(r'data-model="(\d)"', table) == list("012345")


def test_latency_is_read_again(reports, tmp_path):
    again = AuditReport.from_json(reports[1].to_json())
    assert again.to_json() == reports[1].to_json()
    assert str(again) == str(reports[1])
    pd.testing.assert_frame_equal(again.latency, reports[1].latency)
    written = {path.name for path in again.to_csv(tmp_path)}
    assert "latency.csv" in written
    assert "latency.csv" not in {path.name for path in reports[0].to_csv(tmp_path)}
    assert not (tmp_path / "latency.csv").exists()


def test_latency_has_no_part_in_what_is_compared_or_judged(reports, models):
    plain, timed = ({**json.loads(one.to_json())} for one in reports)
    assert timed.pop("latency")
    assert plain == timed
    slow = AuditReport.from_json(reports[1].to_json())
    slow.latency["milliseconds"] *= 1000
    assert set(compare_reports(reports[1], slow)["verdict"]) == {"same"}
    assert slow.assert_disparity(max_spread=1.0) is slow
    assert slow.models_of(models["few"]) == reports[0].models_of(models["few"])


def test_what_is_known_of_images():
    torch.manual_seed(0)
    body = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()]
    net = NeuralNetClassifier(
        nn.Sequential(*body, nn.Linear(4 * 16, 2)),
        criterion=nn.CrossEntropyLoss,
        train_split=None,
        max_epochs=1,
        verbose=0,
    )
    images = RNG.normal(size=(120, 1, 6, 6)).astype("f4")
    pruner = PrunedClassifier(net, sparsity=0.8, finetune_epochs=1, random_state=0)
    report = audit(pruner.fit(images, Y), images, Y, latency=[2], **OPTIONS)
    assert report.sizes["macs"].tolist() == [4 * 9 * 16 + 2 * 64] * 2
    kept = {name: int(mask.sum()) for name, mask in pruner.masks_.items()}
    assert report.sizes.loc["pruned", "nonzero_macs"] == (
        16 * kept["0.weight"] + kept["4.weight"]
    )
    assert report.sizes["dead_units"].iloc[0] == 0
    assert report.latency.index.tolist() == [("dense", 2), ("pruned", 2)]


def test_predictions_alone_cost_nothing_that_is_known():
    report = audit_predictions(Y, {"dense": Y, "pruned": 1 - Y}, **OPTIONS)
    assert len(report.sizes) == len(report.latency) == 0
    for text in (str(report), report.to_markdown(), report.to_markdown(technical=True)):
        assert "zipped" not in text


def test_a_report_of_before_is_told_as_it_was(reports):
    values = json.loads(reports[0].to_json())
    for row in values["sizes"]:
        for late in ("macs", "nonzero_macs", "dead_units", "units"):
            del row[late]
    text = str(AuditReport.from_json(json.dumps(values)))
    assert "Zeros alone make a network neither smaller in memory nor faster" in text
    assert NOTE not in text
    assert "MACs" not in text
    assert "weights kept" in text


SIZE = ("sizes", 1)
ROW = ("latency", 3)  # of "half" at batch 3
WRONG = [
    (
        (*SIZE, "nonzero_macs"),
        65,
        r"sizes\[1\]: nonzero_macs must be at most macs, 64, got 65",
    ),
    ((*SIZE, "dead_units"), 11, r"sizes\[1\]: dead_units must be at most units, 10, got 11"),
    ((*SIZE, "macs"), None, r"sizes\[1\]: nonzero_macs and macs must be known both, or n"),
    ((*SIZE, "units"), 1.5, r"sizes\[1\]\['units'\] must be a whole number"),
    (
        (*ROW, "milliseconds"),
        1e6,
        r"latency\[3\]: milliseconds must be from .*|latency.*within",
    ),
    ((*ROW, "speed_up"), 0.0, r"latency\[3\]: speed_up (must be from|0\.0 with limits)"),
    ((*ROW, "speed_up_low"), -1.0, r"\['speed_up_low'\] must be a number of at least 0"),
    ((*ROW, "milliseconds"), None, r"latency\[3\]\['milliseconds'\] must be a number of at"),
    ((*ROW, "batch"), 0, r"latency\[3\]\['batch'\] must be a whole number of at least"),
    ((*ROW, "batch"), 1, r"latency has a row twice: \('half', 1\)"),
    ((*ROW, "batch"), 4, r"latency of 'dense' must be at batches \[1, 3, 4\], got \[1, 3\]"),
    (("latency", 0, "speed_up"), 1.1, "latency.*speed_up"),
]


@pytest.mark.parametrize(("path", "value", "words"), WRONG, ids=str)
def test_what_is_wrong_is_said(reports, path, value, words):
    values = json.loads(reports[1].to_json())
    table, row, column = path
    values[table][row][column] = value
    with pytest.raises(ValueError, match=words):
        AuditReport.from_json(json.dumps(values))


def test_the_median_lies_strictly_within_its_limits(reports):
    values = json.loads(reports[1].to_json())
    row = values["latency"][3]
    row["milliseconds"] = row["milliseconds_high"] * (1 + 1e-6)
    with pytest.raises(ValueError, match=r"latency\[3\]: milliseconds must be from"):
        AuditReport.from_json(json.dumps(values))


def test_only_networks_have_a_latency(reports):
    values = json.loads(reports[1].to_json())
    values["latency"] += [row | {"model": "logistic"} for row in values["latency"][-2:]]
    with pytest.raises(ValueError, match=r"latency must be of models of sizes, .*got 'logis"):
        AuditReport.from_json(json.dumps(values))
