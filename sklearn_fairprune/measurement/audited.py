"""What an audit measured: tables for one way to group the rows, and for each feature alone."""

from typing import Any, Self

import pandas as pd

from .groups import group_label, group_names
from .measures import MEASURES, Measures
from .user_metrics import measures_of


class Audited:
    """Tables, findings and notes of an audit; see `AuditReport` for each of them.

    Parameters
    ----------
    by_group, overall : DataFrame
        One row per model and group, one row per model.
    findings, notes : list of str
        Who pays most; what a reader must know.
    about : dict
        How it was measured.
    payers, changes, changed_rows, why, explanations : DataFrame, default=None
        Of this way to group the rows.
    sizes, latency, layers, constraints, training : DataFrame, default=None
        Of the networks, whatever the groups.
    reading : DataFrame, default=None
        What became of the columns of a file; see `datasets.read_table`.
    other_features : dict of str to Audited, default=None
        The same for each of several sensitive features alone.
    """

    _grouped = ("payers", "changes", "changed_rows", "why", "explanations")
    _networks = ("sizes", "latency", "layers", "constraints", "training", "reading")

    def __init__(
        self,
        by_group: pd.DataFrame,
        overall: pd.DataFrame,
        findings: list[str],
        notes: list[str],
        about: dict[str, Any],
        *,
        payers: pd.DataFrame | None = None,
        changes: pd.DataFrame | None = None,
        changed_rows: pd.DataFrame | None = None,
        why: pd.DataFrame | None = None,
        explanations: pd.DataFrame | None = None,
        sizes: pd.DataFrame | None = None,
        latency: pd.DataFrame | None = None,
        layers: pd.DataFrame | None = None,
        constraints: pd.DataFrame | None = None,
        training: pd.DataFrame | None = None,
        reading: pd.DataFrame | None = None,
        other_features: dict[str, Any] | None = None,
    ) -> None:
        self.by_group, self.overall = by_group, overall
        self.findings, self.notes, self.about = findings, notes, about
        self.payers, self.changes = _table(payers), _table(changes)
        self.changed_rows = _table(changed_rows)
        self.why, self.explanations = _table(why), _table(explanations)
        self.sizes, self.latency, self.layers = map(_table, (sizes, latency, layers))
        self.constraints, self.training = _table(constraints), _table(training)
        self.reading = _table(reading)
        self.other_features = other_features or {}
        measures_of(about)  # refuses what is no metric

    @classmethod
    def of(cls, audited: "Audited") -> Self:
        """The same in the form of this class.

        Parameters
        ----------
        audited : Audited
            What was measured.

        Returns
        -------
        audited : object of this class
        """
        others = {name: cls.of(one) for name, one in audited.other_features.items()}
        return cls(**vars(audited) | {"other_features": others})

    @property
    def by_feature(self) -> dict[str, "Audited"]:
        """Reports by feature: this one, and those of each of several features alone."""
        first = group_label(tuple(self.by_group.index.names[1:]))
        return {first: self, **self.other_features}

    @property
    def measures(self) -> Measures:
        """Measures that it may have: the shelf's, and the metrics that it was given."""
        return MEASURES | measures_of(self.about)

    @property
    def grouped_by(self) -> str:
        """What the groups are, such as "race & sex"."""
        return " & ".join(map(str, self.by_group.index.names[1:]))

    @property
    def _frames(self) -> tuple[str, ...]:
        """Names of the tables that there are."""
        more = (k for k in (*self._grouped, *self._networks) if len(getattr(self, k)))
        return ("by_group", "overall", *more)

    def to_frame(self) -> pd.DataFrame:
        """Return every measure in one long table.

        Returns
        -------
        frame : DataFrame
            Columns ``feature``, ``model``, ``sparsity``, ``about`` ("group" or "model"),
            ``group`` (text, empty for a model), ``rows``, ``measure``, ``value``, ``low``
            and ``high`` (NaN for a measure without interval).
        """
        tables = []
        for feature, audited in self.by_feature.items():
            models = audited.overall.reset_index()
            by_group = audited.by_group
            groups, names = by_group.reset_index(drop=True), group_names(by_group)
            groups["model"] = by_group.index.get_level_values("model")
            groups["group"] = [names[label[1:]] for label in by_group.index]
            groups["sparsity"] = groups["model"].map(audited.overall["sparsity"])
            for about, table in (("model", models.assign(group="")), ("group", groups)):
                tables.append(_long(table).assign(feature=feature, about=about))
        first = ["feature", "model", "sparsity", "about", "group", "rows"]
        frame = pd.concat(tables, ignore_index=True)
        return frame[[*first, "measure", "value", "low", "high"]]


def _table(frame):
    return pd.DataFrame() if frame is None else frame


def _long(table):
    """Measures of a wide table with limits below each other."""
    columns = set(table)
    measures = [name for name in table if f"{name}_low" in columns or name in MEASURES]
    fixed = ["model", "sparsity", "group", "rows"]
    return pd.concat(
        [
            table[fixed].assign(
                measure=name,
                value=table[name].astype(float),
                low=table.get(f"{name}_low", float("nan")),
                high=table.get(f"{name}_high", float("nan")),
            )
            for name in measures
        ],
        ignore_index=True,
    )
