"""What must agree in a saved audit: models, groups, rows, counts, and what is said of them."""

import math
from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

from ..measurement.changes import CLASSES, feature_columns
from ..measurement.groups import distinct_labels, rows_that_count
from ..measurement.measures import MEASURES, disparities, payments, performances
from ..measurement.payers import Payer
from .agreement import SLACK, latencies_agree, shares_agree, weights_agree
from .schema import FLAGS, Records

ENDS = ("", "_low", "_high")
EXPLAINED = ("why", "explanations")
OF_PRUNED = ("payers", "changes", *EXPLAINED)
# Whether the dense and the pruned prediction of a changed row are right.
WHEN = {"harmed": (True, False), "helped": (False, True), "wrong both times": (False, False)}
PARTS = (
    *(("kept", "weights"), ("nonzero", "parameters"), ("rows_used", "rows")),
    *(("nonzero_macs", "macs"), ("dead_units", "units")),
)


class Table(NamedTuple):
    """A table of a file.

    Attributes
    ----------
    place : str
        What errors call it.
    rows : list of dict
    levels : list of str
        Columns that say what a row is about: the model first.
    """

    place: str
    rows: Records
    levels: list[str]

    def items(self) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        """What each row is about, and the row."""
        return [(tuple(row[level] for level in self.levels), row) for row in self.rows]

    def of(self, model: str) -> Records:
        """Rows of a model."""
        return [row for row in self.rows if row["model"] == model]

    def models(self) -> list[str]:
        """Models in their order; one is there twice if its rows are not together."""
        return [model for model, _ in groupby(row["model"] for row in self.rows)]

    def intervals(self) -> list[str]:
        """Columns with limits beside them."""
        columns = self.rows[0]
        found = [name.removesuffix("_low") for name in columns if name.endswith("_low")]
        return [name for name in found if {name, f"{name}_high"} <= columns.keys()]


class Part(NamedTuple):
    """A file, or what is in it of one sensitive feature.

    Attributes
    ----------
    prefix : str
        What errors write before the names of its tables.
    tables : dict of str to Table
    about : dict
    findings, notes : list of str
    """

    prefix: str
    tables: dict[str, Table]
    about: dict[str, Any]
    findings: list[str]
    notes: list[str]

    @property
    def models(self) -> list[str]:
        """Names of the models, the dense one first."""
        return [row["model"] for row in self.tables["overall"].rows]

    @property
    def groups(self) -> list[tuple[tuple[Any, ...], int]]:
        """Labels of the groups and their rows."""
        return self.groups_of("by_group", self.models[0])

    def groups_of(self, name: str, model: str) -> list[tuple[tuple[Any, ...], int]]:
        """Labels and rows of the groups that a table has of a model."""
        items = self.tables[name].items()
        return [(key[1:], row["rows"]) for key, row in items if key[0] == model]

    def rows(self, name: str) -> Records:
        """Rows of a table; none if there is no such table."""
        return self.tables[name].rows if name in self.tables else []

    @property
    def weighted(self) -> bool:
        """Whether rows are weighted, so that shares do not follow from counts."""
        return "effective_rows" in self.about

    def compared(self) -> int:
        """Number of groups with enough rows, effective ones of weighted rows."""
        least, rows = self.about["min_group_size"], self.tables["by_group"].of(self.models[0])
        return sum(rows_that_count(row) >= least for row in rows)


def wrongs(part: Part) -> Iterator[str]:
    """Say what does not agree.

    Parameters
    ----------
    part : Part
        Its tables have the columns and kinds of cells that they should.

    Yields
    ------
    wrong : str
        Place, rule and value.
    """
    rules = (_limits, _models, _groups, weights_agree, _measures, _flags, _counts, _told)
    for rule in (*rules, _payers, _changed, *([] if part.prefix else [_networks])):
        yield from rule(part)


def _limits(part):
    """A value lies within its limits, which are known both or not at all."""
    for table in part.tables.values():
        for name in table.intervals():
            for k, row in enumerate(table.rows):
                value, low, high = (row[f"{name}{end}"] for end in ENDS)
                where = f"{table.place}[{k}]: {name} {value} with limits {low} and {high}"
                if (low is None) != (high is None) or (value is None and low is not None):
                    yield f"{where}: all three, the value alone or nothing must be known"
                elif low is not None:
                    # Bootstrap percentiles may miss their own estimate, but not by far; those
                    # of a correlation over a few groups by any.
                    room = high - low + SLACK * max(1, abs(low), abs(high))
                    room += 2 * (name == "rank_correlation")
                    if low > high or not low - room <= value <= high + room:
                        yield f"{where}: the value must lie within them"


