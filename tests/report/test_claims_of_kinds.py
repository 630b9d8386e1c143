"""Sentences that are true of pruned networks, not of predictions, regressors or one model."""

import re

import numpy as np
import pytest
import torch
from report_cases import MODELS, PEOPLE, X, Y, make_report, regression_report

from sklearn_fairprune import PrunedClassifier, audit, audit_predictions
from sklearn_fairprune.report.summary import headline

torch.set_num_threads(1)
GROUPS = {"sensitive_features": PEOPLE["sex"], "n_boot": 20, "min_group_size": 1}


def path_report():
    clf = PrunedClassifier(hidden_layer_sizes=(4,), finetune_epochs=1, random_state=0)
    return audit(clf.pruning_path(X, Y, sparsities=[0, 0.5]), X, Y, **GROUPS)


def labels_report():
    given = {k: MODELS[k].predict(X) for k in ("dense", "harmed")}
    return audit_predictions(Y, given, **GROUPS)


REPORTS = {
    "path": path_report,
    "labels": labels_report,
    "regressors": regression_report,
    "one": lambda: make_report({"dense": MODELS["dense"]}, **GROUPS),
    "stuck": lambda: make_report({"stuck": MODELS["stuck"]}, **GROUPS),
}


@pytest.fixture(scope="module")
def reports():
    return {name: make() for name, make in REPORTS.items()}


@pytest.fixture(scope="module")
def forms(reports):
    """Every form in which a report says something, with single blanks."""
    pytest.importorskip("vl_convert")
    found = {}
    for name, report in reports.items():
        page = re.sub(r"<script.*?</script>|<[^>]*>", "", report.to_html(), flags=re.S)
        texts = {"page": page, "text": str(report), "markdown": report.to_markdown()}
        texts["technical"] = report.to_markdown(technical=True)
        found[name] = {form: " ".join(text.split()) for form, text in texts.items()}
    return found


PAYS = "surely not negligible: by decisions the accuracy drop, by loss the excessive loss."
# Sentence, form, and the reports of which it is true.
CLAIMS = [
    ("the one the others are compared with", "markdown", {"path", "labels", "regressors"}),
    ("There is one model only, dense: nothing to", "markdown", {"one"}),
    ("the others are compared with it", "page", {"path", "labels", "regressors"}),
    ("the only model", "page", {"one", "stuck"}),
    ("Pruned model in detail", "page", {"path", "labels", "regressors"}),
    ("Who pays most is told of groups", "page", {"path", "labels", "regressors"}),
    ("of a model, either verdict names", "page", {"path"}),
    ("of a model, the verdict names", "page", {"labels", "regressors"}),
    (PAYS, "page", {"path", "one", "stuck"}),
    ("surely not negligible: by decisions the accuracy drop.", "page", {"labels"}),
    ("surely not negligible: by loss the excessive loss.", "page", {"regressors"}),
    ("Predicts one class for everybody, is", "page", {"path", "labels", "one", "stuck"}),
    ("Has a loss above that of a constant.", "page", {"regressors"}),
    ("audit(..., explain=True) adds", "page", {"path"}),
    ("it needs the networks, and these models", "page", {"labels", "regressors"}),
    ("Each group along the sparsities", "page", {"path"}),
    ("Who pays", "text", {"path", "labels", "regressors"}),
    ("Negligible: up to", "text", {"path", "labels", "regressors"}),
    ("these rows; loss is cross-entropy.", "technical", {"path", "one", "stuck"}),
    ("these rows; loss is squared error.", "technical", {"regressors"}),
    ("loss is zero-one", "technical", set()),
    ("%, dense", "technical", {"path", "labels"}),
    (", pruned", "technical", {"path", "labels", "regressors"}),
    ("changed for worse, for better", "technical", {"path", "labels"}),
    ("What pruning changed", "technical", {"path", "labels", "regressors"}),
    ("One model only: nothing to compare it with.", "technical", {"one", "stuck"}),
    ("Recovery after pruning", "technical", {"path", "labels", "regressors"}),
]


@pytest.mark.parametrize(("sentence", "form", "true"), CLAIMS)
def test_a_sentence_stands_where_it_is_true(forms, sentence, form, true):
    assert {name for name, texts in forms.items() if sentence in texts[form]} == true


def test_one_model_that_is_broken_is_told_at_the_top(reports):
    alone = "There is one model only: nothing to compare it with."
    assert headline(reports["one"]) == [alone]
    broken = "Broken for all, not fair: stuck (predicts one class)."
    assert headline(reports["stuck"]) == [alone, broken]
    everybody = make_report(sensitive_features=np.repeat("all", len(Y)))
    told = headline(everybody)
    assert told == ["harmed: one group only, nothing to compare.", broken]


def test_one_model_has_its_own_numbers_in_the_technical_section(reports):
    report = reports["one"]
    text = report.to_markdown(technical=True)
    table = text[text.index("| model | sex |") :].split("\n\n")[0].splitlines()
    assert table[0] == "| model | sex | rows | accuracy % |"
    assert len(table) == 2 + len(report.by_group)
    assert {line.count(" | ") for line in table} == {3}
