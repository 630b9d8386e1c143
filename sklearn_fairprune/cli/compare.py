"""``sklearn-fairprune compare``: what became better or worse from one audit to another."""

import argparse
import sys
from pathlib import Path

from ..measurement.verdicts import Change
from ..report import AuditReport
from ..report.compare import compare_reports, comparison_as_text


def compare_command(arguments: argparse.Namespace) -> int:
    """Run ``compare`` and print what changed; returns the exit status."""
    reports = []
    for name in (arguments.first, arguments.second):
        path = Path(name) / "audit.json" if Path(name).is_dir() else Path(name)
        try:
            reports.append(AuditReport.from_json(path))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    table = compare_reports(*reports)
    if arguments.json:
        print(table.to_json(orient="records", indent=1))
    elif not arguments.quiet:
        print(comparison_as_text(table))
    worse = int((table["verdict"] == Change.WORSE).sum())
    if arguments.fail_if_worse and worse:
        print(f"sklearn-fairprune: {worse} measures are surely worse.", file=sys.stderr)
        return 1
    return 0
