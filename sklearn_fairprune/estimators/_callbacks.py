"""scikit-learn >= 1.9 callbacks over phases and epochs; silence on older versions."""

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn < 1.9

    class _Silent:
        def subcontext(self, **kwargs):
            return self

        def call_on_fit_task_begin(self, **kwargs):
            return self

        def call_on_fit_task_end(self, **kwargs):
            return False

    class CallbackSupportMixin:
        """Stand-in without callbacks."""

        def _init_callback_context(self, **kwargs):
            return _Silent()


from contextlib import contextmanager

from ..engine.training import EpochEvents


class FitEvents:
    """Tells callbacks of the phases of one fit and of the epochs inside each.

    Parameters
    ----------
    estimator : estimator
        Whose fit it is.
    n_phases : int
        Number of phases (dense training, one per pruning step).
    X, y : array-like
        Handed on to the callbacks.
    fitted : dict
        What makes a copy of `estimator` predict, but for its networks.
    plan : Unconstrained
        Knows whose callbacks they are, if `estimator` is fitted by another.
    """

    def __init__(self, estimator, n_phases, X, y, fitted, plan):
        self.pruner, self.fitted, self.plan = estimator, fitted, plan
        self.estimator, self.data = plan.owner(estimator), {"X": X, "y": y}
        self.root = self.estimator._init_callback_context(max_subtasks=n_phases)
        self.root.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def _as_fitted(self, net):
        """Attributes that make a copy of the estimator predict with a net in training."""
        attributes = self.fitted | {"dense_estimator_": net, "estimator_": net}
        return lambda: self.plan.attributes(self.pruner, attributes)

    @contextmanager
    def phase(self, name, n_epochs):
        """Open a phase; gives the `EpochEvents` to train it with."""
        phase = self.root.subcontext(task_name=name, max_subtasks=n_epochs)
        phase.call_on_fit_task_begin(estimator=self.estimator, **self.data)
        running = []

        def begin(net):
            epoch = phase.subcontext(task_name="epoch")
            running.append(epoch.call_on_fit_task_begin(estimator=self.estimator, **self.data))

        def end(net):
            return running.pop().call_on_fit_task_end(
                estimator=self.estimator,
                reconstruction_attributes=self._as_fitted(net),
                **self.data,
            )

        yield EpochEvents(begin, end)
        phase.call_on_fit_task_end(estimator=self.estimator, **self.data)

    def close(self, net):
        """Report the end of the fit."""
        self.root.call_on_fit_task_end(
            estimator=self.estimator,
            reconstruction_attributes=self._as_fitted(net),
            **self.data,
        )
