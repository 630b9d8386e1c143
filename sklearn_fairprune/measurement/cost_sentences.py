"""What pruning made of the cost of the networks, in sentences."""

from collections.abc import Iterator

import pandas as pd

from .formats import counted

MASKED = (
    "Weights set to zero make a network neither faster nor smaller in memory: `macs` and "
    "`bytes`{whose} are those of the dense one; call shrink(), which removes units that do "
    "nothing."
)
STORED = (
    "zeros are stored and multiplied like other numbers; shrink() removes units that do "
    "nothing"
)
# Copies of one network differ by up to 4 %, by where they happen to lie in memory, and the
# limits, which are of repetitions, do not know it: such a difference is none.
TOLERATED = 0.05


def cost_sentences(
    overall: pd.DataFrame, sizes: pd.DataFrame, latency: pd.DataFrame | None = None
) -> list[str]:
    """Say what each pruned network costs against the dense one.

    Parameters
    ----------
    overall : DataFrame
        One row per model, the dense one first.
    sizes : DataFrame
        Of the networks, perhaps without ``macs``, as in reports that were saved before.
    latency : DataFrame, default=None
        From `latency_table`, if it was measured.

    Returns
    -------
    sentences : list of str
        Empty if the first model has no network, or no other has one.
    """
    dense = overall.index[0]
    pruned = [model for model in overall.index[1:] if model in sizes.index]
    if dense not in sizes.index or not pruned:
        return []
    known = [m for m in pruned if "macs" in sizes and sizes["macs"].notna()[[dense, m]].all()]
    masked = [model for model in known if _is_masked(sizes, dense, model)]
    told = [_fewer(sizes, dense, model) for model in known]
    if latency is not None and len(latency):
        told += _speeds(latency, sizes, dense, pruned, masked)
    elif masked:
        whose = "" if masked == pruned else f" of {', '.join(map(str, masked))}"
        told.append(MASKED.format(whose=whose))
    return [sentence for sentence in told if sentence]


def _is_masked(sizes, dense, model):
    """Whether a network has zeros and is stored and multiplied as the dense one is."""
    same = all(sizes.loc[model, k] == sizes.loc[dense, k] for k in ("macs", "bytes"))
    return same and sizes.loc[model, "kept"] < sizes.loc[model, "weights"]


def _fewer(sizes, dense, model):
    """How many times fewer multiply-accumulates, if fewer."""
    own, full = sizes.loc[model, "macs"], sizes.loc[dense, "macs"]
    if not own < full:
        return ""
    counts = f"{counted(own)} in the place of {counted(full)}"
    times = f"{full / own:.3g} times fewer" if own else "no"
    return f"{model} takes {times} multiply-accumulates of a row than {dense}, {counts}."


def _speeds(latency, sizes, dense, pruned, masked) -> Iterator[str]:
    """Whether each network is surely faster, surely slower, or neither."""
    alike: dict[tuple[str, int], list[str]] = {}
    for batch in latency.index.unique("batch"):
        for model in (m for m in pruned if (m, batch) in latency.index):
            row = latency.loc[(model, batch)]
            speed, low, high = (row[f"speed_up{end}"] for end in ("", "_low", "_high"))
            if low > 1 + TOLERATED:
                limits = f"{speed:.3g} times [{low:.3g}, {high:.3g}] faster"
                yield f"{model} is {limits} than {dense} at batch {batch}."
            elif high < 1 / (1 + TOLERATED):
                limits = f"{1 / speed:.3g} times [{1 / high:.3g}, {1 / low:.3g}] slower"
                yield f"{model} is {limits} than {dense} at batch {batch}."
            elif low == low:  # known
                why = STORED if model in masked else ""
                alike.setdefault((why, batch), []).append(str(model))
    merged: dict[tuple[str, ...], list[str]] = {}
    for (why, batch), names in alike.items():
        merged.setdefault((why, *names), []).append(str(batch))
    for (why, *names), batches in merged.items():
        verb = "are" if len(names) > 1 else "is"
        because = f": {why}" if why else ""
        at = " and ".join(batches)
        yield f"{', '.join(names)} {verb} no faster than {dense} at batch {at}{because}."
