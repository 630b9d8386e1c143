"""The result of an audit: tables, and the forms it can take."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..measurement.audited import Audited
from ..measurement.digests import predictions_digest
from ..measurement.sizes import size_of
from ..measurement.user_metrics import measures_of
from .displays import GroupPathDisplay
from .gate import DisparityError, UndecidedError, judged
from .markdown import as_markdown
from .model_card import as_model_card
from .page import render_page, render_summary
from .reading import check_report, levels_of, read_values
from .report import Report, frame_from
from .text import as_text
from .writing import write_whole


class AuditReport(Audited, Report):
    """Result of `audit`.

    Parameters
    ----------
    by_group : DataFrame
        One row per model and group: rows, accuracy, loss, excessive_loss, accuracy_drop,
        each with its ``_low`` and ``_high`` limit.
    overall : DataFrame
        One row per model: accuracy, balanced_accuracy, loss, fairness_violation,
        accuracy_spread with limits, accuracy_ratio, classes_predicted,
        predicts_one_class, loss_above_constant: surely more than 1 % above the loss of the
        best constant, and no_better_than_chance: the interval of the balanced accuracy
        ends less than a point above that of one class for everybody. Where networks of pruners
        are among them finetune_epochs, how long each was fine-tuned.
    findings : list of str
        Who pays most in each model, and whether the data can tell.
    notes : list of str
        What a reader must know: small groups, models that predict one class.
    about : dict
        Confidence level, bootstrap samples, seed and whatever the caller added.
    payers : DataFrame, default=None
        One row per pruned model and what it is told ``by`` ("decisions", "loss"): the group
        with the largest change of those with enough rows, its ``value`` with limits, the
        ``rival`` that comes nearest with the ``lead`` over it and its lower limit, what is
        ``negligible``, the ``verdict``, the groups that are ``possible``, the sentence, and of
        losses the ``top_share`` that comes from one row in a hundred (``top_rows``).
    changes : DataFrame, default=None
        One row per pruned model and group: how many predictions changed, for worse
        (``harmed``) and for better (``helped``), the shares of the group's rows with exact
        intervals, the group's representation among them, and ``p_value`` of the exact paired
        test of harmed against helped (McNemar), also corrected for all groups of the model
        by Holm's method (``p_value_holm``); 1 where no row is either.
    changed_rows : DataFrame, default=None
        One row per pruned model and changed prediction, over-represented groups first.
    why, explanations : DataFrame, default=None
        Tables of `diagnose` for every pruned model, if asked for.
    sizes, layers : DataFrame, default=None
        Of every network: weights, parameters, ``macs`` (multiply-accumulates of one row as it
        is stored) and ``nonzero_macs``, ``dead_units`` among all ``units``, bytes, SHA-256 and
        effective sparsity; and the sparsity of its layers.
    latency : DataFrame, default=None
        If it was measured, one row per network and batch size: ``milliseconds`` of a forward
        pass on one thread of the processor, and the ``speed_up`` over the dense network, both
        medians with limits. It is of one machine, and no part of comparisons and gates.
    constraints, training : DataFrame, default=None
        Of models fitted under a group constraint: whether it is met, and multipliers and
        violations by epoch.
    reading : DataFrame, default=None
        What became of every column of a file; see `datasets.read_table`.
    other_features : dict of str to AuditReport, default=None
        The same for each of several sensitive features alone.

    Attributes
    ----------
    by_group, overall, findings, notes, about
        As above.
    payers, changes, changed_rows, why, explanations, sizes, latency, layers, constraints
        As above; empty where there is nothing to say.
    training, reading : DataFrame
        As above; empty where there is nothing to say.
    other_features : dict of str to AuditReport
        Empty for a single sensitive feature.
    """

    _listed = ("changed_rows",)

    @property
    def _every_frame(self) -> tuple[str, ...]:
        return self._tables()

    def __str__(self) -> str:
        """Tables, findings and notes as plain text."""
        return as_text(self)

    def __repr__(self) -> str:
        """Say how many models and groups there are."""
        groups = self.by_group.index.droplevel("model").nunique()
        return f"<AuditReport of {len(self.overall)} models and {groups} groups>"

    # ---- as data -------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain Python values; unknown numbers are None."""
        values = super().to_dict()
        if self.other_features:
            others = {name: report.to_dict() for name, report in self.other_features.items()}
            values["features"] = others
        return values

    @classmethod
    def from_json(cls, source: str | Path) -> "AuditReport":
        """Read a report that `to_json` wrote.

        Parameters
        ----------
        source : str or Path
            A file, or the JSON text itself.

        Returns
        -------
        report : AuditReport
            With the same tables; groups that were neither text nor numbers are text.

        Raises
        ------
        ValueError
            If it is no such report, or not a whole one, with what is wrong where.
        OSError
            If there is no such file.
        """
        try:
            values = read_values(source)
            check_report(values, cls._tables(), cls._networks)
            measures_of(values["about"])
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"This is no audit report written by to_json: {error}. Read a whole copy of "
                "the file, or audit the models again."
            ) from error
        return cls._from_dict(values)

    @classmethod
    def _tables(cls) -> tuple[str, ...]:
        return ("by_group", "overall", *cls._grouped, *cls._networks)

    @classmethod
    def _from_dict(cls, values: dict[str, Any]) -> "AuditReport":
        levels = levels_of(values["about"]["sensitive_features"])
        frames = {
            name: frame_from(values[name], levels.get(name, ["model"]))
            for name in cls._tables()
            if name in values
        }
        others = {k: cls._from_dict(v) for k, v in values.get("features", {}).items()}
        rest = {name: values[name] for name in ("findings", "notes", "about")}
        return cls(**frames, **rest, other_features=others)

    def models_of(self, estimator: Any) -> list[str]:
        """Models of this report that are an estimator's network, or made these predictions.

        A report is about the networks or predictions it measured, not about those of the same
        name that came later. A gate on a saved report is bound to what it lets through by
        ``assert "pruned" in report.models_of(pruned)``.

        Parameters
        ----------
        estimator : fitted estimator, or array-like of shape (n,) or (n, n_classes)
            A pruner, a skorch net, or what holds one, whose parameters and masks count; what
            stands around it does not. Or predictions, as `audit_predictions` was given them,
            with columns in the sorted order of the classes: what they say counts, not their
            type (int or float, str or object).

        Returns
        -------
        names : list of str
            Empty if the report is about other networks or predictions.

        Raises
        ------
        TypeError
            If the estimator holds no network.

        Examples
        --------
        >>> from sklearn_fairprune import audit_predictions
        >>> y, pruned = [0, 1] * 100, [0, 1, 1, 1] * 50
        >>> report = audit_predictions(y, {"dense": y, "pruned": pruned})
        >>> report.models_of([0.0, 1.0, 1.0, 1.0] * 50)
        ['pruned']
        """
        if hasattr(estimator, "__array__") or isinstance(estimator, Sequence):
            digest = predictions_digest(estimator)
            given = self.about.get("predictions_sha256", {})
            return [name for name, one in given.items() if one == digest]
        if not (size := size_of(estimator)):
            raise TypeError(f"{type(estimator).__name__} holds no network to be found again.")
        same = self.sizes.get("sha256", pd.Series(dtype=str)) == size["sha256"]
        return self.sizes.index[same].tolist() if len(same) else []

    # ---- for readers ---------------------------------------------------------------

    def to_markdown(self, path: str | Path | None = None, *, technical: bool = False) -> str:
        """Return the report as a section of a model card, and write it to `path` if given.

        Parameters
        ----------
        path : str or Path, default=None
            File to write.
        technical : bool, default=False
            Whether to write the section on performance and limits of a technical
            documentation instead, along point 3 of Annex IV of the EU AI Act; what a report
            cannot know is left open for the author.

        Returns
        -------
        text : str
            Markdown.
        """
        text = (as_model_card if technical else as_markdown)(self)
        if path is not None:
            write_whole(path, text)
        return text

    def plot(
        self, measure: str = "accuracy", *, ax: Any = None, **options: Any
    ) -> GroupPathDisplay:
        """Plot a measure of every group along the models.

        Parameters
        ----------
        measure : {"accuracy", "loss", "excessive_loss", "accuracy_drop"}, default="accuracy"
            What to plot; any other measure of each group that was added, by its name.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **options
            Of ``GroupPathDisplay.plot``.

        Returns
        -------
        display : GroupPathDisplay
            Drawn.

        See Also
        --------
        sklearn_fairprune.report.displays : The other plots; each is made by its
            ``from_report``, ``from_path``, ``from_estimators`` or ``from_estimator``.
        """
        return GroupPathDisplay.from_report(self, measure=measure, ax=ax, **options)

    def to_html(self, path: str | Path | None = None) -> str:
        """Return the report as one interactive HTML page, and write it to `path` if given.

        Parameters
        ----------
        path : str or Path, default=None
            File to write.

        Returns
        -------
        html : str
            Complete in itself: it needs no network, no server and no other file.

        Raises
        ------
        ImportError
            Without vl-convert-python, which carries the code of the charts.
        """
        page = render_page(self)
        if path is not None:
            write_whole(path, page)
        return page

    def _repr_html_(self) -> str:
        return render_summary(self)

    # ---- as a gate -----------------------------------------------------------------

    def assert_disparity(
        self,
        *,
        max_spread: float | None = None,
        max_degradation: float | None = None,
        max_violation: float | None = None,
        limits: dict[str, float] | None = None,
        models: Sequence[str] | None = None,
        judge_by: str = "estimate",
        undecided: str = "raise",
    ) -> "AuditReport":
        r"""Raise if a pruned model costs a group more than is allowed.

        Parameters
        ----------
        max_spread : float in [0, 1], default=None
            Limit of the accuracy spread, :math:`\max_{a,a'} (acc_a - acc_{a'})`.
        max_degradation : float in [0, 1], default=None
            Limit of every group's accuracy drop against the dense model.
        max_violation : float, default=None
            Limit of the fairness violation :math:`\xi`, in units of the loss.
        limits : dict of str to float, default=None
            Limits of other measures of which less is better, by their names, such as
            ``{"excessive_loss": 0.1}``.
        models : sequence of str, default=None
            Names of the models to judge; None is all but the dense one.
        judge_by : {"estimate", "low", "high", "interval"}, default="estimate"
            The number itself; its lower limit, so that only a sure excess fails; its upper
            limit, so that only a surely kept limit passes; or both, so that a limit inside the
            interval is undecided. Groups of fewer than ``min_group_size`` rows are judged by
            their interval in the place of the number.
        undecided : {"raise", "pass"}, default="raise"
            What to do where nothing fails, but too few rows leave a limit open.

        Returns
        -------
        self : AuditReport
            This report, if every limit is kept.

        Raises
        ------
        DisparityError
            An AssertionError with every limit that is not kept, for every sensitive feature
            and their intersections. A model that is broken fails too.
        UndecidedError
            A DisparityError with every limit that is open, if none is broken. A number that is
            unknown leaves its limit open.
        ValueError
            If no limit is given, or one is unusable.
        """
        given = {
            "max_spread": max_spread,
            "max_degradation": max_degradation,
            "max_violation": max_violation,
        }
        if limits is not None:
            if not isinstance(limits, Mapping):
                raise ValueError(
                    "limits must be a dict of names of measures to numbers, such as "
                    f"{{'excessive_loss': 0.1}}, got {limits!r}."
                )
            given |= limits
        if all(value is None for value in given.values()):
            raise ValueError(
                "assert_disparity got no limit; give max_spread, max_degradation or "
                "max_violation, or limits of other measures."
            )
        if undecided not in ("raise", "pass"):
            raise ValueError(f"undecided must be 'raise' or 'pass', got {undecided!r}.")
        found = judged(self.by_feature, given, models=models, judge_by=judge_by)
        if found.failures:
            raise DisparityError(*found)
        if found.undecided and undecided == "raise":
            raise UndecidedError(*found)
        return self
