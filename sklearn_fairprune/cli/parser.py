"""The options of the command line, and their help."""

import argparse
from typing import Any

from .. import __version__
from ..engine.recovery import RECOVERIES
from ..functional.criteria import CRITERIA
from ..functional.schedules import SCHEDULES
from ..measurement.latency import BATCHES
from ..measurement.negligible import LEAST_RETRAINED
from ..report.gate import JUDGED_BY
from ..statistics.worst import LEAST_ROWS
from .arguments import (
    GRANULARITY_NAMES,
    batches,
    budgets,
    costs,
    granularity,
    limits,
    names,
    negligible,
    numbers_of,
    rate,
    say_limits,
    scorers,
    separator,
    share,
    whole,
)
from .pruning import SPARSITIES

UNDECIDED = {"status": 3, "fail": 1, "pass": 0}  # exit status
EXIT_STATUS = """exit status:
  0  all went well
  1  a limit of --fail-above is not kept, or --fail-if-worse found something worse
  2  the command or its input is wrong, or the program is
  3  no limit is surely broken, but too few rows leave one open (see --undecided)
  130  interrupted"""


def trained_with(arguments: argparse.Namespace) -> list[str]:
    """Options of the training, or of networks, that were given."""
    options = (
        "keep_sensitive",
        "test_size",
        "sparsities",
        "cost",
        "criterion",
        "granularity",
        "scope",
        "hidden",
        "finetune_epochs",
        "budgets",
        "schedule",
        "recovery",
        "finetune_lr",
        "shrink",
        "seeds",
        "latency",
    )
    words = ["audit", "--data", "-"]
    usual = make_parser().parse_args(words)
    given = [name for name in options if getattr(arguments, name) != getattr(usual, name)]
    return [f"--{name.replace('_', '-')}" for name in given]


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="sklearn-fairprune",
        description="Prune a neural network and see which group of people pays for it.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    options: dict[str, Any] = {
        "epilog": EXIT_STATUS,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }
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
    add_file_options(command)
    add_training_options(command)
    add_measure_options(command)
    add_report_options(command)
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
    return parser


def add_report_options(command: argparse.ArgumentParser) -> None:
    """Add the options that say what becomes of the report."""
    add = command.add_argument_group("report").add_argument
    add("--html", metavar="FILE", help="write the report there as one interactive page")
    add("--plot", metavar="FILE", help="draw each group's accuracy (or loss) along the path")
    add("--out", metavar="DIR", help="write the report there as JSON and CSV")
    add(
        "--markdown",
        metavar="FILE",
        help="write it there as a section of a technical documentation (EU AI Act, Annex IV, "
        "point 3), with blanks for the author",
    )
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
    add_output_options(command)


def add_measure_options(command: argparse.ArgumentParser) -> None:
    """Add the options that say what is measured, and which groups are compared."""
    add = command.add_argument_group("measures").add_argument
    add(
        "--min-group-size",
        type=whole(1),
        default=LEAST_ROWS,
        metavar="N",
        help="held-out rows that a group needs to be compared with others; smaller ones are "
        f"listed apart; default: {LEAST_ROWS}",
    )
    add(
        "--negligible",
        type=negligible,
        metavar="NAME=AMOUNT[,...]",
        help="what is negligible, such as accuracy_drop=0.01,excessive_loss=0.005; default: "
        "half a point of accuracy, 1 %% of the dense loss, or see --seeds",
    )
    add(
        "--pos-label",
        metavar="CLASS",
        help="class that selection rates and the like are about; default: the second of two "
        "classes in sorted order, and no rates of several classes",
    )
    add(
        "--metrics",
        type=scorers,
        metavar="NAME[,NAME]",
        help="further metrics by the names of scikit-learn's scorers, such as roc_auc,f1",
    )
    add(
        "--latency",
        nargs="?",
        const=BATCHES,
        default=False,
        type=batches,
        metavar="N,N",
        help="time a forward pass of every network on one thread, of batches of so many rows "
        f"(without numbers {','.join(map(str, BATCHES))})",
    )


def add_output_options(command: argparse.ArgumentParser) -> None:
    """Add the options that say how much is printed."""
    add = command.add_mutually_exclusive_group().add_argument
    add("--quiet", action="store_true", help="print nothing but errors")
    add("--json", action="store_true", help="print JSON in place of text")


