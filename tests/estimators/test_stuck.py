"""A network that keeps weights which no training can use is told at once."""

import re
import warnings

import numpy as np
import pytest
import torch
from estimator_cases import CODES, GROUPS, LABELS, X, make, make_net
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNetRegressor

from sklearn_fairprune import GroupConstrainedPruner, PrunedClassifier, PrunedRegressor

torch.set_num_threads(1)
TOLD = re.compile(
    r"^The network of sparsity (\S+) (?:predicts .*: it is broken\. It )?is stuck: (\d+) % "
    r"of the weights that it keeps lie on no path from an input to an output, where no "
    r"training can use them, so that its effective sparsity is (\S+); prune with "
    r"schedule='cubic', which removes such weights first, or to a lower sparsity\.$"
)
STUCK = {"sparsity": 0.9, "finetune_epochs": 0, "criterion": "random"}
LEARNS = {"max_epochs": 40, "lr": 0.5}


def regressor():
    options = {"criterion": torch.nn.MSELoss, "module__n_out": 1, "lr": 0.05}
    return make(make_net(kind=NeuralNetRegressor, **options), PrunedRegressor, **STUCK)


MAKERS = {
    "classifier": lambda: make(make_net(**LEARNS), **STUCK),
    "regressor": regressor,
    "constrained": lambda: GroupConstrainedPruner(
        make(make_net(**LEARNS), **STUCK), tolerance=99.0
    ),
}


def told(caught):
    """What the warnings of stuck networks say, in numbers; each points at the caller."""
    assert {(w.category, w.filename) for w in caught} == {(ConvergenceWarning, __file__)}
    texts = [str(warning.message) for warning in caught]
    matches = [TOLD.match(text) for text in texts if "is stuck" in text]
    return [tuple(float(value) for value in match.groups()) for match in matches]


def expected(est):
    pruner = getattr(est, "estimator_", est)
    pruner = pruner if hasattr(pruner, "effective_sparsity_") else est
    kept, live = 1 - pruner.sparsity_, 1 - pruner.effective_sparsity_
    share = round(100 * (1 - live / kept))
    numbers = pruner.sparsity_, share, pruner.effective_sparsity_
    return tuple(float(f"{value:.4g}") for value in numbers)


@pytest.mark.parametrize("kind", MAKERS)
def test_fit_and_prune_say_so_in_numbers(kind):
    est, y = MAKERS[kind](), CODES.astype(np.float32) if kind == "regressor" else LABELS
    with pytest.warns(ConvergenceWarning, match="is stuck") as caught:
        est.fit(X, y, sensitive_features=GROUPS)
    assert told(caught) == [expected(est)]
    assert expected(est)[1] > 10
    with pytest.warns(ConvergenceWarning, match="is stuck") as caught:
        est.prune(sparsity=0.92)
    assert told(caught) == [expected(est)]
    with pytest.warns(ConvergenceWarning, match="is stuck") as caught:
        est.prune(X, y, sensitive_features=GROUPS, sparsity=0.9)
    assert told(caught) == [expected(est)]


@pytest.mark.parametrize("kind", MAKERS)
def test_a_path_says_so_once_for_every_member_that_is(kind):
    est, y = MAKERS[kind](), CODES.astype(np.float32) if kind == "regressor" else LABELS
    with pytest.warns(ConvergenceWarning, match="is stuck") as caught:
        path = est.pruning_path(X, y, sensitive_features=GROUPS, sparsities=[0, 0.88, 0.92])
    assert told(caught) == [expected(member) for member in path.estimators[1:]]


def test_one_class_and_idle_weights_are_one_warning():
    rare = np.where(np.arange(len(X)) == 0, "rare", "often")
    with pytest.warns(ConvergenceWarning) as caught:
        est = MAKERS["classifier"]().fit(X, rare)
    assert len(caught) == 1
    assert told(caught) == [expected(est)]
    assert "predicts 'often' for every training row: it is broken. It is stuck: " in str(
        caught[0].message
    )


def test_live_masks_are_never_stuck():
    est = MAKERS["classifier"]().set_params(schedule="cubic")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="The network of sparsity .* predicts")
        est.fit(X, LABELS)
        est.prune(sparsity=0.9375)
        est.prune(sparsity=0.0)
        make(make_net(**LEARNS), sparsity=0.1).fit(X, LABELS)


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"granularity": "2:4"}, r"granularity='2:4' cannot remove such"),
        (
            {"sparsity": 0.8, "min_density": 0.2},
            r"; prune to a lower sparsity or lower min_density\.",
        ),
        ({"sparsity": 0.95, "schedule": "one_shot"}, r"; prune with schedule='cubic', which"),
    ],
)
def test_the_advice_is_one_that_was_not_followed_already(options, advice):
    X, y = make_classification(300, 12, n_informative=6, random_state=0)
    est = PrunedClassifier(
        hidden_layer_sizes=(16, 8), finetune_epochs=1, random_state=0, **options
    )
    with pytest.warns(ConvergenceWarning, match=rf"is stuck: .*{advice}"):
        est.fit(X, y)
