"""What must agree in saved audits of weighted rows."""

import json

import numpy as np
import pytest
from report_cases import PEOPLE, make_report

from sklearn_fairprune import AuditReport

REPORT = make_report(
    sensitive_features=PEOPLE["sex"], sample_weight=np.linspace(0, 3, len(PEOPLE))
)
PLAIN = make_report(sensitive_features=PEOPLE["sex"])


def damaged(path, value, report=REPORT):
    """JSON of a report with one value put in the place of another, or taken out (None)."""
    values = json.loads(report.to_json())
    *way, last = path
    where = values
    for step in way:
        where = where[step]
    if value is None:
        del where[last]
    elif isinstance(value, dict):
        where[last] |= value
    else:
        where[last] = value
    return json.dumps(values)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("by_group", 0, "effective_rows"), 1e4, "effective_rows must be from 1 to rows"),
        (("by_group", 0, "effective_rows"), 0.5, "effective_rows must be from 1 to rows"),
        (("by_group", 2, "effective_rows"), 9.0, "must be those of the first model"),
        (("by_group", 0, "weight_share"), 0.9, "weight_share of 'dense' must add up to 1"),
        (("by_group", 0, "weight_share"), 1.5, "must be a number from 0 to 1"),
        (("overall", 0, "effective_rows"), 9.0, "effective_rows must be .* as in about"),
        (("about", "effective_rows"), None, "must be there for weighted rows"),
        (("about", "effective_rows"), "many", "must be a number of at least 0"),
        (
            ("changes", 0),
            {"changed_share": 0, "changed_share_low": 0},
            "changed_share must be above 0 and below 1",
        ),
        (
            ("changes", 0),
            {"representation": 0, "representation_low": 0},
            "representation must be above 0",
        ),
    ],
)
def test_what_does_not_agree_is_said(path, value, words):
    with pytest.raises(ValueError, match=words):
        AuditReport.from_json(damaged(path, value))


def test_rows_that_are_not_weighted_have_no_weights():
    with pytest.raises(ValueError, match="must be there for weighted rows"):
        AuditReport.from_json(damaged(("about", "effective_rows"), 100.0, PLAIN))
    with pytest.raises(ValueError, match="'rows_of_weight_0' is of weighted rows alone"):
        AuditReport.from_json(damaged(("about", "rows_of_weight_0"), 3, PLAIN))


def test_a_changed_row_may_have_a_number_above_those_that_count():
    assert REPORT.about["rows_of_weight_0"] == 1
    listed = REPORT.changed_rows["row"].max()
    assert listed <= REPORT.about["rows"]
    assert AuditReport.from_json(REPORT.to_json()).changed_rows["row"].max() == listed
    with pytest.raises(ValueError, match="row must be less than 200, got 200"):
        AuditReport.from_json(damaged(("changed_rows", 0, "row"), 200))
