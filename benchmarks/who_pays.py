"""Is it always the same group that pays? The demo over 20 seeds, at two budgets of recovery.

Run: python benchmarks/who_pays.py [--seeds 20]
Each seed splits the rows and trains one dense network. It is pruned as the package does by
default, and as it did before: all weights at once, then five epochs at the rate of the dense
training.
Data: the Boston mortgage applications (pip install "sklearn-fairprune[demo]").
The splits of different seeds share rows, so the intervals over seeds tell how steady the
result is on these data, not how it would be on other applicants.
"""

import argparse
import contextlib
import io

import numpy as np
from record import figure, planned, save
from scipy import stats

from sklearn_fairprune.cli.audit import run_audit
from sklearn_fairprune.cli.parser import make_parser


def audit_of(seed, options):
    """Report of the demo with another seed, and options of the command line."""
    words = ["audit", "--data", "mortgage", "--test-size", "0.5", "--seed", str(seed)]
    arguments = make_parser().parse_args([*words, *options])
    with contextlib.redirect_stdout(io.StringIO()):
        return run_audit(arguments)


def interval(values):
    """Mean and its 95 % Student interval over the seeds."""
    mean, error = np.mean(values), stats.sem(values)
    width = stats.t.isf(0.025, len(values) - 1) * error
    return float(mean), float(mean - width), float(mean + width)


def summarise(reports, group="black"):
    """Lines of the record and every group's figures in every report.

    Parameters
    ----------
    reports : list of AuditReport
        One a seed.
    group : str
        Compared with the mean of the others.
    """
    summary, data = [], {}
    for model in reports[0].overall.index[1:]:
        tables = [report.by_group.loc[model] for report in reports]
        groups = list(tables[0].index)
        measured = {
            name: {g: [float(t.loc[g, name]) for t in tables] for g in groups}
            for name in ("excessive_loss", "accuracy_drop")
        }
        excess = np.array([measured["excessive_loss"][g] for g in groups])
        most = int(np.sum(excess.argmax(axis=0) == groups.index(group)))
        what = f"{model}: seeds in which {group} applicants pay most"
        summary.append(figure(what, most, f"of {len(reports)}"))
        for name in measured:
            rest = [measured[name][g] for g in groups if g != group]
            mean, low, high = interval(np.array(measured[name][group]) - np.mean(rest, axis=0))
            what = f"{model}: {name.replace('_', ' ')} of {group} minus mean of the others"
            summary.append(figure(what, mean, f"[{low:.3f}, {high:.3f}]"))
        own = (f"{model}:", f"{model}, by ")
        broken = sum(r.overall.loc[model, "classes_predicted"] == 1 for r in reports)
        data[model] = measured | {
            "accuracy": [float(r.overall.loc[model, "accuracy"]) for r in reports],
            "predicts_one_class": int(broken),
            "finding": [f for r in reports for f in r.findings if f.startswith(own)],
        }
    return summary, data


def main():
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=planned("who_pays")["seeds"])
    seeds = list(range(parser.parse_args().seeds))
    summary, data = [], {}
    for way, options in planned("who_pays")["ways"].items():
        lines, data[way] = summarise([audit_of(seed, options) for seed in seeds])
        summary += [line | {"name": f"{way}, {line['name']}"} for line in lines]
    save("who_pays", summary, seeds=seeds, data=data)


if __name__ == "__main__":
    main()
