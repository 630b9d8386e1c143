"""What was measured, as an object of its own and as a report."""

import pytest
from report_cases import MODELS, PEOPLE, X, Y, make_report

from sklearn_fairprune import AuditReport
from sklearn_fairprune.measurement.audited import Audited
from sklearn_fairprune.measurement.settings import Settings
from sklearn_fairprune.measurement.tables import measure_models
from sklearn_fairprune.measurement.weights import Given
from sklearn_fairprune.report.displays import GroupPathDisplay, TradeOffDisplay

SETTINGS = Settings(n_boot=100, min_group_size=1)


@pytest.fixture(scope="module")
def audited():
    return measure_models(MODELS, Given(X, Y, PEOPLE), SETTINGS)[0]


def test_a_report_is_what_was_measured_in_another_form(audited):
    assert type(audited) is Audited
    report = AuditReport.of(audited)
    assert [type(one) for one in report.by_feature.values()] == [AuditReport] * 3
    assert list(report.by_feature) == list(audited.by_feature) == ["sex & age", "sex", "age"]
    assert report.to_json() == make_report().to_json()
    assert report.by_group is audited.by_group


def test_what_the_groups_are(audited):
    assert [one.grouped_by for one in audited.by_feature.values()] == list(audited.by_feature)


def test_tables_that_there_are_not_are_empty(audited):
    assert len(audited.why) == len(audited.explanations) == len(audited.training) == 0
    assert audited._frames == ("by_group", "overall", "payers", "changes", "changed_rows")
    bare = Audited(audited.by_group, audited.overall, [], [], audited.about)
    assert bare._frames == ("by_group", "overall")
    assert bare.other_features == {}


def test_measures_without_interval_are_in_the_long_frame(audited):
    frame = audited.to_frame().set_index(["measure", "feature"])
    for name in ("accuracy_ratio", "classes_predicted"):
        for feature, one in audited.by_feature.items():
            rows = frame.loc[(name, feature)]
            assert rows["value"].tolist() == one.overall[name].tolist()
            assert rows[["low", "high"]].isna().all(axis=None)


def test_what_holds_for_all_rows_is_drawn_once(audited):
    names = ["loss_low", "loss_high", "balanced_accuracy_low", "balanced_accuracy_high"]
    tables = [one.overall[names] for one in audited.by_feature.values()]
    assert tables[1].equals(tables[0])
    assert tables[2].equals(tables[0])


@pytest.mark.parametrize("display", [GroupPathDisplay, TradeOffDisplay])
def test_only_what_was_measured_is_plotted(display, audited):
    plt = pytest.importorskip("matplotlib.pyplot")
    assert display.from_report(audited).models == list(MODELS)
    plt.close("all")

    class Impostor:
        by_group, overall, about = audited.by_group, audited.overall, audited.about
        grouped_by = "group"

    with pytest.raises(TypeError, match=r"report must be an AuditReport, .* got Impostor"):
        display.from_report(Impostor())
