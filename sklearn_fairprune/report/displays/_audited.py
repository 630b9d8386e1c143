"""Displays of an audit: from a report, a path, several models or one."""

import inspect
from collections.abc import Callable, Container, Mapping
from typing import Any, Self

from sklearn.utils import Bunch

from ...functional.shelf import LOSS
from ...measurement.audited import Audited
from ...measurement.records import Measure
from ...measurement.settings import Settings
from ...measurement.tables import measure_models
from ...measurement.weights import given_rows
from ._style import LOSS_UNITS, Display, check_choice, require_matplotlib

LETTERS = {"xi": "ξ"}


class AuditedDisplay(Display):
    """Base of displays whose data come from an `AuditReport`.

    A subclass has `_of_report`, which takes a report and, as keywords, its `_choices`: for
    the name of each argument a function that returns the measures there are.
    """

    _choices: dict[str, Callable[..., Mapping[str, Measure]]] = {}
    _picks: tuple[str, ...] = ()  # arguments of `_of_report` that are no measures
    _of_report: Callable[..., Any]
    plot: Callable[..., Any]

    @classmethod
    def from_report(cls, report: Any, *, ax: Any = None, **options: Any) -> Self:
        """Plot what an `AuditReport` holds.

        Parameters
        ----------
        report : AuditReport
            From `audit`.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **options
            What to show, and the arguments of `plot`: see the class.

        Returns
        -------
        display : object
            This class, drawn.
        """
        require_matplotlib(f"{cls.__name__}.from_report")
        if not isinstance(report, Audited):
            raise TypeError(
                "report must be an AuditReport, which audit(models, X, y) returns, got "
                f"{type(report).__name__}."
            )
        chosen = {k: options.pop(k) for k in (*cls._choices, *cls._picks) if k in options}
        return cls._of_report(report, **chosen).plot(ax=ax, **options)

    @classmethod
    def from_estimators(
        cls,
        models: Any,
        X: Any,
        y: Any,
        *,
        sensitive_features: Any = None,
        ax: Any = None,
        **options: Any,
    ) -> Self:
        """Audit fitted models and plot it.

        Parameters
        ----------
        models : dict of str to fitted estimator
            The dense model first.
        X : array-like
            Features of rows that no model was fitted on.
        y : array-like of shape (n,)
            Targets.
        sensitive_features : array-like of shape (n,) or (n, k), default=None
            Group of every row; several columns mean their intersections. Without it the
            classes are the groups.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **options
            What to show, the arguments of `plot`, and those of `audit`, such as
            `sample_weight`, `confidence`, `n_boot` and `min_group_size`.

        Returns
        -------
        display : object
            This class, drawn.
        """
        require_matplotlib(f"{cls.__name__}.from_estimators")
        own = {*cls._choices, *cls._picks, *inspect.signature(cls.plot).parameters}
        drawn = {k: options.pop(k) for k in list(options) if k in own}
        for name in cls._choices.keys() & drawn.keys():  # an audit may take long
            known = {*cls._choices[name](), *metric_names(options.get("metrics"))}
            check_choice(name, drawn[name], known, known, "")
        given = given_rows(X, y, sensitive_features, options.pop("sample_weight", None))
        audited, _ = measure_models(models, given, Settings(**options))
        return cls.from_report(audited, ax=ax, **drawn)

    @classmethod
    def from_path(
        cls,
        path: Any,
        X: Any,
        y: Any,
        *,
        sensitive_features: Any = None,
        ax: Any = None,
        **options: Any,
    ) -> Self:
        """Audit a pruning path and plot it.

        Parameters
        ----------
        path : PruningPath
            What ``pruning_path`` returned; it begins with sparsity 0.
        X, y, sensitive_features : array-like
            As in `from_estimators`.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **options
            As in `from_estimators`.

        Returns
        -------
        display : object
            This class, drawn.
        """
        require_matplotlib(f"{cls.__name__}.from_path")
        check_path(path)
        options |= {"sensitive_features": sensitive_features, "ax": ax}
        return cls.from_estimators(path, X, y, **options)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        sensitive_features: Any = None,
        ax: Any = None,
        **options: Any,
    ) -> Self:
        """Audit the dense and the pruned network of one estimator and plot it.

        Parameters
        ----------
        estimator : fitted estimator
            A pruner, or a Pipeline, search or meta-estimator that holds one.
        X, y, sensitive_features : array-like
            As in `from_estimators`.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **options
            As in `from_estimators`.

        Returns
        -------
        display : object
            This class, drawn.
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        options |= {"sensitive_features": sensitive_features, "ax": ax}
        return cls.from_estimators(estimator, X, y, **options)


def check_measure(
    argument: str, value: Any, known: Mapping[str, Measure], columns: Container[str]
) -> None:
    """Refuse a measure that does not exist, or that a report does not have.

    Parameters
    ----------
    argument : str
        Its name.
    value : object
        What was given.
    known : dict of str to Measure
        What there is.
    columns : container of str
        Of the table of the report.

    Raises
    ------
    ValueError
        Naming the argument, the rule, the value and what to use.
    """
    everyones = [name for name, measure in known.items() if not measure.classifiers_only]
    late = "it was added after the report was made"
    why = late if value in everyones else "regressors have no accuracy"
    check_choice(argument, value, known, columns, why)


def metric_names(metrics: Any) -> list[str]:
    """Names of the columns that an audit with these metrics will have."""
    return [f"{name}{end}" for name in metrics or () for end in ("", "_difference")]


def title_of(measure: Measure) -> str:
    """Title of a measure with its letter as mathematics writes it."""
    return f"{measure.label} {LETTERS.get(measure.symbol, measure.symbol)}".rstrip()


def axis_of(measure: Measure, loss: str) -> str:
    """Title of an axis: the measure and its unit.

    Parameters
    ----------
    measure : Measure
        What is drawn.
    loss : str
        Which loss.

    Returns
    -------
    title : str
    """
    unit = LOSS_UNITS.get(loss, loss) if measure.unit == LOSS else measure.shown_unit
    return ", ".join(filter(None, [title_of(measure), unit]))


def check_path(path: Any) -> None:
    """Refuse what no ``pruning_path`` returned."""
    if not isinstance(path, Bunch) or "estimators" not in path:
        raise TypeError(
            "path must be what pruning_path returned, a PruningPath of sparsities and "
            f"estimators, got {type(path).__name__}. For a dict of models use "
            "from_estimators."
        )
