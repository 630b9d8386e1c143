"""The dashboard's page in a real browser: clicked through, without a network."""

import importlib.util

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris, make_regression
from sklearn.linear_model import LogisticRegression

from sklearn_fairprune import PrunedClassifier, PrunedRegressor
from sklearn_fairprune.report.dashboards import to_fairness_dashboard

HOSTILE = ["</script><script>document.title='x'</script>", "B`${x}\\", "<b>R&amp;D</b>"]
WIDE = {"viewport": {"width": 1400, "height": 1000}}
OPTIONS = {"n_boot": 50, "min_group_size": 1}


@pytest.fixture(autouse=True, scope="module")
def _front_end():
    if importlib.util.find_spec("raiwidgets") is None:
        pytest.skip("needs the widget files: pip install --no-deps raiwidgets")


class Dashboard:
    """The dashboard's page, by what a person does on it."""

    def __init__(self, page, problems):
        self.page, self.problems = page, problems

    def text(self):
        """What is written on the page, without invisible characters."""
        return self.page.inner_text("body").replace("\u2060", "")

    def next(self, text):
        """Go on, to the page with this text."""
        self.page.get_by_role("button", name="Next", exact=True).click()
        self.page.get_by_text(text).first.wait_for()

    def row(self, name):
        """Choose a row of a list, such as a metric."""
        self.page.get_by_role("row").filter(has_text=name).first.click()

    def choose(self, dropdown, option):
        self.page.locator(f"#{dropdown}").click()
        self.page.get_by_role("option", name=option, exact=True).click()

    def chosen(self, dropdown):
        return self.page.locator(f"#{dropdown}-option").inner_text()

    def open_model(self, position):
        point = self.page.locator(".scatterlayer .points path").nth(position)
        point.click(force=True)
        self.page.get_by_text("Assessment results for").wait_for()

    def chart_texts(self, selector):
        """Texts of a chart, without invisible characters."""
        found = self.page.locator(selector).all_text_contents()
        return [text.replace("\u2060", "").strip() for text in found]

    def table(self):
        """Cells of the model's table, by group."""
        rows = self.page.locator("[data-automationid=DetailsRow]")
        rows.first.wait_for()
        cells = [row.inner_text().replace("\u2060", "").split("\n") for row in rows.all()]
        return {row[0]: row[1:] for row in cells}


@pytest.fixture
def dashboard(open_page, tmp_path):
    def write_and_open(data):
        opened = Dashboard(*open_page(data.dashboard_html(tmp_path / "page.html"), **WIDE))
        opened.page.get_by_text("Along which features").wait_for()
        return opened

    return write_and_open


@pytest.fixture(scope="module")
def people():
    """A dense model and three pruned ones; the last predicts one class only."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 6)).astype("float32")
    y = np.where(X[:, :3].sum(axis=1) + rng.normal(size=400) > 0, "yes", "no")
    groups = pd.DataFrame(
        {"odd": rng.choice(HOSTILE, 400), "old": rng.choice([0, 1], 400)},
    )
    clf = PrunedClassifier(hidden_layer_sizes=(8,), finetune_epochs=2, random_state=0)
    path = clf.pruning_path(X[:200], y[:200], sparsities=[0, 0.5, 0.9])
    names = ["<i>dense</i>", "half", "tenth"]
    models = dict(zip(names, path.estimators, strict=True))
    always = LogisticRegression().fit(X, y)
    always.coef_, always.intercept_ = 0 * always.coef_, always.intercept_ + 1
    X, y, groups = X[200:], y[200:], groups[200:]
    data = to_fairness_dashboard(
        models | {"always": always}, X, y, sensitive_features=groups, **OPTIONS
    )
    assert data.model_names[-1] == "always (predicts only yes)"
    return data


def test_from_the_first_question_to_one_model(people, dashboard, screenshot):
    shown = dashboard(people)
    page = shown.page
    for text in ["odd", "old", "odd & old", *HOSTILE, "Label 1 is yes, label 0 is no."]:
        assert text in shown.text()
    screenshot(page, "1-features")
    shown.row("odd & old")
    shown.row("This feature has 3 unique values")
    shown.next("How do you want to measure performance?")
    for text in ["Excessive loss", "Accuracy drop", "Loss", "minus that of '<i>dense</i>'"]:
        assert text in shown.text()
    shown.row("the cost of pruning")
    screenshot(page, "2-performance")
    shown.next("How do you want to measure fairness?")
    screenshot(page, "3-fairness")
    shown.next("Key insights")
    page.locator(".scatterlayer .points path").nth(3).wait_for()
    assert shown.chart_texts(".scatterlayer .textpoint") == people.model_names
    assert shown.chosen("sensitiveFeatureDropdown") == "odd"
    assert shown.chosen("performanceMetricDropdown") == "Excessive loss"
    assert "Excessive loss ranges from" in shown.text()
    screenshot(page, "4-comparison")
    shown.open_model(2)
    assert "Assessment results for tenth" in shown.text()
    check_table(shown.table(), people.to_dict(), 0, 2, "excessive_loss")
    assert sorted(shown.chart_texts("#outcomePlot .ytick text")) == sorted(HOSTILE)
    screenshot(page, "5-model")
    shown.choose("chartSelectionDropdown", "False positive and false negative rates")
    page.locator("#performancePlot .bars").first.wait_for()
    assert page.locator("#performancePlot .errorbar").count() == 6
    screenshot(page, "6-rates")
    assert page.title() == "Fairness dashboard"
    assert not shown.problems


def check_table(table, dictionary, feature, model, key):
    """The model's table holds the numbers of the dictionary, as plain numbers."""
    entry = dictionary["precomputedMetrics"][feature][model][key]
    labels = dictionary["precomputedFeatureBins"][feature]["binLabels"]
    assert list(table) == ["Overall", *labels]
    shown = [float(cells[0]) for cells in table.values()]
    np.testing.assert_allclose(shown, [entry["global"], *entry["bins"]], rtol=6e-3)


