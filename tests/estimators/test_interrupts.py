"""Ctrl-C ends a call; early stopping only stops."""

import signal

import pytest
from estimator_cases import LABELS, Net, Pairs, X, make, make_net
from failing_calls import fails
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, EarlyStopping
from skorch.dataset import ValidSplit


class InterruptedNet(Net):
    """Ctrl-C is pressed in the forward of batch `interrupt` of the trainings."""

    def __init__(self, interrupt):
        super().__init__()
        self.interrupt, self.steps = interrupt, 0

    def forward(self, X):
        self.steps += self.training
        if self.interrupt == self.steps:
            raise KeyboardInterrupt
        return super().forward(X)


class InterruptedPairs(Pairs):
    """Ctrl-C is pressed while item `interrupt` is read."""

    def __init__(self, X, y, interrupt):
        super().__init__(X, y)
        self.interrupt, self.reads = interrupt, 0

    def __getitem__(self, i):
        self.reads += 1
        if self.reads == self.interrupt:
            raise KeyboardInterrupt
        return super().__getitem__(i)


class CtrlC(Callback):
    """Ctrl-C is pressed while Python happens to be inside a callback."""

    def on_batch_end(self, net, training, **kwargs):
        if training:
            signal.raise_signal(signal.SIGINT)


INTERRUPTED = {
    "forward, dense": lambda: (make(make_net(InterruptedNet, module__interrupt=2)), X),
    "forward, fine-tuning": lambda: (make(make_net(InterruptedNet, module__interrupt=14)), X),
    "Dataset": lambda: (make(), InterruptedPairs(X, LABELS, 10)),
    "Dataset, dense": lambda: (make(), InterruptedPairs(X, LABELS, 150)),
    "inside a callback": lambda: (make(make_net(callbacks=[CtrlC()])), X),
}


@pytest.mark.parametrize("case", INTERRUPTED)
@pytest.mark.parametrize("again", [False, True])
def test_ctrl_c_ends_fit(case, again):
    est, data = INTERRUPTED[case]()
    if again:
        est = make().fit(X, LABELS).set_params(estimator=est.estimator)
    with pytest.raises(KeyboardInterrupt):
        est.fit(data, None if data is not X else LABELS)
    with pytest.raises(NotFittedError):
        est.predict(X)


@pytest.mark.parametrize("case", ["forward, dense", "inside a callback"])
def test_ctrl_c_ends_a_grid_search(case):
    search = GridSearchCV(INTERRUPTED[case]()[0], {"sparsity": [0, 0.5]}, cv=2)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, LABELS)
    assert not hasattr(search, "best_estimator_")


@pytest.mark.parametrize("verb", ["prune", "partial_fit"])
def test_ctrl_c_leaves_the_estimator_as_it_was(verb):
    est = make().fit(X, LABELS)
    fails(KeyboardInterrupt, None, est, verb, InterruptedPairs(X, LABELS, 90))


@pytest.mark.parametrize("load_best", [False, True])
def test_early_stopping_only_stops(load_best):
    stop = EarlyStopping(patience=2, threshold=1e3, load_best=load_best)
    net = make_net(callbacks=[stop], train_split=ValidSplit(4), max_epochs=20)
    est = make(net, finetune_epochs=10).fit(X, LABELS)
    phases = [h["phase"] for h in est.history_]
    assert phases.count("dense") == 3
    assert phases.count("finetune") == 3
    assert est.predict(X).shape == (60,)
