"""Tables as plain text."""

from report_cases import make_report, regression_report
from sklearn.metrics import f1_score

from sklearn_fairprune.report.text import table


def test_columns_are_aligned():
    assert table(["who", "n"], [["a", 1], ["bcde", 1000]]) == [
        "who      n",
        "a        1",
        "bcde  1000",
    ]
    assert table(["only"], []) == ["only"]


def test_rates_and_metrics_have_tables_of_their_own():
    report = make_report(n_boot=40, metrics={"f1": f1_score})
    lines = str(report).splitlines()
    first, rates, metrics = (
        next(k for k, line in enumerate(lines) if line.startswith(text))
        for text in ("  sex & age", "Rates by sex & age (positive class: yes)", "Metrics by")
    )
    assert lines[first].split("  ")[-1].strip() == "accuracy drop, points"
    assert "selection" not in lines[first]
    heads = {k: lines[k + 1] for k in (rates, metrics)}
    for title in ("balanced accuracy %", "selection rate %", "precision %"):
        assert title in heads[rates]
    assert heads[metrics].split() == ["sex", "&", "age", "rows", "f1"]
    row = report.by_group.loc[("harmed", "f", 60)]
    cell = (
        f"{100 * row['true_positive_rate']:.1f} [{100 * row['true_positive_rate_low']:.1f}, "
    )
    assert cell in "\n".join(lines[rates:metrics])
    row = report.overall.loc["harmed"]
    assert f"{row['f1_difference']:.3f} [" in "\n".join(lines[metrics:])
    between = [line for line in lines if line.startswith("between groups")]
    assert "equalized odds difference, points" in between[0]
    assert "f1 difference" in between[1]
    assert max(map(len, lines[:-12])) < 150
    assert "Rates" not in str(regression_report())
