"""Says which measures are unknown, of whom and why."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from .records import Measure


def lacking_notes(
    by_group: pd.DataFrame,
    overall: pd.DataFrame,
    measures: Mapping[str, Measure],
    texts: Sequence[str],
) -> Iterator[str]:
    """Say of each measure that may be unknown where it is.

    Parameters
    ----------
    by_group, overall : DataFrame
        Tables of an audit.
    measures : mapping of str to Measure
        Of the audit.
    texts : sequence of str
        Names of the groups.

    Yields
    ------
    note : str
    """
    for name, measure in measures.items():
        if not measure.lacking or name not in overall:
            continue
        where: dict[tuple[str, ...], list[str]] = {}
        for model in overall.index:
            unknown = []
            if name in by_group:
                missing = by_group.loc[[model], name].isna()
                unknown = [text for text, lacks in zip(texts, missing, strict=True) if lacks]
            unknown += ["all rows"] if pd.isna(overall.loc[model, name]) else []
            if unknown:
                where.setdefault(tuple(unknown), []).append(str(model))
        for groups, models in where.items():
            whose = "" if measure.disparity else f" of {', '.join(groups)}"
            every = "" if len(models) == len(overall) else f" in {', '.join(models)}"
            yield f"No {measure.label}{whose}{every}: {measure.lacking}."
