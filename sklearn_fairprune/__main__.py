"""Command line: ``python -m sklearn_fairprune audit --data mortgage``."""

import argparse
import sys
import traceback
import warnings
from pathlib import Path

import torch

from . import PrunedClassifier, PrunedRegressor, __version__, audit, datasets
from ._compat.sklearn import safe_indexing
from .arguments import (
    add_rate_options,
    check_outputs,
    class_called,
    limits,
    numbers_of,
    refuse_limits_of_classifiers,
    say_limits,
    share,
    whole,
)
from .measurement.measures import performances
from .measurement.verdicts import Change
from .preparation import (
    check_rows,
    is_regression,
    make_preprocessing,
    split,
    standardized,
    steps_of,
)
from .report import AuditReport, DisparityError, UndecidedError
from .report.compare import compare_reports, comparison_as_text
from .report.gate import JUDGED_BY
from .statistics.worst import LEAST_ROWS

SPARSITIES = (0, 0.5, 0.8, 0.9, 0.95, 0.98)


# Options of the training that a report tells.
TOLD = (
    "target",
    "sensitive",
    "keep_sensitive",
    "test_size",
    "sparsities",
    "hidden",
    "finetune_epochs",
    "seed",
    "threads",
)
UNDECIDED = {"status": 3, "fail": 1, "pass": 0}  # exit status
EXIT_STATUS = """exit status:
  0  all went well
  1  a limit of --fail-above is not kept, or --fail-if-worse found something worse
  2  the command or its input is wrong, or the program is
  3  no limit is surely broken, but too few rows leave one open (see --undecided)
  130  interrupted"""


def make_parser():
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="sklearn-fairprune",
        description="Prune a neural network and see which group of people pays for it.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    options = {"epilog": EXIT_STATUS, "formatter_class": argparse.RawDescriptionHelpFormatter}
    command = commands.add_parser(
        "audit",
        help="train, prune along several sparsities, and print what it costs each group",
        description="Train one dense network, prune it to several sparsities, and print what "
        "that costs each group on held-out rows.\n\n"
        "example:\n"
        "  sklearn-fairprune audit --data loans.csv --target paid --sensitive sex,age \\\n"
        "      --html report.html --fail-above degradation=0.05",
        **options,
    )
    add_data_options(command)
    add_training_options(command)
    add_report_options(command)
    add_rate_options(command)
    command.set_defaults(run=audit_command)
    command = commands.add_parser(
        "compare",
        help="compare two saved audits, group by group",
        description="Compare two audits that were saved with --out or to_json, group by "
        "group: what became better or worse from A to B.",
        **options,
    )
    command.add_argument("first", metavar="A", help="audit.json, or the folder it is in")
    command.add_argument("second", metavar="B", help="the same, later")
    command.add_argument(
        "--fail-if-worse",
        action="store_true",
        help="exit with status 1 if a group or a model is surely worse in B",
    )
    add_output_options(command)
    command.set_defaults(run=compare_command)
    return parser


def add_report_options(command):
    """Add the options that say what becomes of the report."""
    add = command.add_argument_group("report").add_argument
    add("--html", metavar="FILE", help="write the report there as one interactive page")
    add("--plot", metavar="FILE", help="draw each group's accuracy (or loss) along the path")
    add("--out", metavar="DIR", help="write the report there as JSON and CSV")
    add(
        "--fail-above",
        type=limits,
        default={},
        metavar="NAME=LIMIT[,...]",
        help=f"exit with status 1 if a pruned model is above: {say_limits()}",
    )
    add(
        "--judge-by",
        choices=list(JUDGED_BY),
        default="estimate",
        help="what --fail-above judges: the number (of groups below --min-group-size its "
        "interval), its lower limit (only a sure excess fails), its upper limit (only a "
        "surely kept limit passes), or both (a limit inside the interval is undecided); "
        "default: estimate",
    )
    add(
        "--undecided",
        choices=list(UNDECIDED),
        default="status",
        help="what to do where nothing fails, but too few rows leave a limit open: exit with "
        "status 3, or as if it had failed (1) or passed (0); default: status",
    )
    add(
        "--min-group-size",
        type=whole(1),
        default=LEAST_ROWS,
        metavar="N",
        help="held-out rows that a group needs to be compared with others; smaller ones are "
        f"listed apart; default: {LEAST_ROWS}",
    )
    add_output_options(command)


def add_output_options(command):
    """Add the options that say how much is printed."""
    add = command.add_mutually_exclusive_group().add_argument
    add("--quiet", action="store_true", help="print nothing but errors")
    add("--json", action="store_true", help="print JSON in place of text")


def add_data_options(command):
    """Add the options that say which rows and which groups."""
    add = command.add_argument_group("data").add_argument
    add(
        "--data",
        required=True,
        metavar="NAME|FILE",
        help="mortgage (Boston 1990, groups by race and sex), digits (classes as groups), "
        "or a .csv or .parquet file",
    )
    add("--target", metavar="COL", help="column to predict, for a file")
    add(
        "--sensitive",
        metavar="COL[,COL]",
        help="column(s) that make the groups; several mean their intersections "
        "(mortgage: race, sex or race,sex; default race)",
    )
    add(
        "--keep-sensitive",
        action="store_true",
        help="let the network see the sensitive columns of a file",
    )
    add(
        "--test-size",
        type=share,
        default=0.3,
        metavar="SHARE",
        help="share of rows held out for the report (default: %(default)s)",
    )


