"""Lazy layers draw inside the seed; layers kept in evaluation mode stay there."""

import numpy as np
import pytest
import torch
from estimator_cases import LABELS, X, make, make_net, same_weights
from torch import nn

IMAGES = np.tile(X[:, None, :2, None], (1, 1, 2, 4))


class LazyLinears(nn.Sequential):
    def __init__(self):
        super().__init__(nn.LazyLinear(6), nn.ReLU(), nn.LazyLinear(2))


class LazyNorms(nn.Sequential):
    def __init__(self):
        super().__init__(nn.LazyLinear(6), nn.LazyBatchNorm1d(), nn.LazyLinear(2))


class LazyImages(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.LazyConv2d(3, 2), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2)
        )


LAZY = {"linear": (LazyLinears, X), "norm": (LazyNorms, X), "conv": (LazyImages, IMAGES)}


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
@pytest.mark.parametrize("case", LAZY)
def test_lazy_layers_draw_inside_the_seed(case):
    module, data = LAZY[case]

    def est(seed):
        return make(make_net(module, max_epochs=2), random_state=seed, finetune_epochs=1)

    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = est(0).fit(data, LABELS)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    two, other = est(0).fit(data, LABELS), est(1).fit(data, LABELS)
    path = est(0).pruning_path(data, LABELS, sparsities=[0, one.sparsity])
    assert same_weights(one.estimator_, two.estimator_)
    assert same_weights(one.estimator_, path.estimators[1].estimator_)
    np.testing.assert_array_equal(one.predict_proba(data), two.predict_proba(data))
    assert not np.allclose(one.predict_proba(data), other.predict_proba(data))


class Kept(nn.Sequential):
    """The owner keeps the first batch norm in evaluation mode while the rest trains."""

    def __init__(self):
        super().__init__(
            nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 6), nn.BatchNorm1d(6)
        )
        self.append(nn.Linear(6, 2))
        self[1].running_mean += 0.3
        self[1].running_var *= 2.0

    def train(self, mode=True):
        super().train(mode)
        self[1].eval()
        return self


def test_layers_that_their_owner_keeps_in_evaluation_mode_stay_as_they_are():
    est = make(make_net(Kept, max_epochs=3), finetune_epochs=2).fit(X, LABELS)
    own = Kept()[1]
    for net in (est.dense_estimator_, est.estimator_):
        kept, free = net.module_[1], net.module_[4]
        assert torch.equal(kept.running_mean, own.running_mean)
        assert torch.equal(kept.running_var, own.running_var)
        assert kept.num_batches_tracked == 0
        assert free.num_batches_tracked > 0
    dense, pruned = (n.module_[4].running_mean for n in (est.dense_estimator_, est.estimator_))
    assert not torch.equal(dense, pruned)
