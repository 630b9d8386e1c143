"""Command line: ``python -m sklearn_fairprune audit --data mortgage``."""

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.utils import _safe_indexing
from sklearn.utils.multiclass import type_of_target

from . import PrunedClassifier, PrunedRegressor, __version__, audit, datasets

SPARSITIES = (0, 0.5, 0.8, 0.9, 0.95, 0.98)


def make_parser():
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="sklearn-fairprune",
        description="Prune a neural network and see which group of people pays for it.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = commands.add_parser(
        "audit",
        help="train, prune along several sparsities, and print what it costs each group",
        description="Train one dense network, prune it to several sparsities, and print what "
        "that costs each group on held-out rows.",
    )
    add_data_options(command)
    add_training_options(command)
    command.add_argument("--out", metavar="DIR", help="write the report there as JSON and CSV")
    return parser


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
        type=float,
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
        type=int,
        default=5,
        metavar="N",
        help="epochs of training after pruning (default: %(default)s)",
    )
    add("--seed", type=int, default=0, help="default: %(default)s")
    add("--threads", type=int, default=1, help="of torch (default: %(default)s)")


def numbers_of(kind):
    """Return a reader of comma-separated numbers, for argparse."""

    def numbers(text):
        return tuple(kind(number) for number in text.split(","))

    numbers.__name__ = f"comma-separated {kind.__name__}"
    return numbers


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


def as_objects(frame):
    """Turn text, categories and booleans into plain objects with NaN where missing."""
    return frame.astype(object).where(frame.notna(), np.nan)


def make_preprocessing(X):
    """Pipeline that makes numbers of a table: impute, scale, one-hot encode."""
    if not hasattr(X, "columns"):
        return FunctionTransformer()
    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True), StandardScaler()
    )
    categories = make_pipeline(
        FunctionTransformer(as_objects, feature_names_out="one-to-one"),
        SimpleImputer(strategy="constant", fill_value="missing"),
        FunctionTransformer(as_text_values, feature_names_out="one-to-one"),
        OneHotEncoder(
            handle_unknown="infrequent_if_exist", min_frequency=5, sparse_output=False
        ),
    )
    return make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (categories, make_column_selector(dtype_exclude="number")),
        verbose_feature_names_out=False,
    )


def as_text_values(values):
    """Make one kind of value of a mixed column, for the encoder."""
    return np.asarray(values).astype(str).astype(object)


def split(data, test_size, seed):
    """Training and held-out row numbers, with every group and class in both if it can be."""
    strata = [data.y.astype(str)]
    if data.sensitive is not None:
        strata += [data.sensitive[c].astype(str).to_numpy() for c in data.sensitive]
    rows = np.arange(len(data.y))
    continuous = is_regression(data.y)
    for keys in [] if continuous else [strata, strata[:1]]:
        cells = np.array(["\x1f".join(cell) for cell in zip(*keys, strict=True)])
        if np.unique(cells, return_counts=True)[1].min() >= 2:
            return train_test_split(
                rows, test_size=test_size, random_state=seed, stratify=cells
            )
    return train_test_split(rows, test_size=test_size, random_state=seed)


def is_regression(y):
    """Whether the target is a quantity: fractions, or more than 20 different numbers."""
    kind = type_of_target(y)
    return kind == "continuous" or (y.dtype.kind in "iuf" and len(np.unique(y)) > 20)


def progress(estimator):
    """Attach scikit-learn's progress bar where there is one (1.9 or newer, with rich)."""
    try:
        from sklearn.callback import ProgressBar

        return estimator.set_callbacks(ProgressBar(max_propagation_depth=None))
    except ImportError:
        print("Training and pruning ...", file=sys.stderr)
        return estimator


def steps_of(preprocessing):
    """Fitted preprocessing in one line: which steps for how many columns."""
    parts = [
        f"{len(columns)} columns: {' > '.join(type(step).__name__ for _, step in pipe.steps)}"
        for _, pipe, columns in getattr(preprocessing, "transformers_", [])
        if hasattr(pipe, "steps") and len(columns)
    ]
    return "; ".join(parts) or "none"


def standardized(y, train):
    """Regression targets in standard deviations from their mean, and a note saying so."""
    centre, scale = y[train].mean(), y[train].std()
    note = f"Losses are in squares of the target's standard deviation, {scale:.4g}."
    return (y - centre) / scale, note


def run_audit(arguments):
    """Do what ``audit`` says; returns the report."""
    torch.set_num_threads(arguments.threads)
    data = load(arguments)
    X, y, notes = data.X, data.y, list(data.notes)
    train, test = split(data, arguments.test_size, arguments.seed)
    preprocessing = make_preprocessing(X)
    X_train = preprocessing.fit_transform(_safe_indexing(X, train))
    kind = PrunedClassifier
    if is_regression(y):
        kind, (y, note) = PrunedRegressor, standardized(y, train)
        notes.append(note)
    estimator = kind(
        hidden_layer_sizes=arguments.hidden,
        finetune_epochs=arguments.finetune_epochs,
        random_state=arguments.seed,
    )
    path = progress(estimator).pruning_path(
        X_train, y[train], sparsities=sorted({0.0, *arguments.sparsities})
    )
    groups = None if data.sensitive is None else data.sensitive.iloc[test]
    X_test = preprocessing.transform(_safe_indexing(X, test))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # small groups are in the notes
        report = audit(
            path, X_test, y[test], sensitive_features=groups, random_state=arguments.seed
        )
    report.notes[:0] = notes
    report.about |= {"data": data.name, "training_rows": len(train), "version": __version__}
    report.about |= {k: v for k, v in vars(arguments).items() if k not in ("command", "data")}
    report.about["preprocessing"] = steps_of(preprocessing)
    return report


def main(argv=None):
    """Run the command line; returns the exit status."""
    arguments = make_parser().parse_args(argv)
    try:
        report = run_audit(arguments)
    except (ValueError, ImportError, OSError) as error:
        print(f"sklearn-fairprune: {error}", file=sys.stderr)
        return 2
    about = report.about
    print(
        f"\n{about['data']}: {about['training_rows']} training rows, {about['rows']} held-out "
        f"rows, seed {about['seed']}"
    )
    print(f"preprocessing, fitted on the training rows: {about['preprocessing']}\n")
    print(report)
    if arguments.out:
        out = Path(arguments.out)
        written = report.to_csv(out)
        report.to_json(out / "audit.json")
        print(f"\nWritten: {out / 'audit.json'}, {', '.join(map(str, written))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
