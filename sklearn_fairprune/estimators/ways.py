"""Schedules and recoveries with parameters of their own, which a search can set."""

import functools
import numbers
from dataclasses import replace
from typing import Any

from sklearn.base import BaseEstimator

from .._compat.sklearn import Interval, validate_params
from ..engine.recovery import RECOVERIES, Recovery
from ..functional.schedules import SCHEDULES, Schedule


class Way(BaseEstimator):
    """Base of objects that stand for a record; their parameters are checked when used."""

    _parameter_constraints: dict[str, list[Any]] = {}

    def _record(self) -> Any:
        """Schedule or Recovery that the engine works with; parameters are checked."""
        validate_params(self)
        return self._made()

    def _made(self) -> Any:
        raise NotImplementedError


def as_record(value: Any) -> Any:
    """Record of an object with parameters; anything else as it is."""
    return value._record() if isinstance(value, Way) else value


_SHARE = [Interval(numbers.Real, 0, 1, closed="both")]
_POSITIVE = [Interval(numbers.Real, 0, None, closed="neither")]


class Iterative(Way):
    """Prune in steps with training between, for ``schedule=`` [1]_.

    Parameters
    ----------
    n_steps : int, default=3
        Each removes the same share of what is left; they divide the epochs evenly.
    live : bool, default=False
        Whether weights that lie on no path from an input to an output are removed first.

    References
    ----------
    .. [1] Han, Pool, Tran, Dally, "Learning both weights and connections for efficient
           neural networks", NeurIPS 2015.

    Examples
    --------
    >>> from sklearn_fairprune import Iterative, PrunedClassifier
    >>> clf = PrunedClassifier(schedule=Iterative(n_steps=5), finetune_epochs=10)
    >>> clf.set_params(schedule__n_steps=2).schedule
    Iterative(n_steps=2)
    """

    _parameter_constraints = {
        "n_steps": [Interval(numbers.Integral, 1, None, closed="left")],
        "live": ["boolean"],
    }

    def __init__(self, n_steps: int = 3, *, live: bool = False) -> None:
        self.n_steps = n_steps
        self.live = live

    def _made(self) -> Schedule:
        step = functools.partial(SCHEDULES["iterative"].function, n_steps=self.n_steps)
        return Schedule(_named(step), "", self.n_steps, whole_epochs=True, live=self.live)


class Cubic(Way):
    """Prune gradually, fast at first, for ``schedule=`` [1]_.

    Parameters
    ----------
    ramp : float in (0, 1], default=0.6
        Share of the fine-tuning after which the final mask holds.
    n_updates : int, default=60
        How often in the whole fine-tuning the masks are made anew, at equal distances; fewer
        if it has fewer batches. Criteria that measure statistics do so every time.
    live : bool, default=True
        Whether weights that lie on no path from an input to an output are removed first.

    References
    ----------
    .. [1] Zhu, Gupta, "To prune, or not to prune: exploring the efficacy of pruning for
           model compression", arXiv:1710.01878, equation (1).

    Examples
    --------
    >>> from sklearn_fairprune import Cubic, PrunedClassifier
    >>> PrunedClassifier(schedule=Cubic(ramp=0.5)).schedule
    Cubic(ramp=0.5)
    """

    _parameter_constraints = {
        "ramp": [Interval(numbers.Real, 0, 1, closed="right")],
        "n_updates": [Interval(numbers.Integral, 2, None, closed="left")],
        "live": ["boolean"],
    }

    def __init__(self, ramp: float = 0.6, *, n_updates: int = 60, live: bool = True) -> None:
        self.ramp = ramp
        self.n_updates = n_updates
        self.live = live

    def _made(self) -> Schedule:
        # Asked last before the end, so that a ramp of 1 ends where the last update is.
        ramp = min(self.ramp, (self.n_updates - 1) / self.n_updates)
        step = functools.partial(SCHEDULES["cubic"].function, ramp=ramp)
        return Schedule(_named(step), "", self.n_updates, live=self.live)


