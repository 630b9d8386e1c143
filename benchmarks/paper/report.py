"""Judge the claims, draw the figures and write the page, from the kept results alone.

Run: python benchmarks/paper/report.py
     python benchmarks/paper/report.py --results benchmarks/paper/results-resnet18

Reads results/*.json, and writes results/verdicts.json, results/*.png (a figure a claim) and
the page README.md; the page of other results stands in their own folder. What
results-recovered/ says of the same claims is judged beside them (recovered.py).
"""

import argparse
import json
from pathlib import Path

import numpy as np
import recovered
from claims import judgements
from figures import draw_all
from fronts import WITH_ADDED, chosen, goal, held_out
from page import page
from records import HERE, RESULTS, load


def rounded(value):
    """Numbers to four digits, for the file; what is no finite number becomes None."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.4g}") if np.isfinite(value) else None
    return value


def verdicts(records):
    """Everything that is said on the page.

    Parameters
    ----------
    records : dict of str to list of Record
        As from `records.load`.

    Returns
    -------
    verdicts : dict
        ``claims``: rows of `claims.judgements`; ``held_out``: rows of `fronts.held_out`;
        ``fronts``: {task: {metric: rows of `fronts.chosen`}}; ``goal``: {task: {family:
        verdicts}}, with and without the ways that were added after a look at test rows;
        ``runs``: what the results are of.
    """
    fronts = {
        task: {metric: chosen(kept, metric) for metric in ("spread", "xi")}
        for task, kept in records.items()
    }
    return {
        "runs": {task: [r.about for r in kept] for task, kept in records.items()},
        "claims": judgements(records),
        "held_out": [row for task, kept in records.items() for row in held_out(task, kept)],
        "fronts": {task: found for task, found in fronts.items() if found["spread"]},
        "goal": {
            task: {name: goal(found["spread"], name) for name in ("constraints", WITH_ADDED)}
            for task, found in fronts.items()
            if found["spread"]
        },
    }


def write(found, path):
    """Keep the verdicts, a row a line."""
    parts = []
    for name, value in rounded(found).items():
        if isinstance(value, list):
            text = "[\n" + ",\n".join(json.dumps(v) for v in value) + "\n]"
        else:
            text = json.dumps(value)
        parts.append(f"{json.dumps(name)}: {text}")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def two_budgets():
    """Judge the claims at two budgets; returns the tables of the page."""
    found = recovered.verdicts(*recovered.both())
    write(found, recovered.RECOVERED / "verdicts.json")
    recovered.draw(found, recovered.RECOVERED / "damage.png")
    return recovered.sections(found)


def main(arguments=None):
    """Write verdicts, figures and page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to read")
    folder = parser.parse_args(arguments).results.resolve()
    records = load(folder)
    if not records:
        raise SystemExit(f"--results: there are no results in {folder}. Run run.py first.")
    found = verdicts(records)
    write(found, folder / "verdicts.json")
    draw_all(records, [*found["claims"], *found["held_out"]], folder)
    if folder == RESULTS.resolve():
        home, text = HERE, page(found, more=two_budgets())
    else:
        home, text = folder, page(found, figures=".")
    (home / "README.md").write_text(text, encoding="utf-8")
    print(f"written: {home / 'README.md'}")


if __name__ == "__main__":
    main()
