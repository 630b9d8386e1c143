"""``sklearn-fairprune audit``: from a table to a report."""

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils import Bunch

from .. import (
    PrunedClassifier,
    PrunedRegressor,
    __version__,
    audit,
    audit_predictions,
    datasets,
)
from .._compat.sklearn import safe_indexing
from ..measurement.measures import performances
from ..measurement.predictions import is_quantity
from ..report import AuditReport, DisparityError, UndecidedError
from ..tables.files import FileOptions
from ..tables.leaks import telling
from ..tables.preparation import (
    check_rows,
    make_preprocessing,
    merged_levels,
    split,
    standardized,
    steps_of,
)
from ..tables.scored import read_scored
from .arguments import (
    check_outputs,
    class_called,
    known_limits,
    refuse_limits_of_classifiers,
)
from .parser import UNDECIDED, trained_with
from .pruning import (
    SHRUNK,
    UNEXPLAINED,
    check_pruning,
    make_pruner,
    most_epochs,
    pruned,
    retrained,
    shrunk,
)

TOO_GOOD = 0.995  # share of the rows that are right, or of the variance
# Options of the training that a report tells.
TOLD_OF_GIVEN = ("target", "sensitive", "sample_weight", "seed")
TOLD = (
    "target",
    "sensitive",
    "sample_weight",
    "keep_sensitive",
    "test_size",
    "sparsities",
    "cost",
    "criterion",
    "granularity",
    "scope",
    "hidden",
    "schedule",
    "recovery",
    "finetune_lr",
    "shrink",
    "seed",
    "seeds",
    "threads",
)


def load(arguments: argparse.Namespace) -> Bunch:
    """Load the data that the command line names."""
    sensitive = arguments.sensitive
    written = {name: getattr(arguments, name) for name in FileOptions._fields}
    if arguments.data in ("mortgage", "digits"):
        written |= {"predictions": arguments.predictions}
        written |= {"sample-weight": arguments.sample_weight}
        if given := [f"--{name}" for name, value in written.items() if value]:
            raise ValueError(f"{', '.join(given)}: for a file, not for {arguments.data}.")
        if arguments.target:
            raise ValueError(f"--target is for a file; {arguments.data} has its own.")
        if arguments.keep_sensitive:
            raise ValueError(f"--keep-sensitive is for a file, not for {arguments.data}.")
    if arguments.data == "mortgage":
        data = datasets.load_mortgage()
        chosen = sensitive or ["race"]
        if unknown := [c for c in chosen if c not in data.sensitive]:
            raise ValueError(
                f"--sensitive {','.join(unknown)}: the mortgage data have race and sex."
            )
        data.sensitive = data.sensitive[chosen]
        return data
    if arguments.data == "digits":
        if sensitive:
            raise ValueError("--sensitive: digits have no people; the classes are the groups.")
        return datasets.load_digits()
    if not Path(arguments.data).is_file():
        raise ValueError(
            f"--data {arguments.data}: this is neither mortgage nor digits, and there is no "
            "such file."
        )
    if not arguments.target:
        raise ValueError("--target COL is required with a file: the column to predict.")
    if arguments.predictions:
        if given := trained_with(arguments):
            raise ValueError(f"{', '.join(given)}: with --predictions nothing is trained.")
        return read_scored(
            Path(arguments.data),
            arguments.target.strip(),
            arguments.predictions,
            sensitive or [],
            arguments.sample_weight,
            FileOptions(**written),
        )
    return datasets.read_table(
        arguments.data,
        arguments.target.strip(),
        sensitive,
        keep_sensitive=arguments.keep_sensitive,
        sample_weight=arguments.sample_weight,
        **written,
    )


def progress(estimator: Any, quiet: bool = False) -> Any:
    """Attach scikit-learn's progress bar where there is one (1.9 or newer, with rich)."""
    if quiet:
        return estimator
    if sys.stdout.isatty():  # the bar writes there, and a file is for the report alone
        try:
            from sklearn.callback import ProgressBar

            return estimator.set_callbacks(ProgressBar(max_propagation_depth=None))
        except ImportError:
            pass
    print("Training and pruning ...", file=sys.stderr)
    return estimator


def told_by_columns(data: Bunch, train: np.ndarray) -> list[str]:
    """Notes on the columns of a table that tell much of target or group, on training rows."""
    if not isinstance(data.X, pd.DataFrame):
        return []
    of = {"the target": pd.Series(data.y[train])}
    groups = [] if data.sensitive is None else data.sensitive
    of |= {name: data.sensitive[name].iloc[train].reset_index(drop=True) for name in groups}
    X = data.X.iloc[train].reset_index(drop=True)
    return telling(X.drop(columns=[name for name in groups if name in X]), of)


def too_good(report: AuditReport) -> list[str]:
    """Note on a dense network that is suspiciously right, if it is."""
    dense, shown = report.overall.iloc[0], performances(report.overall)
    share = any(measure.better > 0 for measure in shown.values())
    if share:  # the worst of them: one class for everybody is not good
        value = min(dense[name] for name, measure in shown.items() if measure.better > 0)
    else:  # losses, in variances of the target
        value = 1 - max(dense[name] for name in shown)
    if value < TOO_GOOD:
        return []
    right = f"{100 * value:.4g} %"
    of = "rows" if share else "variance"
    return [
        f"The dense network gets {right} of the {of} right, held out. Such a table often has "
        "a column that is only known after the target, or the same rows twice."
    ]