class Rewind(Way):
    """Prune at once and go back to early weights, for ``schedule=`` [1]_.

    Parameters
    ----------
    at : float in [0, 1], default=0.1
        Share of the dense training, in whole epochs, whose weights are gone back to; 0 are the
        first weights.
    live : bool, default=False
        Whether weights that lie on no path from an input to an output are removed first.

    References
    ----------
    .. [1] Frankle, Dziugaite, Roy, Carbin, "Linear mode connectivity and the lottery ticket
           hypothesis", ICML 2020.

    Examples
    --------
    >>> from sklearn_fairprune import PrunedClassifier, Rewind
    >>> PrunedClassifier(schedule=Rewind(at=0.2)).schedule
    Rewind(at=0.2)
    """

    _parameter_constraints = {"at": _SHARE, "live": ["boolean"]}

    def __init__(self, at: float = 0.1, *, live: bool = False) -> None:
        self.at = at
        self.live = live

    def _made(self) -> Schedule:
        function = SCHEDULES["rewind"].function
        return Schedule(function, "", 1, live=self.live, rewind_at=float(self.at))


class Distill(Way):
    r"""Train the kept weights towards the dense network's outputs, for ``recovery=``.

    The loss is :math:`(1 - k) J + k T^2 KL(p^*_T \| p_T)`, of the net's own loss J and the
    probabilities at temperature T of the dense and the pruned network [1]_; of a regressor
    the squared distance takes the place of the divergence. Outputs of the dense network are
    computed once. What it learns is the dense network: its errors, its unfairness, and the
    rows that it has learnt by heart.

    Parameters
    ----------
    temperature : float, default=1.0
        T. At 1 the losses of the rows come closest to those of the dense network.
    share : float in [0, 1], default=1.0
        k; at 1 the targets do not count, only what the dense network makes of the rows.
    balance : float in [0, 1], default=0.0
        Rows of a group of n_a rows count :math:`n_a^{-s}` times; at 1 all groups count alike.

    References
    ----------
    .. [1] Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network",
           arXiv:1503.02531.

    Examples
    --------
    >>> from sklearn_fairprune import Distill, PrunedClassifier
    >>> clf = PrunedClassifier(recovery=Distill(share=0.5))
    >>> clf.set_params(recovery__temperature=2.0).recovery
    Distill(share=0.5, temperature=2.0)
    """

    _parameter_constraints = {"temperature": _POSITIVE, "share": _SHARE, "balance": _SHARE}

    def __init__(
        self, temperature: float = 1.0, *, share: float = 1.0, balance: float = 0.0
    ) -> None:
        self.temperature = temperature
        self.share = share
        self.balance = balance

    def _made(self) -> Recovery:
        return RECOVERIES["distill"](**self.get_params())


class Reconstruct(Way):
    r"""Refit the kept weights layer by layer to the dense network, for ``recovery=`` [1]_.

    Every unit's kept weights and bias solve a least-squares problem, whose target is the
    dense network's output of that layer on the training rows. No gradient is taken; with
    ``finetune_epochs=0`` it is all that is done. Where a schedule removes weights later, or
    goes back to early weights, the target is the network as it was just before the removal;
    a gradual schedule is repaired once, after its last removal.

    Parameters
    ----------
    balance : float in [0, 1], default=0.0
        Rows of a group of n_a rows count :math:`n_a^{-s}` times.
    damping : float, default=0.01
        How strongly weights stay where they are, as a share of the mean diagonal of the Gram
        matrix.
    distill : Distill, bool, default=False
        Whether training afterwards is towards the dense network's outputs.

    References
    ----------
    .. [1] Frantar, Alistarh, "Optimal brain compression: a framework for accurate
           post-training quantization and pruning", NeurIPS 2022.

    Examples
    --------
    >>> from sklearn_fairprune import PrunedClassifier, Reconstruct
    >>> PrunedClassifier(recovery=Reconstruct(distill=True), finetune_epochs=3).recovery
    Reconstruct(distill=True)
    """

    _parameter_constraints = {
        "balance": _SHARE,
        "damping": _POSITIVE,
        "distill": ["boolean", Distill],
    }

    def __init__(
        self, *, balance: float = 0.0, damping: float = 0.01, distill: bool | Distill = False
    ) -> None:
        self.balance = balance
        self.damping = damping
        self.distill = distill

    def _made(self) -> Recovery:
        own = {"balance": self.balance, "damping": self.damping}
        if not self.distill:
            return RECOVERIES["reconstruct"](**own)
        then = Distill() if self.distill is True else self.distill
        options = {"reconstructs": True, "damping": self.damping}
        return replace(then._record(), **options, layer_balance=self.balance)


def _named(step: functools.partial) -> functools.partial:
    """Give a partial the name of its function, which messages tell."""
    step.__name__ = step.func.__name__  # type: ignore[attr-defined]
    return step
