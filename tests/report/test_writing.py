"""Files are whole or as they were, folders hold one report, and cells are no formulas."""

import pandas as pd
import pytest
from report_cases import MODELS, make_report

from sklearn_fairprune.report import writing
from sklearn_fairprune.report.writing import inert, write_whole


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \ud800")

    def full(self, target):
        raise OSError("no space left on device")

    monkeypatch.setattr(writing.Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_links_stay_links_and_modes_are_those_of_new_files(tmp_path):
    real, link, plain = tmp_path / "real", tmp_path / "link", tmp_path / "plain"
    real.write_text("old")
    link.symlink_to(real)
    write_whole(link, "nue\u0301\n")
    assert link.is_symlink()
    assert real.read_text(encoding="utf-8") == "nue\u0301\n"
    plain.write_text("")
    assert real.stat().st_mode == plain.stat().st_mode


def test_what_is_no_file_is_written_to():
    assert write_whole("/dev/null", "text").name == "null"
    assert not writing.Path("/dev/null").is_file()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_and_no_column_is_a_formula(start):
    text = f"{start}cmd|' /C calc'!A0"
    frame = inert(pd.DataFrame({text: [text, "plain", 1.5], "change": [-1, 2, 3]}))
    assert frame.columns.tolist() == [f"'{text}", "change"]
    assert frame.iloc[:, 0].tolist() == [f"'{text}", "plain", 1.5]
    assert frame["change"].tolist() == [-1, 2, 3]


def test_groups_of_any_name_are_no_formulas_in_the_tables(tmp_path):
    groups = ["=1+1"] * 100 + ["m"] * 100
    models = {"dense": MODELS["dense"], "-2+3": MODELS["harmed"]}
    make_report(models, sensitive_features=groups).to_csv(tmp_path)
    for path in tmp_path.glob("*.csv"):
        lines = path.read_text().splitlines()
        assert not any(line.startswith(("=", "-2")) or ",=" in line for line in lines)
    assert "'=1+1" in (tmp_path / "by_group.csv").read_text()


def test_a_folder_holds_the_tables_of_one_report(tmp_path):
    make_report().to_csv(tmp_path)
    assert (tmp_path / "changed_rows.csv").exists()
    (tmp_path / "notes.csv").write_text("mine")
    make_report({"dense": MODELS["dense"], "same": MODELS["dense"]}).to_csv(tmp_path)
    assert not (tmp_path / "changed_rows.csv").exists()
    assert (tmp_path / "notes.csv").read_text() == "mine"
