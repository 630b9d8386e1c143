"""Who pays: each verdict where it is right, and not where it would be wrong; its words."""

import json

import numpy as np
import pandas as pd
import pytest

from sklearn_fairprune import audit_predictions
from sklearn_fairprune.measurement.payers import (
    Payer,
    Told,
    concentration,
    leading,
    payer_row,
    payer_sentence,
    payer_verdict,
    too_few_sentence,
)
from sklearn_fairprune.statistics.worst import Worst

NAN = float("nan")
POINTS = Told("accuracy drop", "points", {"scale": 100, "digits": 1, "sign": "+"}, 0.005)
LOSS = Told("excessive loss", "", {"sign": "+"}, 0.01)
TEXTS, SIZES = ["A", "B", "C", "D"], np.array([300, 200, 100, 9])
VALUES = pd.DataFrame(
    {
        "value": [0.2, 0.05, 0.04, 0.5],
        "value_low": [0.16, 0.02, -0.01, -0.1],
        "value_high": [0.24, 0.08, 0.09, 0.9],
    }
)


def worst(
    lead_lows=(NAN, 0.1, 0.12, NAN), low=0.15, possible=(1, 0, 0, 0), gap=0.3, highest=0.3
):
    lead_lows = np.array(lead_lows)
    return Worst(
        0,
        low,
        0.25,
        np.array([True, True, True, False]),
        np.where(np.isnan(lead_lows), NAN, 0.2 - VALUES["value"]),
        lead_lows,
        np.array(possible, dtype=bool),
        gap,
        highest,
    )


NOBODY = Worst(
    -1, NAN, NAN, np.zeros(4, bool), *[np.full(4, NAN)] * 2, np.zeros(4, bool), NAN, NAN
)


@pytest.mark.parametrize(
    ("found", "negligible", "verdict"),
    [
        (worst(), 0.005, Payer.PAYS_MOST),
        (worst(low=0.004), 0.005, Payer.PERHAPS_NEGLIGIBLE),
        (worst(low=0.005), 0.005, Payer.PERHAPS_NEGLIGIBLE),
        (worst((NAN, 0.0, 0.1, NAN), possible=(1, 1, 0, 0)), 0.005, Payer.ONE_OF),
        (worst((NAN, -0.1, -0.1, NAN), possible=(1, 1, 1, 0)), 0.005, Payer.CANNOT_TELL),
        (worst((NAN, -0.1, 0.1, NAN), possible=(1, 1, 1, 0)), 0.005, Payer.CANNOT_TELL),
        (worst(gap=0.004), 0.005, Payer.NO_MORE),
        (worst(gap=0.005), 0.005, Payer.NO_MORE),
        (worst((NAN, NAN, 0.1, NAN), possible=(1, 1, 0, 0)), 0.005, Payer.ONE_OF),
        (worst(highest=0.006), 0.005, Payer.PAYS_MOST),
        (worst(highest=0.005), 0.005, Payer.NOBODY),
        (worst((NAN, -0.1, -0.1, NAN), highest=-0.1), 0.005, Payer.NOBODY),
        (NOBODY, 0.005, Payer.TOO_FEW),
    ],
)
def test_verdicts(found, negligible, verdict):
    assert payer_verdict(found, negligible) is verdict


def told(found, told_by=POINTS, least=75):
    row = payer_row(found, TEXTS, SIZES, VALUES, told_by)
    out = [TEXTS[a] for a in np.flatnonzero(found.eligible & ~found.possible)]
    return payer_sentence(row, told_by, out, least)


def test_words_of_one_that_pays_most():
    assert told(worst()) == (
        "A (300 rows) pays most: accuracy drop +20.0 [+16.0, +24.0] points; at least 10.0 "
        "points more than any other group of 75 rows or more."
    )
    near = worst((NAN, 0.005, 0.12, NAN))
    assert told(near).endswith("rows or more. Its lead over B may be negligible.")
    assert "than any other group." in told(worst(), least=1)
    assert told(worst(), LOSS).startswith(
        "A (300 rows) pays most: excessive loss +0.200 [+0.160, +0.240]; at least 0.100 more"
    )


def test_words_where_one_cannot_tell():
    assert told(worst((NAN, -0.1, 0.1, NAN), possible=(1, 1, 0, 0))) == (
        "A or B: cannot tell between them; not C. The largest accuracy drop is +20.0 "
        "[+16.0, +24.0] points, of A (300 rows)."
    )
    assert told(worst((NAN, -0.1, -0.1, NAN), possible=(1, 1, 1, 0))) == (
        "cannot tell who pays most. The largest accuracy drop is +20.0 [+16.0, +24.0] "
        "points, of A (300 rows)."
    )
    assert told(worst(low=-0.1)) == (
        "A (300 rows) has the largest accuracy drop, +20.0 [+16.0, +24.0] points, but not "
        "surely more than 0.5 points, which is negligible."
    )
    assert told(worst(gap=0.001)) == (
        "no group pays more than 0.5 points above another. The largest accuracy drop is "
        "+20.0 [+16.0, +24.0] points, of A (300 rows)."
    )
    assert told(worst(highest=0.001)) == (
        "no group pays more than 0.5 points. The largest accuracy drop is +20.0 [+16.0, "
        "+24.0] points, of A (300 rows)."
    )
    assert told(NOBODY) == "fewer than two groups have 75 rows: nothing to compare."


