"""What FAIRPRUNE_REQUIRE names must be there: tests that would be skipped for it fail.

Without the variable a test that lacks something is skipped, so that the suite runs
anywhere. ``FAIRPRUNE_REQUIRE=packages,chromium`` is for a machine that has everything.
"""

import os

import pytest

# How the reasons of skips start, by what can be required.
REASONS = {
    "packages": ("could not import", "SCIPY_ARRAY_API is not set"),
    "chromium": ("needs one of chromium",),
    "front-end": ("needs the widget files",),
}


def required():
    """Starts of the reasons that are no excuse here."""
    names = [name for name in os.environ.get("FAIRPRUNE_REQUIRE", "").split(",") if name]
    if unknown := set(names) - set(REASONS):
        raise pytest.UsageError(
            f"FAIRPRUNE_REQUIRE names {', '.join(sorted(unknown))}; it can name "
            f"{', '.join(REASONS)}, separated by commas."
        )
    return tuple(reason for name in names for reason in REASONS[name])


def judged(report):
    """Make a failure of a skip for want of something that must be there."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        if reason.startswith(required()):
            report.outcome = "failed"
            report.longrepr = f"FAIRPRUNE_REQUIRE asks for what this test lacks: {reason}"
    return report


def pytest_configure(config):
    """Refuse unknown names before anything runs."""
    required()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Judge the skip of a test."""
    return judged((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Judge the skip of a module."""
    return judged((yield))
