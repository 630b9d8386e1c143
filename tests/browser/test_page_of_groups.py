"""The page of groups of very different sizes: who pays, small groups, narrow windows."""

import numpy as np
import pytest

from sklearn_fairprune import audit_predictions

pytest.importorskip("vl_convert")

SIZES = {"African-American": 900, "Caucasian": 700, "Hispanic": 300, "Other": 200}
SIZES |= {"Asian": 20, "Native American": 9}
RACE = np.repeat([*SIZES], [*SIZES.values()])
Y = np.arange(len(RACE)) % 2
READY = "html[data-ready=yes]"


def wrong(share, worse):
    """Labels that are wrong in this share of the rows of each group, in more of one."""
    place = np.concatenate([np.arange(n) / n for n in SIZES.values()])
    return np.where(place < np.where(worse == RACE, 4 * share, share), 1 - Y, Y)


LABELS = {
    "dense": wrong(0.02, "none"),
    "pruned 50 %": wrong(0.03, "Asian"),
    "pruned 90 %": wrong(0.08, "Caucasian"),
    "pruned 95 %": np.ones_like(Y),
}
NUMBERS = {"labels": LABELS, "probabilities": {k: 0.1 + 0.8 * v for k, v in LABELS.items()}}


@pytest.fixture(scope="module", params=["labels", "probabilities"])
def report(request):
    with pytest.warns(UserWarning, match="Asian"):
        return audit_predictions(
            Y, NUMBERS[request.param], sensitive_features={"race": RACE}, n_boot=40
        )


@pytest.fixture(scope="module")
def file(report, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "groups.html"
    report.to_html(path)
    return path


@pytest.fixture
def open_ready(file, open_page):
    def opened(width, **options):
        size = {"width": width, "height": 844}
        page, problems = open_page(file, viewport=size, **options)
        page.on("console", lambda m: m.type == "warning" and problems.append(m.text))
        page.wait_for_selector(READY)
        return page, problems

    return opened


def spoken(page):
    marks = page.locator("#chart-forest path[aria-roledescription=point]")
    return marks.evaluate_all("ms => ms.map(m => [m.ariaLabel, m.getAttribute('fill')])")


def test_the_forest_says_who_pays(open_ready, report):
    page, problems = open_ready(1280)
    heard = dict(spoken(page))
    row = report.by_group.loc[("pruned 90 %", "Caucasian")]
    drop, low, high = (
        f"{100 * row[k]:.1f}"
        for k in ("accuracy_drop", "accuracy_drop_low", "accuracy_drop_high")
    )
    told = f"Caucasian, pruned 90 %: Accuracy drop {drop}, 95 % interval {low} to {high}, "
    assert heard[f"{told}700 rows, pays most"] == "var(--g1)"
    few = {
        text.split(",")[0]: colour for text, colour in heard.items() if "fewer than" in text
    }
    assert few == {"Asian": "var(--mute)", "Native American": "var(--mute)"}
    labels = page.locator("#chart-forest .mark-text.role-axis-label text").all_text_contents()
    rows = [text for text in labels if text.strip().endswith(")")]
    assert rows[0] == "Caucasian (700)"
    assert set(rows[-2:]) == {"Asian (20)", "Native American (9)"}
    caption = page.locator("#caption-forest").inner_text()
    assert "Caucasian pays most." in caption
    assert "negligible, up to 0.5 points" in caption
    page.select_option("#detail", label="pruned 50 %")
    page.wait_for_timeout(300)
    assert not any("pays most" in text for text, _ in spoken(page))
    verdict = report.payers.loc[("pruned 50 %", "decisions"), "verdict"]
    caption = page.locator("#caption-forest").inner_text()
    assert f"Who pays most: {verdict}." in caption
    assert problems == []


def test_the_group_followed_first_is_the_payer(open_ready):
    page, _ = open_ready(1280)
    assert page.input_value("#follow") == "Caucasian"


OUTSIDE = """() => [...document.querySelectorAll('.chart svg.marks')].flatMap(svg => {
  const box = svg.getBoundingClientRect();
  const cut = (r) => r.width && (r.left < box.left - 1 || r.right > box.right + 1 ||
    r.top < box.top - 1 || r.bottom > box.bottom + 1);
  return [...svg.querySelectorAll('text')].filter(t => cut(t.getBoundingClientRect()) ||
    t.textContent.endsWith('…')).map(t => t.textContent);
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut_off_or_wider_than_the_window(open_ready, screenshot, width, scheme):
    page, problems = open_ready(width, color_scheme=scheme)
    for measure in page.locator("#measure option").all_inner_texts():
        page.select_option("#measure", label=measure)
        page.wait_for_timeout(100)
        assert page.evaluate(OUTSIDE) == []
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".scroll:visible").count() > 4
    screenshot(page, f"groups-{width}-{scheme}")
    assert problems == []


def test_axes_of_the_trade_off_fit_the_data(open_ready):
    page, _ = open_ready(1280)
    page.locator("#models summary").click()
    page.uncheck("input[name=model][value='3']")
    page.wait_for_timeout(300)
    labels = page.locator("#chart-tradeoff .role-axis-label text").all_text_contents()
    numbers = [float(text) for text in labels]
    assert min(n for n in numbers if n > 70) >= 80
    assert max(numbers) <= 100


def test_groups_of_few_rows_alone_have_no_payer(open_page, tmp_path):
    keep = np.arange(len(Y)) % 40 == 0
    with pytest.warns(UserWarning, match="min_group_size"):
        few = audit_predictions(
            Y[keep],
            {name: labels[keep] for name, labels in LABELS.items()},
            sensitive_features=RACE[keep],
            n_boot=20,
        )
    few.overall["sparsity"] = [0, 0.5, 0.9, 0.95]
    few.to_html(tmp_path / "few.html")
    page, problems = open_page(tmp_path / "few.html")
    page.wait_for_selector(READY)
    assert page.input_value("#follow") == ""
    assert {colour for _, colour in spoken(page)} == {"var(--mute)"}
    assert problems == []
