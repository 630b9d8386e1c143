"""Kept weights that can do nothing: what is too many is decided here, and worded here."""

# Share of the kept weights that can do nothing, from which on it is told.
IDLE = 0.1


def idle_share(kept: float, live: float) -> float:
    """Share of the kept weights that lie on no path from an input to an output.

    Parameters
    ----------
    kept, live : float
        Weights that the masks keep, and those of them on a path; or shares of all weights.

    Returns
    -------
    share : float
        0 if nothing is kept.

    Examples
    --------
    >>> from sklearn_fairprune.statistics.idle import idle_share
    >>> idle_share(kept=10, live=6)
    0.4
    """
    return float(1 - live / kept) if kept > 0 else 0.0


def says_idle(share: float) -> str:
    """What a network does whose kept weights are idle to such a share.

    Parameters
    ----------
    share : float
        As from `idle_share`.

    Returns
    -------
    predicate : str
        About the weights that it keeps.
    """
    return (
        f"{100 * share:.0f} % of the weights that it keeps lie on no path from an input to an "
        "output, where no training can use them"
    )
