"""The page of an audit in a real browser: it loads, every choice works, nothing escapes."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from sklearn_fairprune import GroupConstrainedPruner, PrunedClassifier, PrunedRegressor, audit

pytest.importorskip("vl_convert")
torch.set_num_threads(1)

HOSTILE = "</script><script>window.hacked = 1</script>"
IMAGE = '"><img src=x onerror="window.hacked = 2">'
RNG = np.random.default_rng(0)
N = 240
X = RNG.normal(size=(N, 4))
SEX = RNG.choice(["f", HOSTILE], N)
AGE = RNG.choice(["`${old}\\", IMAGE, "young & old"], N)
PEOPLE = pd.DataFrame({"sex": SEX, "<b>age</b>": AGE})
Y = np.where(X[:, 0] + X[:, 1] * (SEX == "f") + 0.3 * RNG.normal(size=N) > 0, "yes", "no")
READY = "html[data-ready=yes]"


def pruner(kind=PrunedClassifier, **options):
    given = {"hidden_layer_sizes": (8,), "finetune_epochs": 20, "random_state": 0} | options
    return kind(**given)


@pytest.fixture(scope="module")
def report():
    path = pruner().pruning_path(X, Y, sparsities=[0, 0.5, 0.9])
    models = {
        "dense": path.estimators[0],
        "half": path.estimators[1],
        "tenth": path.estimators[2],
        f"held {HOSTILE}": GroupConstrainedPruner(
            pruner(sparsity=0.6), stage="both", holdout=0.2, tolerance=9.0
        ).fit(X, Y, sensitive_features=SEX),
        "no network": LogisticRegression().fit(X, Y),
    }
    return audit(
        models, X, Y, sensitive_features=PEOPLE, explain=True, n_boot=50, min_group_size=1
    )


@pytest.fixture(scope="module")
def file(report, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    report.to_html(path)
    return path


@pytest.fixture
def page(file, open_page):
    page, problems = open_page(file)
    page.wait_for_selector(READY)
    yield page
    assert problems == []


def choose(page, control, value):
    """Choose in a select by what a reader sees, and wait for the charts."""
    page.select_option(f"#{control}", label=value)
    page.wait_for_timeout(300)


def spoken(page, chart):
    """What a screen reader hears of the marks of a chart."""
    marks = page.locator(f"#{chart} [aria-roledescription]")
    return [m for m in marks.evaluate_all("ms => ms.map(m => m.ariaLabel)") if m]


def test_it_is_one_small_file(file):
    assert 0.8e6 < file.stat().st_size < 1.5e6  # the README says about 1 MB


def test_what_a_reader_sees_first(page, report):
    assert page.title().startswith("What pruning costs each group")
    assert page.locator(".lead:visible").inner_text()
    assert page.locator(".glance:visible tbody tr").count() == 5
    for chart in ("forest", "path", "tradeoff", "bars", "training-0"):
        assert page.locator(f"#chart-{chart} svg.marks").count() == 1
    names = page.locator(".glance:visible tbody th").all_inner_texts()
    assert names == list(report.overall.index)


def test_the_numbers_are_those_of_the_report(page, report):
    choose(page, "feature", "sex")
    row = report.by_feature["sex"].by_group.loc[("tenth", "f")]
    heard = [s for s in spoken(page, "chart-path") if s.startswith("f, tenth: Accuracy")]
    assert len(heard) == 1
    assert f"Accuracy {100 * row['accuracy']:.1f}" in heard[0]
    assert f"{100 * row['accuracy_low']:.1f} to {100 * row['accuracy_high']:.1f}" in heard[0]
    assert f"{int(row['rows'])} rows" in heard[0]


def test_the_sensitive_feature_is_chosen(page, report):
    for feature in ("sex", "<b>age</b>", "sex & <b>age</b>"):
        choose(page, "feature", feature)
        part = report.by_feature[feature]
        labels = part.by_group.loc["dense"].index.map(np.atleast_1d)
        groups = {" & ".join(label) for label in labels}
        tables = page.locator("[data-feature]:visible")
        assert {t.get_attribute("data-feature") for t in tables.all()} == {
            str(list(report.by_feature).index(feature))
        }
        heard = " ".join(spoken(page, "chart-path"))
        for group in groups:
            assert group in heard
        assert page.locator(".lead:visible").count() == 1
        follow = set(page.locator("#follow option").all_inner_texts())
        assert {" ".join(g.split()) for g in groups} | {"all"} == follow


def test_the_measure_is_chosen(page, report):
    for measure, column, scale in (
        ("Loss J", "loss", 1),
        ("Excessive loss R", "excessive_loss", 1),
        ("Accuracy drop", "accuracy_drop", 100),
    ):
        choose(page, "feature", "sex")
        choose(page, "measure", measure)
        value = report.by_feature["sex"].by_group.loc[("half", "f"), column] * scale
        heard = [s for s in spoken(page, "chart-path") if s.startswith("f, half")]
        number = float(heard[0].split(f"{measure} ")[1].split(",")[0])
        assert number == pytest.approx(value, abs=0.051 if scale == 100 else 0.0006)
        assert measure in page.locator("#caption-path").inner_text()
        assert measure in page.locator("#caption-bars").inner_text()


def test_the_disparity_is_chosen(page, report):
    choose(page, "disparity", "Fairness violation xi")
    heard = [s for s in spoken(page, "chart-tradeoff") if s.startswith("tenth")]
    assert f"xi {report.overall.loc['tenth', 'fairness_violation']:.3f}" in heard[0]


def test_models_are_chosen(page):
    page.click("#models summary")
    page.uncheck("input[name=model][value='4']")
    page.wait_for_timeout(300)
    assert page.locator(".glance:visible tbody tr:visible").count() == 4
    assert not any("no network" in s for s in spoken(page, "chart-tradeoff"))
    for k in range(4):
        page.locator(f"input[name=model][value='{k}']").click()
    assert page.locator("input[name=model]:checked").count() == 1  # never none


def test_a_model_is_looked_at_in_detail(page, report):
    for model in ("half", "tenth", f"held {HOSTILE}", "no network"):
        choose(page, "detail", model)
        assert page.locator(".detail-name").first.inner_text() == model
        assert any(model in s for s in spoken(page, "chart-bars"))
        shown = page.locator("#h-changes ~ div [data-detail]:visible th[scope=row]")
        assert set(shown.all_inner_texts()) == {model}
        why = page.locator("section:has(#h-why)")
        assert (why.locator("tbody tr:visible").count() > 0) == (model != "no network")
        empty = why.get_by_text("No diagnosis of this model")
        assert empty.is_visible() == (model == "no network")
        layers = page.locator("#caption-layers").inner_text()
        assert ("holds no network" in layers) == (model == "no network")
        details = page.locator("#h-changes ~ div details:visible")
        n_changed = len(report.changed_rows.loc[[model]])
        assert f"The {n_changed} rows whose prediction changed" in details.first.inner_text()


def test_a_group_is_followed(page):
    choose(page, "feature", "sex")
    choose(page, "follow", "f")
    assert page.locator("#follow").input_value() == "f"
    choose(page, "feature", "<b>age</b>")
    assert page.locator("#follow").input_value() == ""  # there is no such group here


def test_training_under_the_constraint(page, report):
    assert page.locator("#chart-training svg.marks").count() == 3
    for k, column in enumerate(("multiplier", "violation", "holdout_violation")):
        last = report.training[report.training["group"] == "f"].iloc[-1]
        heard = [s for s in spoken(page, f"chart-training-{k}") if s.startswith("f, epoch")]
        assert heard[-1].endswith(f"{last[column]:.3f}")
    row = page.locator("section:has(#h-training) .scroll").first.locator("tbody tr")
    assert row.inner_text().split("\t")[1:] == [
        "equal_loss",
        "both",
        "9",
        f"{report.constraints['largest_violation'].iloc[0]:+.3g}",
        "holdout rows",
        "yes",
        report.constraints["outcome"].iloc[0].replace("_", " "),
    ]


def test_text_stays_text(page):
    for feature in page.locator("#feature option").all_inner_texts():
        choose(page, "feature", feature)
    page.locator("#chart-tradeoff path[aria-roledescription]").last.hover()
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None
    assert page.locator("img, b").count() == 0
    assert page.locator("body script").count() == 4
    assert HOSTILE in page.locator(".glance").first.inner_text()


def test_a_script_that_got_in_would_not_run(file, open_page):
    page, problems = open_page(file)
    page.wait_for_selector(READY)
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = "
        "'window.hacked = 3'; document.body.append(s); }"
    )
    page.evaluate("() => { new Image().src = 'https://example.org/x.png'; }")
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None
    assert any("Content Security Policy" in p for p in problems)


def test_a_saved_chart_stands_alone(file, open_page, tmp_path):
    image = pytest.importorskip("matplotlib.image")
    page, problems = open_page(file, color_scheme="dark")
    page.wait_for_selector(READY)
    for kind in ("svg", "png"):
        with page.expect_download() as download:
            page.locator("#chart-tradeoff").get_by_text(f"Save as {kind.upper()}").click()
        download.value.save_as(tmp_path / f"chart.{kind}")
        assert download.value.suggested_filename == f"chart-tradeoff.{kind}"
    svg = (tmp_path / "chart.svg").read_text(encoding="utf-8")
    assert "var(" not in svg
    assert "#0072b2" in svg
    pixels = image.imread(tmp_path / "chart.png")[..., :3]
    assert (pixels[:5] == 1).all()  # white paper, in the dark too
    blue = np.abs(pixels - np.array([0, 0x72, 0xB2]) / 255).max(axis=-1) < 0.01
    assert blue.sum() > 50
    assert problems == []


def test_the_keyboard_is_enough(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    seen = []
    for _ in range(7):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id"))
    assert seen[:5] == ["theme", "feature", "measure", "detail", "follow"]
    page.focus("#feature")
    page.keyboard.press("ArrowDown")
    page.wait_for_timeout(300)
    assert "by sex," in page.locator("#status").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_phone_and_desktop_dark_and_light(file, open_page, screenshot, width, scheme):
    size = {"width": width, "height": 844}
    page, problems = open_page(file, viewport=size, color_scheme=scheme)
    page.wait_for_selector(READY)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != paper
    page.click("#theme")
    screenshot(page, f"page-{width}-{scheme}")
    assert problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility_rules(file, open_page, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page, _ = open_page(file, color_scheme=scheme, bypass_csp=True)
    page.wait_for_selector(READY)
    found = axe.Axe().run(page).response["violations"]
    assert [(v["id"], [n["target"] for n in v["nodes"]]) for v in found] == []


def test_print_shows_everything_on_white(file, open_page):
    page, problems = open_page(file, color_scheme="dark")
    page.wait_for_selector(READY)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("#controls").is_hidden()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(26, 26, 26)"
    assert page.locator("main details:not([open])").count() == 0
    assert len(page.pdf()) > 10_000
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("main details[open]").count() == 0
    assert problems == []


def test_without_scripts_every_number_is_there(file, open_page, report):
    page, _ = open_page(file, java_script_enabled=False)
    assert page.locator("#controls").is_hidden()
    assert page.locator(".glance:visible").count() == len(report.by_feature)
    assert page.locator("noscript").is_visible()


def shown(open_page, report, tmp_path):
    report.to_html(tmp_path / "r.html")
    page, problems = open_page(tmp_path / "r.html")
    page.wait_for_selector(READY)
    assert problems == []
    return page


def test_a_regressor(open_page, tmp_path):
    path = pruner(PrunedRegressor).pruning_path(X, X[:, 0], sparsities=[0, 0.9])
    report = audit(path, X, X[:, 0], sensitive_features=SEX, n_boot=20, explain=True)
    page = shown(open_page, report, tmp_path)
    assert "Accuracy" not in page.locator("#measure").inner_text()
    assert page.locator("#h-changes").count() == 0
    assert "R2" in page.locator("section:has(#h-why)").inner_text()


def test_one_model_alone(open_page, tmp_path):
    report = audit({"only": pruner().fit(X, Y)}, X, Y, n_boot=20)
    page = shown(open_page, report, tmp_path)
    assert "nothing to compare" in page.locator(".lead").inner_text()


@pytest.mark.slow
def test_many_groups_and_groups_of_one_row(open_page, tmp_path):
    path = pruner().pruning_path(X, Y, sparsities=[0, 0.5, 0.9])
    groups = np.append(np.arange(N - 1) % 49, 49)
    report = audit(
        path, X, Y, sensitive_features=groups, n_boot=20, explain=True, min_group_size=0
    )
    page = shown(open_page, report, tmp_path)
    assert len([s for s in spoken(page, "chart-path") if "interval" in s]) == 150
    assert "choose a group to follow" in page.locator("#caption-path").inner_text()
    choose(page, "measure", "Loss J")
    alone = [s for s in spoken(page, "chart-path") if s.startswith("49,")]
    assert all("interval unknown, 1 rows" in s for s in alone)
    assert len(alone) == 3


def test_names_that_every_object_has_and_none_at_all(open_page, tmp_path):
    names = np.array(["constructor", "__proto__", "toString", "", "all"])
    path = pruner().pruning_path(X, Y, sparsities=[0, 0.5])
    models = dict(zip(["constructor", "__proto__"], path.estimators, strict=True))
    groups = pd.Series(names[np.arange(N) % 5], name="__proto__")
    report = audit(models, X, Y, sensitive_features=groups, n_boot=20, min_group_size=1)
    page = shown(open_page, report, tmp_path)
    heard = [s.replace("\u200b", "") for s in spoken(page, "chart-path") if "interval" in s]
    for name in [*names[:3], "(empty)", "all"]:
        assert len([s for s in heard if s.startswith(f"{name}, ")]) == 2
    choose(page, "follow", "(empty)")
    assert "The band of (empty)" in page.locator("#caption-path").inner_text()


@pytest.mark.parametrize("width", [1280, 320])
def test_long_names_do_not_widen_the_page(open_page, tmp_path, width):
    models = dict(zip(["d" * 300, "p" * 300], [pruner().fit(X, Y)] * 2, strict=True))
    groups = pd.Series(np.where(SEX == "f", "f" * 300, "m m" * 100), name="s" * 300)
    audit(models, X, Y, sensitive_features=groups, n_boot=20).to_html(tmp_path / "r.html")
    page, problems = open_page(tmp_path / "r.html", viewport={"width": width, "height": 800})
    page.wait_for_selector(READY)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert problems == []


def test_sparsities_that_round_to_one_number_are_two_points(open_page, tmp_path):
    path = pruner().pruning_path(X, Y, sparsities=[0, 0.5, 0.9])
    report = audit(path, X, Y, sensitive_features=SEX, n_boot=20)
    report.overall["sparsity"] = [0, 0.9991, 0.9994]
    page = shown(open_page, report, tmp_path)
    axis = page.locator("#chart-path .role-axis-label").first.text_content()
    assert "0.9991" in axis
    assert "0.9994" in axis


STRANGE = [
    "line\u2028 \u2029 \u0085 \x0b \x1c \r\n\t end",
    "\u202eright to left\u202c \u200f",
    "\0",
    "long " * 200,
    "__proto__",
    "constructor",
    "a.b['c'].d[0]",
    "back\\slash \\u0041 \\",
    "${x} {{x}} %s $x_1$",
]


@pytest.mark.slow
def test_strange_names_draw_every_chart(open_page, tmp_path):
    column = np.array(STRANGE, dtype=object)[np.arange(N) % len(STRANGE)]
    path = pruner().pruning_path(X, Y, sparsities=[0, 0.5])
    models = {"dense": path.estimators[0]} | {name: path.estimators[1] for name in STRANGE}
    held = GroupConstrainedPruner(pruner(sparsity=0.6, finetune_epochs=1), tolerance=9.0)
    models["constrained.model['x']"] = held.fit(X, Y, sensitive_features=column)
    for name in ("a.b[0]\\ \u2028\0", "__proto__"):
        groups = pd.DataFrame({name: column}, dtype=object)
        report = audit(models, X, Y, sensitive_features=groups, n_boot=20, min_group_size=1)
        report.to_html(tmp_path / "strange.html")
        page, problems = open_page(tmp_path / "strange.html")
        page.wait_for_selector(READY)
        for chart in ("forest", "path", "tradeoff", "bars", "training-0", "layers"):
            assert page.locator(f"#chart-{chart} svg.marks").count() == 1
        for group in range(len(STRANGE)):
            page.select_option("#follow", index=group + 1)
        page.select_option("#detail", index=len(STRANGE) - 1)
        page.wait_for_timeout(300)
        heard = [s for s in spoken(page, "chart-bars") if "rows" in s]
        assert len(heard) == 2 * len(STRANGE)
        assert problems == []


def test_damage_along_the_budgets_of_fine_tuning(open_page, tmp_path, screenshot):
    """The chart is about the sparsity of the model in detail; the path has the longest."""
    path = pruner().pruning_path(X, Y, sparsities=[0, 0.5, 0.9], budgets=[1, 5, 40])
    report = audit(path, X, Y, sensitive_features=AGE, n_boot=50, min_group_size=1)
    page = shown(open_page, report, tmp_path)
    screenshot(page, "budgets")
    assert page.locator("#h-budgets").inner_text() == "With longer fine-tuning: sparsity 0.9"
    heard = [line for line in spoken(page, "chart-budgets") if "sparsity 0.9, " in line]
    assert len(heard) == 9
    for epochs in ("1 epoch", "5 epochs", "40 epochs"):
        row = report.by_group.loc[(f"sparsity 0.9, {epochs}", "young & old")]
        shown_drop = f"{100 * row['accuracy_drop']:.1f}".replace("-0.0", "0.0")
        start = f"young & old, sparsity 0.9, {epochs}: Accuracy drop "
        (text,) = (line for line in heard if line.startswith(start))
        assert text.removeprefix(start).replace("-0.0", "0.0").startswith(shown_drop)
    axes = "X-axis titled 'epochs of fine-tuning' for a discrete scale with 3 values: 1, 5, 40"
    assert axes in spoken(page, "chart-budgets")
    along = " ".join(spoken(page, "chart-path"))
    assert "sparsity 0.9, 40 epochs" in along
    assert "sparsity 0.9, 5 epochs" not in along
    assert "can be added under Models shown" in page.locator("#caption-path").inner_text()
    choose(page, "detail", "sparsity 0.5, 5 epochs")
    assert page.locator("#h-budgets").inner_text().endswith("sparsity 0.5")
    assert "sparsity 0.5, 1 epoch: " in " ".join(spoken(page, "chart-budgets"))