def test_numbers_stay_groups_and_the_choice_can_change(people, dashboard, screenshot):
    shown = dashboard(people)
    shown.row("old")
    shown.next("How do you want to measure performance?")
    shown.next("How do you want to measure fairness?")
    shown.next("Key insights")
    for name, key in [("Accuracy drop", "accuracy_drop"), ("Loss", "loss")]:
        shown.choose("performanceMetricDropdown", name)
        shown.choose("sensitiveFeatureDropdown", "old")
        shown.open_model(1)
        check_table(shown.table(), people.to_dict(), 1, 1, key)
        assert sorted(shown.chart_texts("#outcomePlot .ytick text")) == ["0", "1"]
        shown.page.get_by_role("button", name="Back to all models").click()
        shown.page.locator(".scatterlayer .points path").nth(3).wait_for()
    screenshot(shown.page, "7-loss")
    assert not shown.problems


def test_unknown_numbers_are_shown_as_such(dashboard, screenshot):
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    models = {"dense": LogisticRegression(max_iter=500), "weak": LogisticRegression(C=1e-3)}
    models = {name: model.fit(X, names) for name, model in models.items()}
    groups = np.where(names == "virginica", "all virginica", "others")
    data = to_fairness_dashboard(
        models, X, names, sensitive_features=groups, positive_class="virginica", **OPTIONS
    )
    shown = dashboard(data)
    assert "label 0 is every other class" in shown.text()
    shown.next("How do you want to measure performance?")
    shown.row("Error over all classes")
    shown.next("How do you want to measure fairness?")
    shown.next("Key insights")
    shown.open_model(1)
    table = shown.table()
    check_table(table, data.to_dict(), 0, 1, "error_all_classes")
    header = shown.page.locator("[role=columnheader]").all_inner_texts()
    assert header[-1].strip() == "False negative rate"
    assert ["NaN" in rate for rate in table["all virginica"][-2:]] == [True, False]
    assert ["NaN" in rate for rate in table["others"][-2:]] == [False, True]
    shown.choose("chartSelectionDropdown", "False positive and false negative rates")
    shown.page.locator("#performancePlot .bars").first.wait_for()
    screenshot(shown.page, "8-unknown")
    assert not shown.problems


def test_regression(dashboard, screenshot):
    X, y = make_regression(200, n_features=4, noise=5, random_state=0)
    X, y = X.astype("float32"), (y / y.std()).astype("float32")
    reg = PrunedRegressor(hidden_layer_sizes=(8,), finetune_epochs=2, random_state=0)
    path = reg.pruning_path(X, y, sparsities=[0, 0.5])
    groups = {"sex": np.where(X[:, 0] > 0, "female", "male")}
    data = to_fairness_dashboard(path, X, y, sensitive_features=groups, **OPTIONS)
    shown = dashboard(data)
    shown.next("How do you want to measure performance?")
    shown.row("the cost of pruning")
    shown.next("How do you want to measure fairness?")
    shown.next("Key insights")
    shown.open_model(1)
    assert "Assessment results for sparsity 0.5" in shown.text()
    check_table(shown.table(), data.to_dict(), 0, 1, "excessive_loss")
    screenshot(shown.page, "9-regression")
    assert not shown.problems
