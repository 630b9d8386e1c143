"""Where a report says that damage may be too little recovery, and where it must not."""

import json

import numpy as np
import pandas as pd
import pytest
from estimator_cases import CODES, GROUPS, X, make, make_net
from report_cases import make_report

from sklearn_fairprune import AuditReport, DisparityError, audit
from sklearn_fairprune.measurement.recovered import recovery_notes, unrecovered
from sklearn_fairprune.report.summary import headline


def overall(*losses, sparsity=0.9, **more):
    rows = {"loss": losses, "sparsity": [0.0, *[sparsity] * (len(losses) - 1)]} | more
    return pd.DataFrame(rows, index=["dense", *"abcdef"[: len(losses) - 1]])


def sizes(kept, effective, weights=100):
    return pd.DataFrame(
        {"weights": weights, "kept": kept, "effective_sparsity": effective}, index=["a"]
    )


@pytest.mark.parametrize(("loss", "told"), [(0.349, False), (0.351, True), (0.1, False)])
def test_loss_of_classifiers_in_nats(loss, told):
    found = unrecovered(overall(0.3, loss, accuracy=1.0))
    assert list(found) == (["a"] if told else [])
    if told:
        assert "0.051 above the dense one's" in found["a"]


@pytest.mark.parametrize(("loss", "told"), [(10.4, False), (10.6, True)])
def test_loss_of_regressors_as_a_share(loss, told):
    assert bool(unrecovered(overall(10.0, loss))) == told


@pytest.mark.parametrize(("effective", "told"), [(0.9, False), (0.909, False), (0.912, True)])
def test_idle_weights(effective, told):
    found = unrecovered(overall(0.3, 0.3, accuracy=1.0), sizes(10, effective))
    assert bool(found) == told
    if told:
        assert found["a"].startswith("12 % of the weights that it keeps lie on no path")


def test_unknown_losses_and_sparsities_tell_nothing():
    assert unrecovered(overall(0.3, 9.0, sparsity=np.nan, accuracy=1.0)) == {}
    assert unrecovered(overall(np.nan, np.nan, accuracy=1.0)) == {}
    assert unrecovered(overall(0.3, 9.0, accuracy=1.0).drop(columns="loss")) == {}
    assert unrecovered(overall(0.3, 0.3, accuracy=1.0), sizes(10, np.nan)) == {}


def test_notes_name_the_epochs_and_the_way_out():
    found = recovery_notes(
        overall(0.3, 0.5, accuracy=1.0, finetune_epochs=[0, 5]), pd.DataFrame()
    )
    assert found[0].startswith("a: part of its damage may be too little recovery, or one")
    assert " after 5 epochs of fine-tuning: its held-out loss is 0.2 above" in found[0]
    assert "schedule='cubic'" in found[1]
    unknown = overall(0.3, 0.5, accuracy=1.0, finetune_epochs=[0, np.nan])
    for table in (unknown, overall(0.3, 0.5, accuracy=1.0)):
        assert "overfits: its held-out" in recovery_notes(table, pd.DataFrame())[0]
    assert recovery_notes(overall(0.3, 0.3, accuracy=1.0), pd.DataFrame()) == []


def path(sparsity=0.9, **options):
    short = {"schedule": "one_shot", "recovery": "plain", "finetune_epochs": 0}
    own = make_net(max_epochs=40, lr=0.5)
    fitted = make(own, **(short | options))
    return fitted.pruning_path(X, CODES, sensitive_features=GROUPS, sparsities=[0, sparsity])


def report_of(**options):
    return audit(path(**options), X, CODES, sensitive_features=GROUPS, min_group_size=1)


def test_a_network_that_was_not_trained_again_is_told_of_and_one_that_recovered_is_not():
    short = report_of()
    assert any("too little recovery" in note for note in short.notes)
    assert "too little recovery" in str(short)
    assert "too little recovery" in short.to_html()
    long = {"schedule": "cubic", "recovery": "distill", "finetune_epochs": 100}
    recovered = report_of(sparsity=0.5, finetune_lr="cosine", **long)
    excess = recovered.overall["loss"].diff().iloc[1]
    assert excess < 0.05, "the case is none"
    assert not any("too little recovery" in note for note in recovered.notes)


def test_the_headline_tells_it_of_the_model_that_it_is_about():
    assert any("Part of this may be too little" in line for line in headline(report_of()))
    assert not any("recovery" in line for line in headline(make_report()))


def test_effective_sparsity_is_kept_and_read_back():
    report = report_of()
    models = dict(path().items_by_name())
    for name, model in models.items():
        assert report.sizes.loc[name, "effective_sparsity"] == model.effective_sparsity_
    again = AuditReport.from_json(report.to_json())
    assert again.sizes["effective_sparsity"].tolist() == pytest.approx(
        report.sizes["effective_sparsity"].tolist()
    )
    damaged = json.loads(report.to_json())
    damaged["sizes"][1]["effective_sparsity"] = 0.5
    with pytest.raises(ValueError, match=r"effective_sparsity .* at least its sparsity"):
        AuditReport.from_json(json.dumps(damaged))


def test_the_gate_tells_it_beside_a_limit_that_is_not_kept():
    with pytest.raises(DisparityError, match="this may be too little recovery"):
        report_of().assert_disparity(max_violation=0.0)
    with pytest.raises(DisparityError) as error:
        make_report().assert_disparity(max_degradation=0.0)
    assert "recovery" not in str(error.value)
