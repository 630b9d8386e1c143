"""Numbers and intervals as text; what is unknown is said to be."""

import numpy as np
import pytest

from sklearn_fairprune.measurement.formats import number, with_interval

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "digits", "sign", "text"),
    [
        (0.12345, 3, "", "0.123"),
        (0.12345, 2, "+", "+0.12"),
        (-1, 1, "+", "-1.0"),
        (NAN, 3, "+", "n/a"),
        (None, 3, "", "n/a"),
        (np.float32(2), 0, "", "2"),
    ],
)
def testnumber(value, digits, sign, text):
    assert number(value, digits, sign) == text


def test_value_with_its_limits():
    row = {"x": 0.9034, "x_low": 0.8741, "x_high": NAN}
    assert with_interval(row, "x") == "0.903 [0.874, n/a]"
    percent = with_interval(row, "x", scale=100, digits=1, sign="+")
    assert percent == "+90.3 [+87.4, n/a]"
