"""Names drawn as they are, styles that differ, figures that errors close."""

import itertools
import pickle
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sklearn_fairprune.report import displays
from sklearn_fairprune.report.displays._style import (
    Display,
    canvas,
    check_choice,
    check_count,
    distinct_names,
    literal,
    per_cent,
    style,
    styles,
    write_legend,
)


def test_names_are_drawn_as_they_are(data):
    figure = plt.figure()
    for name in [*data.names, r"$\alpha$", "$", "$$", r"\$", r"a\$b$c$", "5 $ < 6 $"]:
        text = figure.text(0, 0, literal(name))
        assert data.same_picture(text), name
        drawn = literal(name).replace(r"\$", "$")
        if name.isprintable():
            assert drawn == name
    assert literal("a\nb\x00\ud800") == r"a\nb\x00\ud800"


def test_a_picture_of_mathematics_is_another(data):
    text = plt.figure().text(0, 0, r"a$b$c\$")
    assert not data.same_picture(text)


def test_names_are_distinct():
    assert distinct_names([1, "1", "a", ("f", "old")]) == ["1", "'1'", "a", "f & old"]
    long = [f"{'x' * 70}{k}{'y' * 70}" for k in range(2)]
    names = distinct_names([*long, "z" * 60])
    assert len(set(names)) == 3
    assert names[2] == "z" * 60
    assert max(map(len, names)) <= 65
    odd = distinct_names(["a", "a", "a (#1)", "a (#1)", "a (#1) (#1)"])
    assert len(set(odd)) == 5


def test_styles_differ():
    looks = [tuple(map(str, style(k).values())) for k in range(60)]
    assert len(set(looks)) == 60
    for one, two in itertools.pairwise(looks):
        assert all(a != b for a, b in zip(one, two, strict=True))
    assert len({look[1:] for look in looks[:55]}) == 55  # without colour


def test_looks_stay_with_the_group():
    assert styles([3, 1]) == {1: style(1), 3: style(3)}
    looks = styles([0, 6, 7, 12])
    assert len({look["color"] for look in looks.values()}) == 4
    assert looks[0] == style(0)
    assert looks[7] == style(7)  # nobody else wants it
    for k, look in looks.items():
        assert look["marker"] == style(k)["marker"]
    assert len({look["color"] for look in styles(range(20)).values()}) == 6


def test_legend_shows_what_begins_with_an_underscore():
    _, ax = plt.subplots()
    lines = ax.plot([0, 1], [[0, 1], [1, 2]])
    legend = write_legend(ax, lines, ["_a", "b"], outside=True, title="t")
    assert [t.get_text() for t in legend.get_texts()] == ["_a", "b"]
    assert len(legend.legend_handles) == 2


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0"), (0.5, "50"), (0.7969, "79.7"), (0.98, "98"), (0.9996, "99.96"), (1, "100")],
)
def test_per_cent(share, text):
    assert per_cent(share) == text


def test_choices_are_refused_by_name():
    with pytest.raises(ValueError, match=r"^m must be one of \['a', 'b'\], got \['a'\]"):
        check_choice("m", ["a"], "ab", "a", "")
    with pytest.raises(ValueError, match=r"^m must be .* got 'b': why. Use m='a'\.$"):
        check_choice("m", "b", "ab", "a", "why")
    for value in (-1, 1.5, True, "2"):
        with pytest.raises(ValueError, match="n must be an integer of at least 0, got"):
            check_count("n", value)
    check_count("n", np.int64(0))


def test_an_error_closes_a_new_figure_only():
    for grid in (None, (2, (1, 2))):
        with pytest.raises(RuntimeError, match="stop"), canvas(None, (3, 3), grid):
            raise RuntimeError("stop")
        assert plt.get_fignums() == []
    _, ax = plt.subplots()
    with pytest.raises(RuntimeError, match="stop"), canvas(ax, (3, 3)):
        raise RuntimeError("stop")
    with canvas(ax, (3, 3)) as (_, same):
        assert same is ax
    assert len(plt.get_fignums()) == 1


def test_axes_are_checked():
    figure, axes = plt.subplots(1, 2)
    for ax in (axes, "ax", figure):
        with pytest.raises(ValueError, match=r"^ax must be a matplotlib Axes, or None .* got"):
            canvas(ax, (3, 3)).__enter__()
    for ax in (axes, axes[0], [axes[0], "x", axes[1]], 3):
        with pytest.raises(ValueError, match=r"ax must be 3 matplotlib Axes.*subplots\(3\)"):
            canvas(ax, (3, 3), (3, (1, 3))).__enter__()
    with canvas(axes[:, None], (3, 3), (2, (1, 2))) as (same, drawn):
        assert same is figure
        assert drawn == list(axes)
    with canvas(axes[0], (3, 3), (1, (1, 1))) as (_, drawn):
        assert drawn == [axes[0]]


def test_pickles_hold_the_data_only():
    display = Display()
    display.values, display.figure_ = np.arange(3), plt.figure()
    again = pickle.loads(pickle.dumps(display))
    assert vars(again).keys() == {"values"}


CALLS = {
    "GroupPathDisplay": ["from_report", "from_path", "from_estimators", "from_estimator"],
    "TradeOffDisplay": ["from_report", "from_path", "from_estimators", "from_estimator"],
    "GroupDiagnosticsDisplay": ["from_report", "from_estimator"],
    "DualHistoryDisplay": ["from_estimator"],
    "LayerSparsityDisplay": ["from_path", "from_estimators", "from_estimator"],
}


@pytest.mark.parametrize("name", CALLS)
def test_without_matplotlib(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    kind, message = getattr(displays, name), r'pip install "sklearn-fairprune\[plot\]"'
    for call in CALLS[name]:
        arguments = [None] * (1 if call == "from_report" or name[0] in "DL" else 3)
        with pytest.raises(ImportError, match=f"{name}.{call} needs matplotlib: {message}"):
            getattr(kind, call)(*arguments)
    with pytest.raises(ImportError, match=f"{name}.plot needs matplotlib: {message}"):
        kind.plot(None)


def test_the_comparison_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"^plot_model_comparison needs.*fairprune\[plot\]"):
        displays.plot_model_comparison({}, None, None, sensitive_features=None)
