"""The model-card section: numbers, and names that cannot break it."""

import re

import numpy as np
import pandas as pd
import pytest
from report_cases import MODELS, N, make_report, regression_report
from sklearn.metrics import f1_score


def rows_of(text, start):
    table = text[text.index(start) :].split("\n\n")[0]
    return [
        [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()
    ]


def test_tables_are_whole():
    report = make_report()
    text = report.to_markdown()
    assert text.startswith("## What pruning costs each group\n")
    for feature, part in report.by_feature.items():
        assert f"### By {feature.replace('&', '&amp;')}\n" in text
        section = text[text.index(f"### By {feature.replace('&', '&amp;')}\n") :]
        overall = rows_of(section, "| model | sparsity")
        assert len(overall) == 2 + len(part.overall)
        assert len({len(line) for line in overall}) == 1
        payer = part.payers.loc[("harmed", "decisions"), "possible"].replace("&", "&amp;")
        assert overall[3][-1] == f"{payer} (by decisions)"
        groups = rows_of(section, f"| model | {feature.replace('&', '&amp;')} | rows")
        assert len(groups) == 2 + len(part.by_group)
    for line in report.findings:
        assert line.split(":")[0] in text
    assert "it is broken" in text


def test_names_cannot_break_it():
    nasty = np.array(["a|b", "<script>x</script>", "*c*\n# d", "[e](f)`g`"])
    groups = pd.Series(nasty[np.arange(N) % 4], name="| ## <b>")
    models = {"de|nse": MODELS["dense"], "<img src=x>": MODELS["harmed"]}
    text = make_report(models, sensitive_features=groups).to_markdown()
    assert "<script" not in text
    assert "<img" not in text
    assert "<b>" not in text
    groups = rows_of(text, "| model | \\|")
    assert {len(line) for line in groups} == {7}
    assert [line[1] for line in groups[2:6]] == [
        r"\*c\* \# d",
        "&lt;script&gt;x&lt;/script&gt;",
        r"\[e\](f)\`g\`",
        r"a\|b",
    ]
    assert len(re.findall("^#", text, flags=re.M)) == len(
        re.findall("^#+ (What|By|Rates|Take)", text, flags=re.M)
    )


def test_a_file_and_a_regressor(tmp_path):
    report = regression_report()
    text = report.to_markdown(tmp_path / "card.md")
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == text
    assert "accuracy" not in text
    assert "fairness violation xi" in text


@pytest.mark.slow
def test_rates_and_metrics_are_below_the_first_tables():
    report = make_report(n_boot=40, metrics={"f1": f1_score})
    text = report.to_markdown()
    for name, part in report.by_feature.items():
        feature = name.replace("&", "&amp;")
        start = text.index(f"#### Rates by {feature} (positive class: yes)")
        assert text.index(f"### By {feature}\n") < start
        rates = text[start:].split("\n#", 2)[0]
        row = part.overall.loc["harmed"]
        key = "demographic_parity_difference"
        low, high = (100 * row[f"{key}_{end}"] for end in ("low", "high"))
        assert f"{100 * row[key]:.1f} \\[{low:.1f}, {high:.1f}\\]" in rates
        assert f"#### Metrics by {feature}\n" in text
