"""The page in one file: with a tiny front end of our own, and with the real one if there."""

import importlib.util
import json
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sklearn_fairprune.report.dashboards import static_page, to_fairness_dashboard
from sklearn_fairprune.report.dashboards.static_page import chart_text, template_literal

HOSTILE = ["</script><script>document.title='x'</script>", "B`${x}\\", "<!-- \u2028 é"]
INDEX = '<div id="__rai_app_id__"></div><script src="{}"></script><script src="b.js"></script>'
SCRIPT = """
config("__rai_config__"); data("__rai_model_data__"); at("#__rai_app_id__");
"precomputedMetrics precomputedFeatureBins </script> <!--"
"""


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 2))
    y = np.where(X[:, 0] > 0, "yes", "no")
    y[:30] = "yes"  # the first group has no negatives
    model = LogisticRegression().fit(X, y)
    return to_fairness_dashboard(
        {"dense <b>": model, "same": model},
        X,
        y,
        sensitive_features=np.repeat(HOSTILE, 30),
        min_group_size=1,
        n_boot=10,
    )


@pytest.fixture
def widget(tmp_path, monkeypatch):
    """A front end of two lines, found as raiwidgets."""
    folder = tmp_path / "raiwidgets" / "widget"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise SystemError('was imported')")
    (folder / "index.html").write_text(INDEX.format("a.js"))
    (folder / "a.js").write_text(SCRIPT)
    (folder / "b.js").write_text("second()")
    licence = tmp_path / "raiwidgets-0.dist-info" / "LICENSE"
    licence.parent.mkdir()
    licence.write_text("as is <b>")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return folder


class Scripts(HTMLParser):
    """Contents of the script elements, as a browser splits them."""

    def __init__(self, page):
        super().__init__()
        self.found, self.inside = [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.inside = tag == "script"
        if self.inside:
            self.found.append("")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, text):
        if self.inside:
            self.found[-1] += text


def literal(text):
    """Value of a JavaScript template literal without substitutions."""
    assert not re.search(r"(?<!\\)(\\\\)*(`|\$\{)", text)
    return re.sub(r"\\(x3c|.)", lambda m: "<" if m[1] == "x3c" else m[1], text)


def test_page_holds_the_data_as_data(data, widget, tmp_path):
    path = data.dashboard_html(tmp_path / "page.html")
    page = path.read_text("utf-8")
    assert path == tmp_path / "page.html"
    assert "raiwidgets" not in sys.modules
    own, first, second = Scripts(page).found
    assert "insertRule" in own
    assert second == "second()"
    assert "<!--" not in page
    assert "__rai_" not in page
    assert f'at("#{static_page.NAME}")' in first
    assert f'<div id="{static_page.NAME}">' in page
    config, payload = re.findall(r"\(`(.*?)`\);", first)
    assert json.loads(literal(config))["dashboardType"] == "Fairness"
    assert json.loads(literal(config))["baseUrl"] is None
    payload = json.loads(literal(payload))  # Python reads NaN, as the front end does
    dictionary = data.to_dict()
    assert payload["true_y"] == dictionary["trueY"]
    assert payload["predicted_ys"] == dictionary["predictedY"]
    assert payload["customMetrics"] == dictionary["customMetrics"]
    labels = payload["precomputedFeatureBins"][0]["binLabels"]
    assert [label.replace("\u2060", "") for label in labels] == sorted(HOSTILE)
    assert "</b>" not in "".join(payload["model_names"])


def test_unknown_numbers_are_nan_on_the_page(data, widget, tmp_path):
    group = sorted(HOSTILE).index(HOSTILE[0])
    entry = data.to_dict()["precomputedMetrics"][0][0]["fallout_rate"]
    assert entry["bins"][group] is None
    entry = static_page.page_data(data.to_dict())["precomputedMetrics"][0][0]["fallout_rate"]
    assert np.isnan(entry["bins"][group])
    assert np.isnan(entry["binBounds"][group]["upper"])


def test_notes_policy_and_licence_are_on_the_page(data, widget, tmp_path):
    page = data.dashboard_html(tmp_path / "page.html").read_text("utf-8")
    assert '<p class="note">Label 1 is yes, label 0 is no.</p>' in page
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page
    assert "as is &lt;b&gt;" in page
    path = static_page.dashboard_html(data.to_dict(), tmp_path / "page.html", HOSTILE)
    page = path.read_text("utf-8")
    assert len(Scripts(page).found) == 3
    assert "&lt;/script&gt;&lt;script&gt;document.title=" in page


def test_missing_front_end(data, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"`pip install --no-deps raiwidgets`"):
        data.dashboard_html(tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("script", "lacks"),
    [
        (SCRIPT.replace("__rai_config__", "x"), 'place "__rai_config__"'),
        (SCRIPT.replace('"__rai_model_data__"', "x"), 'place "__rai_model_data__"'),
        (SCRIPT.replace("__rai_app_id__", "x"), "place __rai_app_id__"),
        (SCRIPT.replace("precomputedMetrics", "x"), "word precomputedMetrics"),
    ],
)
def test_another_front_end_is_refused(data, widget, tmp_path, script, lacks):
    (widget / "a.js").write_text(script)
    with pytest.raises(RuntimeError, match=re.escape(lacks)) as caught:
        data.dashboard_html(tmp_path / "page.html")
    assert "pip install --no-deps raiwidgets==" in str(caught.value)
    assert not (tmp_path / "page.html").exists()


def test_a_script_that_is_not_there_is_named(data, widget, tmp_path):
    (widget / "index.html").write_text(INDEX.format("gone.js"))
    with pytest.raises(RuntimeError, match=r"it lacks: file gone\.js"):
        data.dashboard_html(tmp_path / "page.html")


def test_template_literal_comes_back_the_same():
    for text in [*HOSTILE, "\\`", "$${", "\\\\${`}", "<script>"]:
        made = template_literal(json.dumps(text))
        assert "<" not in made
        assert json.loads(literal(made[1:-1])) == text


def test_chart_text_looks_the_same():
    for text in ["2020", "<b>x</b>", "R&amp;D", "-1", "women", "a < b & c", ""]:
        shown = chart_text(text)
        assert shown.replace("\u2060", "") == text
        assert not re.search(r"</?\w|&\w+;", shown)
        assert not shown[:1].isdigit()
    assert chart_text("women") == "women"


def test_real_front_end(data, tmp_path):
    if importlib.util.find_spec("raiwidgets") is None:
        pytest.skip("needs the widget files: pip install --no-deps raiwidgets")
    page = data.dashboard_html(tmp_path / "page.html").read_text("utf-8")
    scripts = Scripts(page).found
    assert len(scripts) >= 3
    assert not re.search("__rai_[a-z_]+__", page)
    assert sum("predicted_ys" in script for script in scripts) == 1
    assert "MIT License" in page
