"""Displays of an audit: from a report, a path, several models or one."""

import inspect

from sklearn.utils import Bunch

from ...estimators.unwrap import dense_twin
from ...measurement.tables import AuditTables, Settings, measure_models
from ._style import Display, check_choice, require_matplotlib

REGRESSORS = "regressors have no accuracy"


class AuditedDisplay(Display):
    """Base of displays whose data come from an `AuditReport`.

    A subclass has `_of_tables`, which takes `AuditTables` and, as keywords, its `_choices`:
    what there is to choose by the name of the argument.
    """

    @classmethod
    def _choices(cls):
        return {}

    @classmethod
    def from_report(cls, report, *, ax=None, **options):
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
        tables = getattr(report, "tables", None)
        if not isinstance(tables, AuditTables):
            raise TypeError(
                "report must be an AuditReport, which audit(models, X, y) returns, got "
                f"{type(report).__name__}."
            )
        chosen = {k: options.pop(k) for k in cls._choices() if k in options}
        return cls._of_tables(tables, **chosen).plot(ax=ax, **options)

    @classmethod
    def from_estimators(cls, models, X, y, *, sensitive_features=None, ax=None, **options):
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
            `confidence`, `n_boot` and `min_group_size`.

        Returns
        -------
        display : object
            This class, drawn.
        """
        require_matplotlib(f"{cls.__name__}.from_estimators")
        choices, own = cls._choices(), inspect.signature(cls.plot).parameters
        drawn = {k: options.pop(k) for k in list(options) if k in own}
        chosen = {k: options.pop(k) for k in choices if k in options}
        for name, value in chosen.items():  # an audit may take long
            check_choice(name, value, choices[name], choices[name], "")
        parts, _, about, _ = measure_models(
            models, X, y, sensitive_features, Settings(**options)
        )
        first = next(iter(parts.values()))
        tables = AuditTables(first["by_group"], first["overall"], about)
        return cls._of_tables(tables, **chosen).plot(ax=ax, **drawn)

    @classmethod
    def from_path(cls, path, X, y, *, sensitive_features=None, ax=None, **options):
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
    def from_estimator(cls, estimator, X, y, *, sensitive_features=None, ax=None, **options):
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
        models = {"dense": dense_twin(estimator), "pruned": estimator}
        options |= {"sensitive_features": sensitive_features, "ax": ax}
        return cls.from_estimators(models, X, y, **options)


def check_path(path):
    """Refuse what no ``pruning_path`` returned."""
    if not isinstance(path, Bunch) or "estimators" not in path:
        raise TypeError(
            "path must be what pruning_path returned, a PruningPath of sparsities and "
            f"estimators, got {type(path).__name__}. For a dict of models use "
            "from_estimators."
        )