def run_audit(arguments: argparse.Namespace) -> AuditReport:
    """Do what ``audit`` says; returns the report."""
    check_outputs(arguments)
    arguments.fail_above = known_limits(arguments.fail_above, arguments.metrics)
    if not arguments.predictions:
        check_pruning(arguments)
    torch.set_num_threads(arguments.threads)
    data = load(arguments)
    made = audit_given if arguments.predictions else audit_trained
    report = made(data, arguments)
    report.reading = data.get("reading", report.reading)
    report.about |= {"data": data.name, "version": __version__}
    told = TOLD_OF_GIVEN if arguments.predictions else TOLD
    report.about |= {k: v for k, v in vars(arguments).items() if k in told}
    return report


def audit_given(data: Bunch, arguments: argparse.Namespace) -> AuditReport:
    """Audit predictions that stand in a file."""
    quantity = is_quantity(data.y)
    if quantity:
        refuse_limits_of_classifiers(arguments.fail_above)
    positive = class_called(arguments.pos_label, data.y, quantity)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # small groups are in the notes
        report = audit_predictions(
            data.y,
            data.predictions,
            sensitive_features=data.sensitive,
            sample_weight=data.sample_weight,
            min_group_size=arguments.min_group_size,
            pos_label=positive,
            metrics=arguments.metrics,
            negligible=arguments.negligible,
            random_state=arguments.seed,
        )
    report.notes[:0] = data.notes
    return report


def audit_trained(data: Bunch, arguments: argparse.Namespace) -> AuditReport:
    """Train, prune along a path, and audit."""
    X, y, notes = data.X, data.y, list(data.notes)
    kind = PrunedRegressor if is_quantity(y) else PrunedClassifier
    if kind is PrunedRegressor:
        refuse_limits_of_classifiers(arguments.fail_above)
    positive = class_called(arguments.pos_label, y, kind is PrunedRegressor)
    train, test = split(data, arguments.test_size, arguments.seed)
    check_rows(data, train, test, kind is PrunedRegressor)
    notes += told_by_columns(data, train)
    preprocessing = make_preprocessing(X)
    X_train = preprocessing.fit_transform(safe_indexing(X, train))
    notes += merged_levels(preprocessing)
    if kind is PrunedRegressor:
        y, note = standardized(y, train)
        notes.append(note)
    estimator = make_pruner(kind, arguments)
    quiet = arguments.quiet or arguments.json
    seen = None if data.sensitive is None else data.sensitive.iloc[train]
    models, told = pruned(progress(estimator, quiet), X_train, y[train], seen, arguments)
    notes += told
    others = retrained(make_pruner(kind, arguments), X_train, y[train], arguments)
    epochs = most_epochs(models)
    if arguments.shrink:
        models, told = shrunk(models, X_train)
        notes += [SHRUNK, *([UNEXPLAINED] if arguments.html else []), *told]
    groups = None if data.sensitive is None else data.sensitive.iloc[test]
    weights = data.get("sample_weight")
    X_test = preprocessing.transform(safe_indexing(X, test))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # small groups are in the notes
        report = audit(
            models,
            X_test,
            y[test],
            sensitive_features=groups,
            sample_weight=None if weights is None else weights[test],
            explain=bool(arguments.html) and not arguments.shrink,
            min_group_size=arguments.min_group_size,
            pos_label=positive,
            metrics=arguments.metrics,
            negligible=arguments.negligible,
            retrained=others,
            latency=arguments.latency,
            random_state=arguments.seed,
        )
    report.notes[:0] = notes + too_good(report)
    report.about["training_rows"] = len(train)
    report.about["finetune_epochs"] = epochs
    report.about["preprocessing"] = steps_of(preprocessing)
    return report


def headline(about: dict[str, Any]) -> str:
    """What the report is about, in a line or two."""
    if "training_rows" not in about:
        return f"{about['data']}: predictions of {about['rows']} rows, seed {about['seed']}"
    return (
        f"{about['data']}: {about['training_rows']} training rows, {about['rows']} held-out "
        f"rows, seed {about['seed']}\n"
        f"preprocessing, fitted on the training rows: {about['preprocessing']}"
    )


def audit_command(arguments: argparse.Namespace) -> int:
    """Run ``audit``, write and print the report; returns the exit status."""
    report = run_audit(arguments)
    written = write_report(report, arguments)
    if arguments.json:
        print(report.to_json())
    elif not arguments.quiet:
        print(f"\n{headline(report.about)}\n")
        print(report)
        if written:
            print(f"\nWritten: {', '.join(map(str, written))}")
        if arguments.html:
            page = Path(arguments.html).resolve().as_uri()
            print(f"\nThe report as a page, to open in a browser: {page}")
    if arguments.fail_above:
        try:
            report.assert_disparity(limits=arguments.fail_above, judge_by=arguments.judge_by)
        except UndecidedError as error:
            print(f"sklearn-fairprune: too few rows to tell.\n{error}", file=sys.stderr)
            return UNDECIDED[arguments.undecided]
        except DisparityError as error:
            print(f"sklearn-fairprune: not within the limits.\n{error}", file=sys.stderr)
            return 1
    return 0


def write_report(report: AuditReport, arguments: argparse.Namespace) -> list[Any]:
    """Write the report in the forms that were asked for; returns the files."""
    written = []
    if arguments.out:
        out = Path(arguments.out)
        written += [out / "audit.json", *report.to_csv(out)]
        report.to_json(out / "audit.json")
    for path in filter(None, (arguments.plot, arguments.html, arguments.markdown)):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        written.append(path)
    if arguments.plot:
        measure = next(iter(performances(report.by_group)))
        report.plot(measure).figure_.savefig(arguments.plot, dpi=130)
    if arguments.html:
        report.to_html(arguments.html)
    if arguments.markdown:
        report.to_markdown(arguments.markdown, technical=True)
    return written
