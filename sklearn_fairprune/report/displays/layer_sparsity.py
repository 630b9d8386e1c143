"""Share of weights removed in each layer."""

from typing import Any, Self

import numpy as np

from ...estimators.path import path_names
from ...measurement.sizes import layer_table
from ._audited import check_path
from ._style import (
    COLOURS,
    Display,
    canvas,
    distinct_names,
    literal,
    require_matplotlib,
    room_for,
    write_legend,
)


class LayerSparsityDisplay(Display):
    """Share of weights removed in each layer, of one model or several.

    Parameters
    ----------
    tables : list of DataFrame
        Of every model, from its layers: ``weights``, ``kept``, ``sparsity``.
    models : list of str
        Names of the models.

    Attributes
    ----------
    ax_, figure_ : Axes, Figure
        Where it is drawn.
    bars_ : list of BarContainer
        One a model.
    labels_ : list of list of Annotation
        One a bar: weights kept / weights.
    legend_ : Legend or None
        Names of the models, if there are several.

    See Also
    --------
    sklearn_fairprune.PrunedClassifier : ``scope`` says whether layers compete for weights.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_fairprune import PrunedClassifier
    >>> from sklearn_fairprune.report.displays import LayerSparsityDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = PrunedClassifier(hidden_layer_sizes=(8,), sparsity=0.75, random_state=0)
    >>> display = LayerSparsityDisplay.from_estimator(clf.fit(X, y))
    >>> int(display.tables[0]["kept"].sum()), len(display.bars_[0])
    (14, 2)
    >>> plt.close(display.figure_)
    """

    def __init__(self, tables: Any, models: Any) -> None:
        self.tables, self.models = tables, models

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None, **options: Any) -> Self:
        """Plot the layers of one fitted estimator.

        Parameters
        ----------
        estimator : fitted estimator
            A pruner or skorch net, or a Pipeline or search that holds one.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **options
            Arguments of `plot`.

        Returns
        -------
        display : LayerSparsityDisplay
            Drawn.
        """
        require_matplotlib("LayerSparsityDisplay.from_estimator")
        name = type(estimator).__name__
        return cls([_layers(name, estimator)], [name]).plot(ax=ax, **options)

    @classmethod
    def from_estimators(cls, models: Any, *, ax: Any = None, **options: Any) -> Self:
        """Plot the layers of several fitted estimators.

        Parameters
        ----------
        models : dict of str to fitted estimator
            By name.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **options
            Arguments of `plot`.

        Returns
        -------
        display : LayerSparsityDisplay
            Drawn.
        """
        require_matplotlib("LayerSparsityDisplay.from_estimators")
        if not hasattr(models, "items") or not models:
            raise ValueError(
                "models must be a dict of names to fitted estimators, such as {'pruned': a}, "
                f"got {models!r}. For one estimator use from_estimator."
            )
        tables = [_layers(name, model) for name, model in models.items()]
        return cls(tables, distinct_names(models)).plot(ax=ax, **options)

    @classmethod
    def from_path(cls, path: Any, *, ax: Any = None, **options: Any) -> Self:
        """Plot the layers of every network of a pruning path.

        Parameters
        ----------
        path : Bunch
            What ``pruning_path`` returned.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **options
            Arguments of `plot`.

        Returns
        -------
        display : LayerSparsityDisplay
            Drawn.
        """
        require_matplotlib("LayerSparsityDisplay.from_path")
        check_path(path)
        names = path_names(path.sparsities, path.get("budgets"))
        models = dict(zip(names, path.estimators, strict=True))
        return cls.from_estimators(models, ax=ax, **options)

    def plot(self, ax: Any = None, *, legend: bool = True) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        legend : bool, default=True
            Whether to write one, if there are several models.

        Returns
        -------
        display : LayerSparsityDisplay
            Itself.
        """
        require_matplotlib("LayerSparsityDisplay.plot")
        import matplotlib

        layers = list(dict.fromkeys(layer for t in self.tables for layer in t.index))
        n, several = len(self.models), len(self.models) > 1
        # From light to dark, so that the order is seen in grey print too.
        shades = matplotlib.colormaps["viridis_r"](np.linspace(0.15, 0.9, n))
        colours = shades if several else [COLOURS[0]]
        names = [literal(name) for name in self.models]
        width = 6.0 + room_for(names) * bool(several and legend)
        with canvas(ax, (width, 1.1 + len(layers) * (0.25 + 0.19 * n))) as (figure, axes):
            self.bars_, self.labels_ = [], []
            for k, (table, name) in enumerate(zip(self.tables, names, strict=True)):
                at = [
                    layers.index(layer) + (k - (n - 1) / 2) * 0.8 / n for layer in table.index
                ]
                bars = axes.barh(
                    at,
                    100 * table["sparsity"],
                    0.74 / n,
                    color=colours[k],
                    label=name,
                )
                counts = zip(table["kept"], table["weights"], strict=True)
                texts = [f"{kept:,}/{weights:,}" for kept, weights in counts]
                self.labels_.append(
                    axes.bar_label(bars, texts, padding=3, fontsize=8 if n < 4 else 7)
                )
                self.bars_.append(bars)
            axes.set_yticks(range(len(layers)), [literal(layer) for layer in layers])
            axes.set_ylim(len(layers) - 0.5, -0.5)
            axes.set_xlim(0, 122)
            axes.set_xticks(range(0, 101, 20))
            axes.set_xlabel("weights removed, % (numbers: weights kept/all)")
            title = "Sparsity by layer" + ("" if several else f" of {names[0]}")
            axes.set_title(title, fontsize=11)
            self.legend_ = None
            if several and legend:
                self.legend_ = write_legend(axes, self.bars_, names, outside=ax is None)
        self.ax_, self.figure_ = axes, figure
        return self


def _layers(name, model):
    """Layers of a model, or an error if it has none."""
    table = layer_table(model)
    if table.empty:
        raise ValueError(
            f"{name} must have a network inside to show its layers, got "
            f"{type(model).__name__}. Give a fitted PrunedClassifier or PrunedRegressor, a "
            "Pipeline or search that holds one, or a fitted skorch net."
        )
    return table
