"""An audit at a glance: which sparsity, who pays most, and how sure that is."""

from ..measurement.audited import Audited
from ..measurement.budgets import along_path
from ..measurement.groups import group_names, rows_that_count
from ..measurement.measures import payments
from ..measurement.payers import Payer, leading
from ..measurement.recovered import WHY, unrecovered
from ..measurement.verdicts import broken_models
from ..statistics.broken import says_not_fair


def headline(audited: Audited) -> list[str]:
    """Say in a few sentences what a report shows.

    Of one model, which is chosen by no group's loss: `lead_model`. Decisions come before
    losses, unless only the latter tell who pays most.

    Parameters
    ----------
    audited : Audited
        Of one way to group the rows.

    Returns
    -------
    sentences : list of str
        The first says most.
    """
    payers, broken = audited.payers, broken_models(audited.overall)
    not_fair = [says_not_fair(broken)] if broken else []
    if not len(payers):
        alone = ["There is one model only: nothing to compare it with."]
        return (audited.findings[:1] or alone) + not_fair
    model = lead_model(audited)
    where = "a broken model, " if model in broken else ""
    rows, first = payers.loc[[model]].droplevel("model"), leading(payers, model)["by"]
    rows = rows[rows["verdict"] != Payer.TOO_FEW]["sentence"].to_dict()
    told = sorted(rows, key=lambda by: by != first)  # stable
    sentences = [f"In {where}{model}, by {by}: {rows[by]}" for by in told]
    few = [line for line in audited.findings if line.startswith(f"{model}: too few rows")]
    sentences += [f"In {line}" for line in few]
    if reason := unrecovered(audited.overall, audited.sizes).get(model):
        sentences.append(f"Part of this may be {WHY}: {reason}.")
    return [*sentences, *not_fair]


def lead_model(audited: Audited) -> str:
    """Return the model to look at first: the last that is not broken.

    What the groups pay has no say in it, so that of many models it is not the one that
    chance made look worst. Of several budgets of fine-tuning it is of the longest, unless
    all of those are broken.

    Parameters
    ----------
    audited : Audited
        Of one way to group the rows.

    Returns
    -------
    model : str
    """
    working, path = _working(audited), along_path(audited.overall, audited.about)
    return ([m for m in working if m in path] or working or audited.overall.index.tolist())[-1]


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
    columns = [name for name in payments() if name in audited.by_group]
    damage = audited.by_group.loc[[lead_model(audited)]]
    enough = rows_that_count(damage) >= audited.about["min_group_size"]
    names = group_names(audited.by_group)
    damage = damage.assign(enough=enough)
    damage = damage.sort_values(["enough", columns[0]], ascending=False, kind="stable")
    return [names[label[1:]] for label in damage.index]
