"""The default network, private copies, and predictions."""

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from torch import nn
from torch.utils.data import DataLoader

from sklearn_fairprune.engine import networks
from sklearn_fairprune.engine.batches import BatchIterator, Rows
from sklearn_fairprune.engine.networks import MLP
from sklearn_fairprune.engine.training import randomness, train

torch.set_num_threads(1)
X = np.random.default_rng(0).normal(size=(30, 4))
Y = (X[:, 0] > 0).astype(np.int64)


class Dropped(nn.Module):
    """Draws from the global random state while it trains."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.5), nn.Linear(6, 2))

    def forward(self, X):
        return self.body(X)


def make(is_classifier=True, dtype=torch.float32, **options):
    net = networks.default_net(is_classifier, len(X), 4, 2, (5, 3)).set_params(**options)
    return networks.initialize(networks.with_fast_batches(net), dtype, 0)


def state(net):
    return {k: v.clone() for k, v in net.module_.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_mlp_layers():
    shapes = [tuple(p.shape) for p in MLP(6, 2, (5, 3)).parameters()]
    assert shapes == [(5, 6), (5,), (3, 5), (3,), (2, 3), (2,)]
    assert MLP(6, 2)(torch.zeros(7, 2, 3)).shape == (7, 2)
    linear = MLP(2, 1, ())
    expected = torch.ones(1, 2) @ linear.layers[1].weight.T + linear.layers[1].bias
    assert torch.equal(linear(torch.ones(1, 2)), expected)


def test_mlp_hides_behind_relu():
    module = MLP(1, 1, (2,))
    first, last = module.layers[1], module.layers[3]
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), (1.0, 0.0, 1.0, 0.5), strict=True):
            parameter.fill_(value)
        first.weight[1], last.weight[0, 1] = -1.0, 3.0
    assert module(torch.tensor([[2.0], [-2.0]])).flatten().tolist() == [2.5, 6.5]


@pytest.mark.parametrize(("n_rows", "least"), [(1, 200), (128, 200), (129, 100), (10**6, 30)])
def test_few_rows_get_more_epochs(n_rows, least):
    net = networks.default_net(True, n_rows, 4, 2, (5,))
    assert net.max_epochs >= least
    assert net.max_epochs == 30 or n_rows < 10**6


@pytest.mark.parametrize("sizes", [(0,), (3, -1), (2.5,), ("4",)])
def test_widths_are_positive_integers(sizes):
    with pytest.raises(ValueError, match="hidden_layer_sizes must be positive integers"):
        networks.default_net(True, 9, 4, 2, sizes)


def test_default_nets():
    classifier, regressor = make(), make(False)
    assert isinstance(classifier, NeuralNetClassifier)
    assert isinstance(regressor, NeuralNetRegressor)
    assert isinstance(classifier.criterion_, nn.CrossEntropyLoss)
    assert isinstance(regressor.criterion_, nn.MSELoss)
    assert classifier.train_split is None
    assert classifier.get_iterator(Rows(X), training=True).shuffle
    assert not classifier.get_iterator(Rows(X), training=False).shuffle


def test_only_the_default_loader_is_replaced():
    class Mine(DataLoader):
        pass

    net = NeuralNetClassifier(MLP, iterator_train=Mine)
    assert networks.with_fast_batches(net) is net
    assert (net.iterator_train, net.iterator_valid) == (Mine, BatchIterator)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_initial_weights_follow_the_seed_alone(dtype):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    nets = [networks.initialize(make(), dtype, seed) for seed in (3, 3, 4)]
    assert torch.equal(torch.get_rng_state(), before)
    assert same(state(nets[0]), state(nets[1]))
    assert not same(state(nets[0]), state(nets[2]))
    assert {v.dtype for v in state(nets[0]).values()} == {dtype}


def test_cast_reaches_the_criterion():
    net = make(criterion__weight=torch.ones(2))
    networks.cast(net, torch.float64)
    assert net.criterion_.weight.dtype is torch.float64


def test_copy_shares_nothing():
    net = make()
    train(net, Rows(X, Y), 1, seed=0)
    before, twin = state(net), networks.copy_net(net)
    assert same(state(twin), before)
    assert twin.get_params().keys() == net.get_params().keys()
    assert len(twin.history) == len(net.history) == 1
    train(twin, Rows(X, Y), 1, seed=1)
    assert same(state(net), before)
    assert not same(state(twin), before)
    assert len(net.history) == 1


def test_copy_trains_its_own_weights():
    net = make()
    expected, twin = networks.copy_net(net), networks.copy_net(net)
    for one in (expected, twin):
        train(one, Rows(X, Y), 2, seed=0)
    assert same(state(expected), state(twin))
    train(net, Rows(X, Y), 2, seed=0)
    assert same(state(net), state(twin))


def test_copy_of_a_module_defined_in_a_function():
    class Local(nn.Linear):
        pass

    net = NeuralNetClassifier(Local, module__in_features=4, module__out_features=2)
    net.initialize()
    assert same(state(networks.copy_net(net)), state(net))


def test_renewed_optimizer_has_no_memory():
    net = make()
    train(net, Rows(X, Y), 1, seed=0)
    assert net.optimizer_.state
    assert networks.renew_optimizer(net) is net
    assert not net.optimizer_.state
    parameters = {id(p) for g in net.optimizer_.param_groups for p in g["params"]}
    assert parameters == {id(p) for p in net.module_.parameters()}


class Fresh(Callback):
    def initialize(self):
        self.epochs = 0
        return self

    def on_epoch_end(self, net, **kwargs):
        self.epochs += 1


def test_restart_is_a_training_of_its_own():
    net = make(callbacks=[("fresh", Fresh())])
    train(net, Rows(X, Y), 2, seed=0)
    assert dict(net.callbacks_)["fresh"].epochs == 2
    before = state(net)
    assert networks.restart(net) is net
    assert len(net.history) == 0
    assert not net.optimizer_.state
    assert dict(net.callbacks_)["fresh"].epochs == 0
    assert same(state(net), before)


def test_net_trimmed_for_prediction_has_no_optimizer_to_renew():
    net = make()
    networks.check_untrimmed(net, "Training")
    net.trim_for_prediction()
    assert networks.renew_optimizer(net) is net
    with pytest.raises(ValueError, match=r"^Training, and the net has given up .* before, or"):
        networks.check_untrimmed(net, "Training", ", or none")
    shrunk = make()
    shrunk.optimizer_ = None
    assert networks.renew_optimizer(shrunk).optimizer_ is None
    with pytest.raises(ValueError, match=r"as it was before\."):
        networks.check_untrimmed(shrunk, "Training")


def test_net_trimmed_for_prediction_reads_batches_all_the_same():
    net = make()
    net.trim_for_prediction()
    assert networks.with_fast_batches(net).iterator_train is BatchIterator


@pytest.mark.parametrize("lookup", [nn.Embedding, nn.EmbeddingBag])
def test_integers_stay_for_embeddings(lookup):
    net = make()
    rows = networks.adapt(Rows(np.ones((2, 4), dtype=int), Y[:2]), net)
    assert not rows.keep_integers
    net.module_.table = lookup(3, 2)
    assert networks.adapt(rows, net) is rows
    assert rows.keep_integers


@pytest.mark.parametrize("criterion", [nn.BCELoss, nn.BCEWithLogitsLoss])
def test_binary_cross_entropy_reads_floats(criterion):
    rows = networks.adapt(Rows(X, Y, dtype=torch.float64), make(criterion=criterion))
    assert rows.y.dtype is torch.float64
    assert networks.adapt(Rows(X, Y), make()).y.dtype is torch.int64


def test_only_other_modules_train_with_a_seeded_global_state():
    others = [NeuralNetClassifier(Dropped, train_split=None).initialize(), make(), make()]
    networks.with_fast_batches(others[0])
    others[1].iterator_train = others[2].iterator_valid = DataLoader
    others.append(make(train_split=ValidSplit(3)))
    own, before = make(), torch.get_rng_state()
    with randomness(own, 0):
        assert torch.equal(torch.get_rng_state(), before)
    for other in others:
        with randomness(other, 0):
            assert not torch.equal(torch.get_rng_state(), before)
        assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_predictions_are_the_probabilities_of_the_logits(dtype):
    net = make(dtype=dtype, batch_size=7)
    expected = net.module_(torch.as_tensor(X, dtype=dtype)).double().softmax(1)
    found = networks.predict(net, Rows(X, dtype=dtype))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected.detach(), rtol=1e-6)


def test_small_probabilities_keep_their_digits():
    net = make()
    with torch.no_grad():
        net.module_.layers[-1].bias[:] = torch.tensor([0.0, 200.0])
    assert 0 < networks.predict(net, Rows(X))[:, 0].max() < 1e-70


@pytest.mark.parametrize("size", [1, 2, 3, 4, 29])
def test_outputs_of_a_row_do_not_depend_on_its_neighbours(size):
    net = make()
    together = networks.predict(net, Rows(X))
    apart = [networks.predict(net, Rows(X[i : i + size])) for i in range(0, len(X), size)]
    assert len(apart[0]) == size
    assert np.array_equal(np.concatenate(apart), together)


@pytest.mark.parametrize("option", ["shuffle", "drop_last"])
def test_predictions_come_in_order_and_whole(option):
    plain = networks.predict(make(), Rows(X))
    net = make(batch_size=8, **{f"iterator_valid__{option}": True})
    np.testing.assert_allclose(networks.predict(net, Rows(X)), plain, rtol=1e-5)


def test_first_of_several_outputs_counts():
    class Two(nn.Linear):
        def forward(self, X):
            return super().forward(X), X

    net = NeuralNetRegressor(Two, module__in_features=4, module__out_features=1)
    net = networks.with_fast_batches(net.initialize())
    expected = net.module_(torch.as_tensor(X, dtype=torch.float32))[0].detach()
    np.testing.assert_allclose(networks.predict(net, Rows(X)), expected, rtol=1e-6)


def test_predictions_must_be_finite():
    data = X.copy()
    data[[2, 5], 1] = np.inf, np.nan
    with pytest.raises(ValueError, match="NaN or infinite in 2 of 30 rows"):
        networks.predict(make(), Rows(data))


def test_prediction_runs_in_evaluation_mode():
    net = networks.with_fast_batches(NeuralNetClassifier(Dropped).initialize())
    first, second = networks.predict(net, Rows(X)), networks.predict(net, Rows(X))
    assert np.array_equal(first, second)
