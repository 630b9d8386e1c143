"""A skip for want of what must be there is a failure, and else a skip."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from requirements import judged, pytest_configure

BROWSER = "needs one of chromium, google-chrome on the PATH"
FRONT_END = "needs the widget files: pip install --no-deps raiwidgets"
PACKAGE = "could not import 'x': No module named 'x'"
TESTS = f"""
import pytest

def test_browser(): pytest.skip("{BROWSER}")
def test_other(): pytest.skip("another day")
@pytest.mark.xfail(reason="{BROWSER}")
def test_expected(): assert False
"""


@pytest.mark.parametrize(
    ("require", "failing"),
    [
        ("", set()),
        ("chromium", {BROWSER}),
        ("packages,front-end", {PACKAGE, FRONT_END}),
        ("chromium,packages", {BROWSER, PACKAGE}),
    ],
)
def test_what_is_no_excuse(monkeypatch, require, failing):
    monkeypatch.setenv("FAIRPRUNE_REQUIRE", require)
    for reason in (BROWSER, FRONT_END, PACKAGE, "another day"):
        skip = "test_it.py", 1, f"Skipped: {reason}"
        report = pytest.TestReport("a", ("", 1, ""), {}, "skipped", skip, "setup")
        assert judged(report).outcome == ("failed" if reason in failing else "skipped")


def test_unknown_names_are_refused(monkeypatch):
    monkeypatch.setenv("FAIRPRUNE_REQUIRE", "browser")
    with pytest.raises(pytest.UsageError, match="can name packages, chromium, front-end"):
        pytest_configure(None)


def test_in_a_run_of_tests_and_modules(tmp_path):
    (tmp_path / "test_each.py").write_text(TESTS)
    (tmp_path / "test_module.py").write_text("import pytest\npytest.importorskip('none')\n")
    options = ["-p", "requirements", "-c", os.devnull, "--continue-on-collection-errors"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ
        | {
            "FAIRPRUNE_REQUIRE": "packages,chromium",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(Path(__file__).parent),
        },
    )
    last = run.stdout.splitlines()[-1]
    assert "1 failed, 1 skipped, 1 xfailed, 1 error" in last
    assert "FAIRPRUNE_REQUIRE asks for what this test lacks: could not import" in run.stdout