def _models(part):
    """All tables have the models of `overall`, in its order, and no row twice."""
    models, dense = part.models, part.about["dense_model"]
    if models[0] != dense:
        where = f"{part.prefix}about['dense_model']"
        yield f"{where} must be the first model, {models[0]!r}, got {dense!r}"
    given = part.about.get("predictions_sha256", {})
    if given and list(given) != models:
        where = f"{part.prefix}about['predictions_sha256']"
        yield f"{where} must be of the models {models}, got {list(given)}"
    if "budgets" in part.about and "finetune_epochs" not in part.rows("overall")[0]:
        yield f"{part.prefix}overall lacks 'finetune_epochs', which budgets of about are of"
    more = {"training": ("stage", "epoch", "group"), "changed_rows": ("row",)}
    for name, table in part.tables.items():
        keys = [
            (*key, *(row[column] for column in more.get(name, ())))
            for key, row in table.items()
        ]
        if len(set(keys)) < len(keys):
            double = next(key for key in keys if keys.count(key) > 1)
            yield f"{table.place} has a row twice: {double}"
        found = table.models()
        if found != [model for model in models if model in found]:
            yield f"{table.place} must have models of overall in order, {models}, got {found}"
        if name in OF_PRUNED and models[0] in found:
            yield f"{table.place} must have pruned models only, got {models[0]!r} too"
    why, said = (part.tables[t].models() if t in part.tables else [] for t in EXPLAINED)
    if why != said:
        yield f"{part.prefix}explanations must be of the models of why, {why}, got {said}"


def _groups(part):
    """Every model has the same groups, whose rows add up to all rows."""
    models, rows, groups = part.models, part.about["rows"], part.groups
    for name, those in (("by_group", models), ("changes", models[1:])):
        for model in those if name in part.tables else []:
            found = part.groups_of(name, model)
            if found != groups or str(found) != str(groups):  # 60 is not 60.0
                yield (
                    f"{part.prefix}{name}: groups and rows of {model!r} must be those of the "
                    f"first model, {short(groups)}, got {short(found)}"
                )
    for key, row in part.tables["why"].items() if "why" in part.tables else []:
        if dict(groups).get(key[1:]) != row["rows"]:
            yield f"{part.prefix}why: by_group has no {key} with {row['rows']} rows"
    sizes = [n for _, n in groups]
    if sum(sizes) != rows or 0 in sizes:
        yield f"{part.prefix}by_group: rows must add up to {rows}, none of them 0, got {sizes}"
    for k, row in enumerate(part.rows("overall")):
        if row["rows"] != rows:
            yield f"{part.prefix}overall[{k}]: rows must be {rows}, got {row['rows']}"


def _measures(part):
    """There is something to read."""
    overall, by_group = part.rows("overall")[0], part.rows("by_group")[0]
    for found in (performances, disparities):
        if not found(overall):
            yield f"{part.prefix}overall lacks all of {list(found())}"
    if not payments().keys() & by_group.keys():
        yield f"{part.prefix}by_group lacks all of {list(payments())}"


def _flags(part):
    """Whether a model is broken is said, and agrees with the numbers."""
    overall, known = part.rows("overall"), {*part.rows("overall")[0]}
    measured = [k for k in (*overall[0], *part.rows("by_group")[0]) if k in MEASURES]
    classifies = any(MEASURES[name].classifiers_only for name in measured)
    if odd := [flag for flag in FLAGS if (flag in known) != classifies]:
        yield f"{part.prefix}overall: {odd[0]!r} must be there for classifiers alone"
    flags = [name for name in ("loss_above_constant", *FLAGS) if name in known]
    for k, row in enumerate(overall):
        told = any(row["model"] in note for note in part.notes)
        if any(row[name] for name in flags) and not told:
            yield f"{part.prefix}notes must tell of {row['model']!r}, which is broken"
        if row.get(FLAGS[0]) and row.get("classes_predicted", 1) != 1:
            yield f"{part.prefix}overall[{k}]: {FLAGS[0]} is not so, by its classes_predicted"
    if part.compared() < len(part.groups) and not part.notes:
        yield f"{part.prefix}notes must tell of small groups, got []"


