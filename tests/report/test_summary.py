"""The sentences at the top: which model, which group, how sure."""

from report_cases import MODELS, make_report, regression_report

from sklearn_fairprune.report.summary import group_order, headline, lead_model


def models(*names):
    return make_report({name: MODELS[name] for name in names})


def test_the_group_that_surely_pays_comes_first():
    report = models("dense", "harmed")
    first, second = headline(report)
    row = report.payers.loc["harmed"]
    assert first == (
        f"f & 60 ({row['rows']} rows) pays most, in harmed: its loss rose by "
        f"{row['excessive_loss']:.3f}, {row['against_others']:.3f} more than that of the "
        f"others (95 % interval {row['against_others_low']:.3f} to "
        f"{row['against_others_high']:.3f})."
    )
    drop = report.by_group.loc[("harmed", "f", 60)]
    assert second == (
        f"Accuracy fell most for f & 60 ({row['rows']} rows) in harmed: by 100.0 points (95 % "
        f"interval {100 * drop['accuracy_drop_low']:.1f} to 100.0)."
    )
    assert group_order(report)[0] == "f & 60"


def test_a_working_model_comes_before_a_broken_one():
    report = make_report({**MODELS, "harmed again": MODELS["harmed"]})
    told = headline(report)
    assert lead_model(report) == "harmed"
    assert "in harmed:" in told[0]
    assert "also in harmed again (f & 60)" in told[1]
    assert "Accuracy fell most for f & 60" in told[2]
    assert "Broken for all, not fair: stuck (one class for everybody, or no better)." in told


def test_when_nobody_can_be_shown_to_pay():
    report = make_report({"dense": MODELS["dense"], "same": MODELS["dense"]})
    assert headline(report) == [
        "In no model can a group's loss be shown to rise more than the others'.",
        "No group's accuracy surely fell: every 95 % interval includes 0.",
        "No group's loss rose in same.",
    ]
    assert lead_model(report) == "same"


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
    assert "f (" in headline(report)[0]
    assert lead_model(report) == "pruned"


def told_as(verdict, names):
    """A report of these models, with verdicts and losses as if they had been found."""
    report = make_report({"dense": MODELS["dense"]} | names)
    report.payers["verdict"] = verdict
    report.payers["excessive_loss"] = [0.1 * (1 + k) for k in range(len(names))]
    return report


MANY = {"mild": MODELS["harmed"], "harmed": MODELS["harmed"], "stuck": MODELS["stuck"]}


def test_the_model_to_look_at_first():
    assert lead_model(told_as("pays most", MANY)) == "harmed"
    assert lead_model(told_as("cannot tell", MANY)) == "harmed"
    assert lead_model(told_as("cannot tell", {"stuck": MODELS["stuck"]})) == "stuck"
    falling = told_as("pays most", MANY)
    falling.payers["excessive_loss"] = [0.2, 0.1, 0.3]
    assert lead_model(falling) == "mild"


def test_models_of_which_nobody_can_tell_and_several_broken_ones():
    told = headline(told_as("cannot tell", MANY | {"stuck too": MODELS["stuck"]}))
    assert told == [
        "In no model can a group's loss be shown to rise more than the others'.",
        told[1],
        "The data cannot tell who pays most in mild, harmed, stuck, stuck too.",
        "Broken for all, not fair: stuck, stuck too (one class for everybody, or no better).",
    ]
    assert told[1].startswith("Accuracy fell most for f & 60")


def test_a_lead_that_is_broken_is_called_so():
    report = make_report({"dense": MODELS["dense"], "harmed": MODELS["harmed"]})
    report.overall["predicts_one_class"] = [False, True]
    assert "pays most, in harmed, a broken model: its loss rose" in headline(report)[0]