def add_data_options(command: argparse.ArgumentParser) -> None:
    """Add the options that say which rows and which groups."""
    add = command.add_argument_group("data").add_argument
    add(
        "--data",
        required=True,
        metavar="NAME|FILE",
        help="mortgage (Boston 1990, groups by race and sex), digits (classes as groups), "
        "or a .csv, .tsv, .txt or .parquet file",
    )
    add("--target", metavar="COL", help="column to predict, for a file")
    add(
        "--sensitive",
        type=names,
        metavar="COL[,COL]",
        help="column(s) that make the groups; several mean their intersections "
        "(mortgage: race, sex or race,sex; default race); a name with a comma in it stands in "
        "quotation marks",
    )
    add(
        "--predictions",
        type=names,
        metavar="COL,COL[,COL]",
        help="columns of a file with the predictions of models, the dense one first: labels, "
        "or probabilities of the second of two classes; nothing is trained then",
    )
    add(
        "--sample-weight",
        type=str.strip,
        metavar="COL",
        help="column of a file with the weights of the rows, such as those of a survey: the "
        "report counts rows by them; they are not trained with, and no network sees them",
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


def add_file_options(command: argparse.ArgumentParser) -> None:
    """Add the options that say how a text file is written."""
    add = command.add_argument_group("text files, where it does not show").add_argument
    add("--sep", type=separator, metavar="CHAR", help="between the cells, such as ';' or tab")
    add("--encoding", metavar="NAME", help="of the text, such as utf-8, cp1252 or utf-16")
    add("--decimal", choices=[".", ","], help="sign of decimals; default: column by column")
    add(
        "--na",
        type=names,
        default=[],
        metavar="TEXT[,TEXT]",
        help="texts that mean a missing value, beside the empty cell, such as NA,?",
    )


def add_training_options(command: argparse.ArgumentParser) -> None:
    """Add the options that say how the network is trained and pruned."""
    group = command.add_argument_group("training and pruning")
    add = group.add_argument
    add_size_options(group.add_mutually_exclusive_group())
    add_choice_options(add)
    add(
        "--hidden",
        type=numbers_of(int),
        metavar="N[,N]",
        default=(100,),
        help="width of each hidden layer (default: 100)",
    )
    add_length_options(group.add_mutually_exclusive_group())
    add(
        "--schedule",
        choices=list(SCHEDULES),
        default="cubic",
        help="when the weights go (default: %(default)s)",
    )
    add(
        "--recovery",
        choices=list(RECOVERIES),
        default="plain",
        help="what those left are fitted to (default: %(default)s)",
    )
    add(
        "--finetune-lr",
        type=rate,
        default="cosine",
        metavar="RATE",
        help="learning rate of the fine-tuning: net, cosine, or the first one of a cosine "
        "(default: %(default)s)",
    )
    add(
        "--shrink",
        action="store_true",
        help="audit the pruned networks as they would be deployed: without units that do "
        "nothing, and with sparse layers where these are faster; sizes, multiply-accumulates "
        "and --latency are then of these",
    )
    add("--seed", type=whole(0, 2**32 - 1), default=0, help="default: %(default)s")
    add(
        "--seeds",
        type=whole(LEAST_RETRAINED),
        default=0,
        metavar="N",
        help="train N dense networks more, with the seeds after --seed (at least "
        f"{LEAST_RETRAINED}), each as long as the first one: what is negligible is then the "
        "deviation between them, unless --negligible has a number; default: none",
    )
    add("--threads", type=whole(1), default=1, help="of torch (default: %(default)s)")


def add_size_options(group: Any) -> None:
    """Add the options that say how much is pruned, one or the other."""
    add = group.add_argument
    add(
        "--sparsities",
        type=numbers_of(float),
        metavar="S[,S]",
        help="shares of weights to remove; 0, the dense network, is always added "
        f"(default: {','.join(map(str, SPARSITIES))}; of --granularity n:m 1 - n/m)",
    )
    add(
        "--cost",
        type=costs,
        metavar="OF=SHARE[,...]",
        help="shares of the dense network's cost to keep, in the place of --sparsities, such "
        "as macs=0.5,macs=0.3 (multiply-accumulates of a row) or parameters=0.2; removed "
        "weights cost nothing",
    )


def add_choice_options(add: Any) -> None:
    """Add the options that say which weights are pruned."""
    add(
        "--criterion",
        choices=list(CRITERIA),
        default="magnitude",
        metavar="NAME",
        help=f"score of each weight: {', '.join(CRITERIA)}; groups are those of --sensitive "
        "(default: %(default)s)",
    )
    add(
        "--granularity",
        type=granularity,
        default="weight",
        metavar="NAME|N:M",
        help=f"what is removed: {', '.join(GRANULARITY_NAMES)}; or n:m, such as 2:4, to "
        "keep n of each m weights (default: %(default)s)",
    )
    add(
        "--scope",
        choices=["global", "layerwise"],
        default="global",
        help="whether weights of all layers compete, or each layer loses the same share "
        "(default: %(default)s)",
    )


def add_length_options(group: Any) -> None:
    """Add the options that say how long is trained after pruning, one or the other."""
    add = group.add_argument
    add(
        "--finetune-epochs",
        type=whole(0),
        metavar="N",
        help="epochs of training after pruning (default: as many as make 500 to 1000 steps of "
        "the optimizer, at least a quarter of the training before)",
    )
    add(
        "--budgets",
        type=budgets,
        metavar="N,N[,N]",
        help="several such numbers, such as 5,20,80: prune to every sparsity with each, and "
        "tell which damage stays when the training is longer",
    )