def _counts(part):
    """Parts are no more than the whole."""
    for table in part.tables.values():
        for one, whole in (pair for pair in PARTS if {*pair} <= table.rows[0].keys()):
            for k, row in enumerate(table.rows):
                where = f"{table.place}[{k}]: {one}"
                if (row[one] is None) != (row[whole] is None):
                    yield f"{where} and {whole} must be known both, or neither"
                elif row[one] is not None and row[one] > row[whole]:
                    yield f"{where} must be at most {whole}, {row[whole]}, got {row[one]}"
    for k, row in enumerate(part.rows("changes")):
        where = f"{part.prefix}changes[{k}]"
        if row["harmed"] + row["helped"] > row["changed"]:
            yield f"{where}: harmed and helped must be at most changed, {row['changed']}"
        yield from shares_agree(part, where, row)


def _told(part):
    """Every pruned model has findings, with the sentences of its payers."""
    place, lines = f"{part.prefix}findings", part.findings
    if len({*lines}) < len(lines):
        yield f"{place} must tell nothing twice"
    for model in part.models[1:]:
        if not any(line.startswith(model) for line in lines):
            yield f"{place} must tell of {model!r}"
    for row in part.rows("payers") if part.compared() > 1 else []:
        line = f"{row['model']}, by {row['by']}: {row['sentence']}"
        if line not in lines:
            yield f"{place} must have what payers tell: {line!r}"
    amounts = {payments()[k].told_by: v["amount"] for k, v in _negligible(part).items()}
    for k, row in enumerate(part.rows("payers")):
        if amounts and row["negligible"] != amounts.get(row["by"]):
            yield (
                f"{part.prefix}payers[{k}]: negligible must be that of about, "
                f"{amounts.get(row['by'])}, got {row['negligible']}"
            )
    told = {(row["model"], row["by"]) for row in part.rows("payers")}
    if len({by for _, by in told}) * len({model for model, _ in told}) > len(told):
        yield f"{part.prefix}payers must tell of every model by the same, got {sorted(told)}"


def _negligible(part):
    """What is negligible by measure; reports that were saved before do not tell."""
    return part.about.get("negligible", {})


def _payers(part):
    """Of several groups each pruned model has its payers, with the numbers of the group."""
    models = part.models[1:] if len(part.groups) > 1 else []
    found = part.tables["payers"].models() if "payers" in part.tables else []
    if found != models:
        yield f"{part.prefix}payers must be of the models {models}, got {found}"
        return
    texts = distinct_labels(label for label, _ in part.groups)
    intervals = part.tables["by_group"].intervals()
    for k, row in enumerate(part.rows("payers")):
        where, few = f"{part.prefix}payers[{k}]", row["verdict"] == Payer.TOO_FEW
        known = {""} if few else {*texts}
        if unknown := [row[name] for name in ("group", "rival") if row[name] not in known]:
            yield f"{where}: group and rival must be among {known}, got {unknown[0]!r}"
        elif not few:
            own = part.tables["by_group"].of(row["model"])[texts.index(row["group"])]
            numbers = [row[f"value{end}"] for end in ENDS]
            measured = [[own[f"{name}{end}"] for end in ENDS] for name in intervals]
            if numbers not in measured or row["rows"] != own["rows"]:
                yield f"{where}: rows and value must be those of {row['group']!r} in by_group"
            elif rows_that_count(own) < part.about["min_group_size"]:
                yield f"{where}: rows must be at least min_group_size, got {row['rows']}"
            elif not _top_share_is_known(row):
                yield f"{where}: top_share must be known of top_rows of a loss above 0 alone"
            elif _top_rows(row) not in (0, math.ceil(row["rows"] / 100)):
                yield f"{where}: top_rows must be one in a hundred, got {row['top_rows']}"
            elif not _joined(row["possible"], texts):
                yield f"{where}: possible must be groups of by_group, got {row['possible']!r}"


def _top_rows(row):
    """Rows that make up the `top_share`; 0 of what is no loss, and of earlier releases."""
    return row.get("top_rows", 0)


