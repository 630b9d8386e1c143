"""Hears a fit, and tells the callbacks of scikit-learn (1.9 and newer) of it."""

from contextlib import contextmanager

from .._compat.sklearn import callback_context
from ..engine.fit import Hooks, Listener


class FitListener(Listener):
    """Tells callbacks of the phases of one fit and of the epochs inside each.

    Parameters
    ----------
    owner : estimator
        Whose callbacks they are.
    data : Data
        Its X and y are handed on to the callbacks.

    Attributes
    ----------
    rows : Rows
        What the weights see, set by whoever reads them.
    groups : ndarray
        Names of the groups, likewise.
    """

    holdout = 0.0  # share of the rows that the weights may not see

    def __init__(self, owner, data):
        self.owner, self.data = owner, {"X": data.X, "y": data.y}
        self.root = self.pruner = self.state = self.rows = self.groups = None

    def begin(self, pruner, n_phases, state):
        """Open the fit.

        Parameters
        ----------
        pruner : BasePruner
            That is fitted.
        n_phases : int
            Number of phases: dense training, one per pruning step.
        state : callable of net
            Makes the `Fitted` of a pruner that predicts with a net in training.
        """
        self.pruner, self.state = pruner, state
        self.root = callback_context(self.owner)(max_subtasks=n_phases)
        self.root.call_on_fit_task_begin(estimator=self.owner, **self.data)

    @contextmanager
    def phase(self, name, n_epochs, net, rows, dense=None):
        """Open a phase, and tell of its epochs."""
        phase = self.root.subcontext(task_name=name, max_subtasks=n_epochs)
        phase.call_on_fit_task_begin(estimator=self.owner, **self.data)
        running = []

        def begin(net):
            epoch = phase.subcontext(task_name="epoch")
            running.append(epoch.call_on_fit_task_begin(estimator=self.owner, **self.data))

        def end(net):
            return running.pop().call_on_fit_task_end(
                estimator=self.owner,
                reconstruction_attributes=lambda: self.attributes(net),
                **self.data,
            )

        yield Hooks((begin, end), self.dual(n_epochs, net, rows, dense))
        phase.call_on_fit_task_end(estimator=self.owner, **self.data)

    def why_targets(self, recipe):
        """What of the listener needs targets when a fitted network is pruned: nothing."""
        return ""

    def dual(self, n_epochs, net, rows, dense):
        """Multipliers of the training that begins: none."""
        return None

    def close(self, net):
        """Tell that the fit has ended with this network."""
        self.root.call_on_fit_task_end(
            estimator=self.owner,
            reconstruction_attributes=lambda: self.attributes(net),
            **self.data,
        )

    def attributes(self, net):
        """What makes a copy of the owner predict with a net in training."""
        seen = ("n_features_in_", "feature_names_in_")
        of_inputs = {name: v for name, v in vars(self.pruner).items() if name in seen}
        return of_inputs | {"_fitted": self.state(net)}
