"""Names that look alike, that no chart expects, and numbers that are not finite."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.text import Text
from report_cases import MODELS, N, make_report

from sklearn_fairprune import AuditReport
from sklearn_fairprune.estimators.sensitive import encode_groups
from sklearn_fairprune.measurement.groups import distinct_labels, file_labels
from sklearn_fairprune.report import compare_reports, displays

torch.set_num_threads(1)

ALIKE = {
    "null": ["a", "a\0", "a\0\0"],
    "space": ["a", "a ", " a", "a\u00a0"],
    "unseen": ["a", "a\u200b", "a\u200e", "a\x1f", "a\x7f"],
    "composed": ["\u00e9", "e\u0301"],
    "infinite": [np.inf, -np.inf, 0.0],
    "infinite and text": [np.inf, "inf", -np.inf, "-inf", 1, "1"],
}
STRANGE = [
    "line\u2028 \u2029 \u0085 \x0b \x1c \r\n\t end",
    "\u202eright to left\u202c \u200f",
    "\0",
    "long " * 200,
    "__proto__",
    "constructor",
    "a.b['c'].d[0]",
    "back\\slash \\u0041 \\",
    "${x} `x` {{x}} %s",
    "$x_1$ <b>&amp;</b> \"'",
]
TWO = {k: MODELS[k] for k in ("dense", "harmed")}


def report_of(values, models=TWO, name="group"):
    column = np.empty(N, dtype=object)
    column[:] = [values[k % len(values)] for k in range(N)]
    groups = pd.DataFrame({name: column}, dtype=object)
    return make_report(models, sensitive_features=groups, n_boot=20)


@pytest.mark.parametrize("values", ALIKE.values(), ids=ALIKE)
def test_groups_that_look_alike_stay_apart(values, tmp_path):
    assert len(encode_groups([*values, *values], 2 * len(values)).names) == len(values)
    report = report_of(values)
    n, texts = len(values), distinct_labels(values)
    assert len({" ".join(text.split()) for text in texts}) == n
    assert all(text.isprintable() for text in texts)
    again = AuditReport.from_json(report.to_json())
    assert again.to_json() == report.to_json()
    for one in (report, again):
        assert one.by_group.loc["dense"].index.nunique() == n
        assert one.to_frame()["group"].nunique() == n + 1
        assert str(one) == str(report)
        for path in one.to_csv(tmp_path):
            if path.stem in ("by_group", "changes", "changed_rows"):
                read = pd.read_csv(path, dtype=str, keep_default_na=False)
                assert read["group"].nunique() == n
    assert set(compare_reports(report, again)["verdict"]) == {"same"}
    shown = displays.GroupPathDisplay.from_report(report)
    assert len(set(shown.groups)) == n
    plt.close("all")


def test_infinite_numbers_have_names_in_files():
    assert file_labels([1.5, np.inf, True]) == {1.5: 1.5, np.inf: "inf", True: True}
    assert list(file_labels([np.inf, "inf"]).values()) == ["inf", "'inf'"]


def test_parts_of_intersections_are_told_apart():
    assert distinct_labels([(1, "f"), ("1", "f")]) == ["1 & f", "'1' & f"]
    assert distinct_labels([("a & b", "c"), ("a", "b & c")]) == [
        "'a & b' & 'c'",
        "'a' & 'b & c'",
    ]


@pytest.mark.parametrize("draw", ["GroupPathDisplay", "TradeOffDisplay"])
def test_plots_of_strange_names(draw):
    models = {f"{name} model": TWO["harmed"] for name in STRANGE}
    report = report_of(STRANGE, {"dense": TWO["dense"]} | models, name=STRANGE[0])
    display = getattr(displays, draw).from_report(report)
    display.figure_.canvas.draw()
    drawn = {text.get_text() for text in display.figure_.findobj(Text)} - {""}
    plt.close("all")
    assert len(drawn) >= len(STRANGE)  # each has a text of its own


@pytest.mark.parametrize("name", [n for n in STRANGE if n != "\0"])
def test_strange_names_of_features_and_models(name, tmp_path):
    report = report_of(["x", "y"], {"dense": TWO["dense"], name: TWO["harmed"]}, name=name)
    again = AuditReport.from_json(report.to_json(tmp_path / "a.json"))
    assert again.to_json() == report.to_json()
    assert str(again) == str(report)
    assert set(compare_reports(report, again)["verdict"]) == {"same"}
    report.to_csv(tmp_path)