def add_training_options(command):
    """Add the options that say how the network is trained and pruned."""
    add = command.add_argument_group("training and pruning").add_argument
    add(
        "--sparsities",
        type=numbers_of(float),
        metavar="S[,S]",
        default=SPARSITIES,
        help="shares of weights to remove; 0, the dense network, is always added "
        f"(default: {','.join(map(str, SPARSITIES))})",
    )
    add(
        "--hidden",
        type=numbers_of(int),
        metavar="N[,N]",
        default=(100,),
        help="width of each hidden layer (default: 100)",
    )
    add(
        "--finetune-epochs",
        type=whole(0),
        default=5,
        metavar="N",
        help="epochs of training after pruning (default: %(default)s)",
    )
    add("--seed", type=whole(0, 2**32 - 1), default=0, help="default: %(default)s")
    add("--threads", type=whole(1), default=1, help="of torch (default: %(default)s)")


def load(arguments):
    """Load the data that the command line names."""
    sensitive = arguments.sensitive.split(",") if arguments.sensitive else None
    if arguments.data in ("mortgage", "digits"):
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
    return datasets.read_table(
        arguments.data, arguments.target, sensitive, keep_sensitive=arguments.keep_sensitive
    )


def progress(estimator, quiet=False):
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


def run_audit(arguments):
    """Do what ``audit`` says; returns the report."""
    check_outputs(arguments)
    torch.set_num_threads(arguments.threads)
    data = load(arguments)
    X, y, notes = data.X, data.y, list(data.notes)
    kind = PrunedRegressor if is_regression(y) else PrunedClassifier
    if kind is PrunedRegressor:
        refuse_limits_of_classifiers(arguments.fail_above)
    positive = class_called(arguments.pos_label, y, kind is PrunedRegressor)
    train, test = split(data, arguments.test_size, arguments.seed)
    check_rows(data, train, test, kind is PrunedRegressor)
    preprocessing = make_preprocessing(X)
    X_train = preprocessing.fit_transform(safe_indexing(X, train))
    if kind is PrunedRegressor:
        y, note = standardized(y, train)
        notes.append(note)
    estimator = kind(
        hidden_layer_sizes=arguments.hidden,
        finetune_epochs=arguments.finetune_epochs,
        random_state=arguments.seed,
    )
    path = progress(estimator, arguments.quiet or arguments.json).pruning_path(
        X_train, y[train], sparsities=sorted({0.0, *arguments.sparsities})
    )
    groups = None if data.sensitive is None else data.sensitive.iloc[test]
    X_test = preprocessing.transform(safe_indexing(X, test))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # small groups are in the notes
        report = audit(
            path,
            X_test,
            y[test],
            sensitive_features=groups,
            explain=bool(arguments.html),
            min_group_size=arguments.min_group_size,
            pos_label=positive,
            metrics=arguments.metrics,
            random_state=arguments.seed,
        )
    report.notes[:0] = notes
    report.about |= {"data": data.name, "training_rows": len(train), "version": __version__}
    report.about |= {k: v for k, v in vars(arguments).items() if k in TOLD}
    report.about["preprocessing"] = steps_of(preprocessing)
    return report


def audit_command(arguments):
    """Run ``audit``, write and print the report; returns the exit status."""
    report = run_audit(arguments)
    written = write_report(report, arguments)
    if arguments.json:
        print(report.to_json())
    elif not arguments.quiet:
        about = report.about
        print(
            f"\n{about['data']}: {about['training_rows']} training rows, {about['rows']} "
            f"held-out rows, seed {about['seed']}\n"
            f"preprocessing, fitted on the training rows: {about['preprocessing']}\n"
        )
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


def write_report(report, arguments):
    """Write the report in the forms that were asked for; returns the files."""
    written = []
    if arguments.out:
        out = Path(arguments.out)
        written += [out / "audit.json", *report.to_csv(out)]
        report.to_json(out / "audit.json")
    for path in filter(None, (arguments.plot, arguments.html)):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        written.append(path)
    if arguments.plot:
        measure = next(iter(performances(report.by_group)))
        report.plot(measure).figure_.savefig(arguments.plot, dpi=130)
    if arguments.html:
        report.to_html(arguments.html)
    return written


def compare_command(arguments):
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


def main(argv=None):
    """Run the command line; returns the exit status."""
    arguments = make_parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except (ValueError, ImportError, OSError) as error:
        print(f"sklearn-fairprune: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sklearn-fairprune: interrupted.", file=sys.stderr)
        return 130
    except Exception:  # a crash is no verdict: 1 says that a limit is not kept
        traceback.print_exc()
        print("sklearn-fairprune: this is a fault of the program.", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