def test_groups_that_are_too_small_are_listed_with_their_numbers():
    few = np.array([False, False, True, True])
    assert too_few_sentence(TEXTS, SIZES, VALUES, few, POINTS) == (
        "too few rows to compare: C (100 rows, accuracy drop +4.0 [-1.0, +9.0] points); D (9 "
        "rows, accuracy drop +50.0 [-10.0, +90.0] points)."
    )


def test_the_row_of_the_table():
    row = payer_row(worst((NAN, 0.1, 0.02, NAN)), TEXTS, SIZES, VALUES, POINTS)
    assert (row["group"], row["rows"], row["rival"]) == ("A", 300, "C")
    assert (row["value"], row["value_low"], row["value_high"]) == (0.2, 0.16, 0.24)
    assert (row["lead"], row["lead_low"]) == (pytest.approx(0.16), 0.02)
    assert (row["negligible"], row["verdict"], row["possible"]) == (0.005, "pays most", "A")
    nothing = payer_row(NOBODY, TEXTS, SIZES, VALUES, POINTS)
    assert (nothing["group"], nothing["rows"], nothing["verdict"]) == ("", 0, "too few rows")
    assert np.isnan([nothing["value"], nothing["lead_low"]]).all()


def test_a_lead_is_no_surer_than_the_value_itself():
    row = payer_row(worst((NAN, 0.15, 0.16, NAN)), TEXTS, SIZES, VALUES, POINTS)
    assert row["rival"] == "B"
    assert row["lead_low"] == pytest.approx(0.15 - (0.2 - 0.16))
    unknown = VALUES.assign(value_low=NAN)
    row = payer_row(worst((NAN, 0.15, 0.16, NAN)), TEXTS, SIZES, unknown, POINTS)
    assert row["lead_low"] == 0.15


def payers(*verdicts):
    index = pd.MultiIndex.from_product([["m"], ["decisions", "loss"]], names=["model", "by"])
    return pd.DataFrame({"verdict": [v.value for v in verdicts]}, index=index)


def test_decisions_lead_unless_only_the_loss_names_somebody():
    by = {
        (Payer.PAYS_MOST, Payer.PAYS_MOST): "decisions",
        (Payer.PAYS_MOST, Payer.CANNOT_TELL): "decisions",
        (Payer.CANNOT_TELL, Payer.PAYS_MOST): "loss",
        (Payer.ONE_OF, Payer.CANNOT_TELL): "decisions",
    }
    for verdicts, first in by.items():
        assert leading(payers(*verdicts), "m")["by"] == first


def test_verdicts_are_their_texts():
    assert json.dumps([Payer.PAYS_MOST, Payer.ONE_OF]) == '["pays most", "one of several"]'
    assert f"{Payer.NO_MORE}" == "no group pays more"


def lost_by_rows(share):
    """Of 400 rows in two groups, f loses 0.2 on average, a share of it in its first two."""
    sex, y = np.repeat(["f", "m"], 200), np.tile([0, 1], 200)
    lost = np.zeros(400)
    lost[:200] = np.r_[np.full(2, 20 * share), np.full(198, 40 * (1 - share) / 198)]
    truth = {"dense": np.full(400, 0.9), "pruned": 0.9 * np.exp(-lost)}
    given = {name: np.where(y == 1, p, 1 - p) for name, p in truth.items()}
    return audit_predictions(y, given, sensitive_features=sex)


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_loss_that_few_rows_make_up_is_told(share):
    report = lost_by_rows(share)
    row = report.payers.loc[("pruned", "loss")]
    assert row["group"] == "f"
    assert row["value"] == pytest.approx(0.2)
    assert row["top_share"] == pytest.approx(share)
    assert row["top_rows"] == 2
    told = "Of this 70 % comes from 2 of its rows." in str(report)
    assert told == (share == 0.7)
    assert np.isnan(report.payers.loc[("pruned", "decisions"), "top_share"])


def test_words_on_few_rows():
    words = " Of this more than all comes from one of its rows."
    assert concentration({"top_share": 1.2, "top_rows": 1}) == words
    assert concentration({"top_share": NAN, "top_rows": 1}) == ""
    assert concentration({}) == ""
