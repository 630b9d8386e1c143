"""The sentences at the top: one model, which no group's loss has chosen, and what it does."""

from report_cases import MODELS, make_report, regression_report

from sklearn_fairprune.report.summary import group_order, headline, lead_model

BROKEN = "Broken for all, not fair: {}."


def models(*names):
    return make_report({name: MODELS[name] for name in names})


def test_decisions_come_first_then_losses():
    report = models("dense", "harmed")
    by_decisions, by_loss = headline(report)
    assert by_decisions.startswith("In harmed, by decisions: f & 60 (45 rows) pays most: ")
    assert by_loss.startswith("In harmed, by loss: f & 60 (45 rows) pays most: ")
    assert [line.removeprefix("In ") for line in headline(report)] == report.findings
    assert group_order(report)[0] == "f & 60"


def test_losses_come_first_where_only_they_name_a_group():
    report = models("dense", "harmed")
    report.payers.loc[("harmed", "decisions"), "verdict"] = "cannot tell"
    assert headline(report)[0].startswith("In harmed, by loss: ")
    report.payers.loc[("harmed", "loss"), "verdict"] = "cannot tell"
    assert headline(report)[0].startswith("In harmed, by decisions: ")


def test_the_last_model_that_works_leads_whatever_the_groups_lose():
    many = {**MODELS, "same": MODELS["dense"], "stuck too": MODELS["stuck"]}
    report = make_report(many)
    assert lead_model(report) == "same"
    told = headline(report)
    assert told[0].startswith("In same, by decisions: no group pays more than 0.5 points")
    assert told[-1] == BROKEN.format(
        "stuck (predicts one class), stuck too (predicts one class)"
    )
    assert not any("harmed" in line for line in told)


def test_a_sure_loss_is_not_hidden_by_a_model_that_is_broken():
    report = models("dense", "harmed")
    report.overall["predicts_one_class"] = [False, True]
    assert lead_model(report) == "harmed"
    told = headline(report)
    assert told[0].startswith("In a broken model, harmed, by decisions: f & 60 (45 rows) pays")
    assert told[-1] == BROKEN.format("harmed (predicts one class)")


def test_groups_with_too_few_rows_are_named():
    report = make_report({k: MODELS[k] for k in ("dense", "harmed")}, min_group_size=1)
    assert not any("too few" in line for line in headline(report))
    report.findings.append("harmed: too few rows to compare: f & 30 (3 rows, ...).")
    assert headline(report)[-1] == "In harmed: too few rows to compare: f & 30 (3 rows, ...)."
    report.about["min_group_size"] = 46
    assert group_order(report)[-2:] == ["f & 60", "f & 30"]


def test_one_model_and_one_group():
    assert headline(models("dense")) == [
        "There is one model only: nothing to compare it with."
    ]
    alone = make_report(
        {k: MODELS[k] for k in ("dense", "harmed")}, sensitive_features=["all"] * 200
    )
    assert headline(alone) == ["harmed: one group only, nothing to compare."]


def test_regressors_are_told_by_their_loss():
    report = regression_report()
    (line,) = headline(report)
    assert line.startswith("In pruned, by loss: f (")
    assert lead_model(report) == "pruned"
