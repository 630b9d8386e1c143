"""An audit at a glance: which sparsity, who pays most, and how sure that is."""

from ..measurement.audited import Audited
from ..measurement.groups import group_names
from ..measurement.verdicts import Payer, broken_headline, broken_models


def headline(audited: Audited) -> list[str]:
    """Say in a few sentences what a report shows.

    The working model in which the group that surely pays most pays most comes first; else
    a broken one; else it is said that the data cannot tell.

    Parameters
    ----------
    audited : Audited
        Of one way to group the rows.

    Returns
    -------
    sentences : list of str
        The first says most.
    """
    payers = audited.payers
    if not len(payers):
        return audited.findings[:1] or ["There is one model only: nothing to compare it with."]
    by_verdict = {v: payers.index[payers["verdict"] == v].tolist() for v in Payer}
    sure, lead = by_verdict[Payer.PAYS_MOST], lead_model(audited)
    if lead in sure:
        sentences = [_pays(audited, lead)]
        if more := [model for model in sure if model != lead]:
            whom = ", ".join(f"{model} ({payers.loc[model, 'group']})" for model in more)
            sentences.append(f"A group surely pays most also in {whom}.")
    else:
        sentences = ["In no model can a group's loss be shown to rise more than the others'."]
    sentences += _accuracy_drop(audited)
    if unsure := by_verdict[Payer.CANNOT_TELL]:
        sentences.append(f"The data cannot tell who pays most in {', '.join(unsure)}.")
    if spared := by_verdict[Payer.NO_LOSS_ROSE]:
        sentences.append(f"No group's loss rose in {', '.join(spared)}.")
    if broken := broken_models(audited.overall):
        sentences.append(broken_headline(broken))
    return sentences


def lead_model(audited: Audited) -> str:
    """Return the model to look at first.

    That is where the group that surely pays most pays most, among the models that work;
    else a broken one of that kind; else the last that works.

    Parameters
    ----------
    audited : Audited
        Of one way to group the rows.

    Returns
    -------
    model : str
    """
    models, working = audited.overall.index.tolist(), _working(audited)
    payers = audited.payers
    if len(payers):
        sure = payers[payers["verdict"] == Payer.PAYS_MOST]["excessive_loss"]
        for candidates in (sure[sure.index.isin(working)], sure):
            if len(candidates):
                return candidates.idxmax()
    return (working or models)[-1]


def _pays(audited, model):
    """Say who pays most in a model."""
    row, level = audited.payers.loc[model], f"{100 * audited.about['confidence']:g} %"
    where = f"{model}, a broken model" if model in broken_models(audited.overall) else model
    return (
        f"{row['group']} ({row['rows']} rows) pays most, in {where}: its loss rose by "
        f"{row['excessive_loss']:.3f}, {row['against_others']:.3f} more than that of the "
        f"others ({level} interval {row['against_others_low']:.3f} to "
        f"{row['against_others_high']:.3f})."
    )


def _accuracy_drop(audited):
    """Say which group's accuracy fell most, by the lower limit, in a model that works."""
    if audited.by_group.get("accuracy_drop") is None:
        return []
    models = audited.by_group.index.get_level_values("model")
    rows = audited.by_group[models.isin(_working(audited))]
    if not len(rows):
        return []
    label = rows["accuracy_drop_low"].idxmax()
    row, level = rows.loc[label], f"{100 * audited.about['confidence']:g} %"
    if not row["accuracy_drop_low"] > 0:
        where = "In the models that work no" if broken_models(audited.overall) else "No"
        return [f"{where} group's accuracy surely fell: every {level} interval includes 0."]
    drop, low, high = (
        f"{100 * row[f'accuracy_drop{end}']:.1f}" for end in ("", "_low", "_high")
    )
    return [
        f"Accuracy fell most for {group_names(audited.by_group)[label[1:]]} "
        f"({row['rows']:.0f} rows) in {label[0]}: by {drop} points ({level} interval {low} to "
        f"{high})."
    ]


def _working(audited):
    """Names of the pruned models that are not broken."""
    broken = broken_models(audited.overall)
    return [model for model in audited.overall.index[1:] if model not in broken]


def group_order(audited: Audited) -> list[str]:
    """Names of the groups, those that pay most in the model to look at first.

    Parameters
    ----------
    audited : Audited
        Of one way to group the rows.

    Returns
    -------
    labels : list of str
    """
    damage = audited.by_group.loc[[lead_model(audited)], "excessive_loss"]
    names = group_names(audited.by_group)
    damage = damage.sort_values(ascending=False, kind="stable")
    return [names[label[1:]] for label in damage.index]
