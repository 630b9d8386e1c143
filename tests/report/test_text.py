"""Tables as plain text."""

from sklearn_fairprune.report.text import table


def test_columns_are_aligned():
    assert table(["who", "n"], [["a", 1], ["bcde", 1000]]) == [
        "who      n",
        "a        1",
        "bcde  1000",
    ]
    assert table(["only"], []) == ["only"]