def _top_share_is_known(row):
    """Whether the share is there where it should be; of a value of about 0 it may be."""
    wanted = _top_rows(row) > 0 and row["value"] > 0
    unsure = _top_rows(row) > 0 and abs(row["value"]) < SLACK
    return unsure or wanted == (row.get("top_share") is not None)


def _joined(possible, texts):
    """Whether a text is names of groups in their order, joined by "or"."""
    if any(" or " in text for text in texts):
        return True
    found = possible.split(" or ")
    return found == [text for text in texts if text in found]


def _changed(part):
    """The rows that are listed are those that are counted."""
    pruned = len(part.models) > 1 and FLAGS[0] in part.rows("overall")[0]
    if ("changes" in part.tables) != pruned:
        yield f"{part.prefix}changes must be there for pruned classifiers alone"
        return
    listed = part.rows("changed_rows")
    names = part.about["sensitive_features"]
    columns = feature_columns(names, listed[0]) if listed else []
    if listed and (lost := {*columns} - listed[0].keys()):
        yield f"{part.prefix}changed_rows lacks {min(lost)!r}"
        return
    classes = [row[name] for row in listed for name in CLASSES]
    if len({str if isinstance(v, str) else isinstance(v, bool) for v in classes}) > 1:
        yield f"{part.prefix}changed_rows: classes must be all texts or all numbers"
    counts = {}
    for k, row in enumerate(listed):
        rows = part.about["rows"] + part.about.get("rows_of_weight_0", 0)
        if row["row"] >= rows:
            where = f"{part.prefix}changed_rows[{k}]"
            yield f"{where}: row must be less than {rows}, got {row['row']}"
        right = (row["true"] == row["dense_prediction"], row["true"] == row["prediction"])
        if right != WHEN[row["outcome"]] or row["dense_prediction"] == row["prediction"]:
            where = f"{part.prefix}changed_rows[{k}]"
            yield f"{where}: outcome {row['outcome']!r} must agree with the predictions"
        found = counts.setdefault((row["model"], *(row[name] for name in columns)), {})
        for name in ("changed", row["outcome"]):
            found[name] = found.get(name, 0) + 1
    for key, row in part.tables["changes"].items() if pruned else []:
        own = counts.pop(key, {})
        for name in ("changed", "harmed", "helped"):
            if (there := own.get(name, 0)) != row[name]:
                where = f"{part.prefix}changed_rows of {key}"
                yield f"{where} must have {row[name]} {name}, as in changes, got {there}"
    if counts:
        yield f"{part.prefix}changes lacks groups of changed_rows: {short([*counts])}"


def _networks(part):
    """Networks of a known sparsity have sizes and layers that add up to it."""
    sizes = {row["model"]: row for row in part.rows("sizes")}
    known = {row["model"]: row["sparsity"] for row in part.rows("overall")}
    known = {model: sparsity for model, sparsity in known.items() if sparsity is not None}
    found = part.tables["layers"].models() if "layers" in part.tables else []
    if found != list(known):
        yield f"layers must be of models with a known sparsity, {list(known)}, got {found}"
        return
    for model, sparsity in known.items():
        layers = part.tables["layers"].of(model)
        weights, kept = (sum(row[name] for row in layers) for name in ("weights", "kept"))
        size = sizes.get(model, {})
        if (size.get("weights"), size.get("kept")) != (weights, kept):
            yield f"sizes of {model!r} must be {kept} of {weights} weights, as in layers"
        elif abs(sparsity - 1 + kept / max(weights, 1)) > SLACK:
            right = 1 - kept / max(weights, 1)
            yield f"overall: sparsity of {model!r} must be {right:g}, got {sparsity:g}"
        effective = size.get("effective_sparsity")
        if effective is not None and effective < sparsity - SLACK:
            yield (
                f"sizes: effective_sparsity of {model!r} must be at least its sparsity, "
                f"{sparsity:g}, got {effective:g}"
            )
    trained = {row["model"] for row in part.rows("training")}
    if lost := {row["model"] for row in part.rows("constraints")} - trained:
        yield f"training lacks {min(lost)!r}, which constraints has"
    yield from latencies_agree(part, list(sizes))


def short(values: Any) -> str:
    """Text of anything, cut."""
    text = str(values)
    return text if len(text) <= 200 else f"{text[:200]}..."
