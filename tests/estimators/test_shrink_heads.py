"""Heads of attention from pruning to a smaller network that is audited."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_fairprune import PrunedClassifier, audit
from sklearn_fairprune.engine.attention_heads import SlimAttention
from sklearn_fairprune.measurement.sizes import size_of, size_table

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:granularity=.head. leaves layers dense")
ROWS = np.random.default_rng(0).normal(size=(80, 5, 3)).astype(np.float32)
LABELS = (ROWS.mean((1, 2)) > 0).astype(int)
GROUPS = np.arange(80) % 2


class Block(nn.Module):
    """Sequences through one transformer layer, and attention of one's own after it."""

    def __init__(self, norm_first=False):
        super().__init__()
        self.enter = nn.Linear(3, 8)
        self.block = nn.TransformerEncoderLayer(
            8, 4, 12, batch_first=True, norm_first=norm_first
        )
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
        self.leave = nn.Linear(8, 2)

    def forward(self, X):
        X = self.block(self.enter(X))
        out, _ = self.attend(X, X, X)
        return self.leave(out.mean(1))


def make(**options):
    net = NeuralNetClassifier(
        Block,
        criterion=nn.CrossEntropyLoss,
        max_epochs=2,
        lr=0.05,
        batch_size=20,
        train_split=None,
        verbose=0,
        **options,
    )
    return PrunedClassifier(
        net,
        granularity="head",
        layers=("linear", "conv", "attention"),
        sparsity=0.4,
        finetune_epochs=2,
        random_state=0,
    )


@pytest.fixture(scope="module", params=[True, False], ids=["norm first", "norm last"])
def pruned(request):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make(module__norm_first=request.param).fit(ROWS, LABELS)


@pytest.fixture(scope="module")
def shrunk(pruned):
    return pruned.shrink(X=ROWS, sparse=False)


def heads(estimator):
    module = estimator.estimator_.module_
    layers = module.block.self_attn, module.attend
    return [len(m.heads) if isinstance(m, SlimAttention) else m.num_heads for m in layers]


def test_heads_are_gone_and_the_predictions_are_the_same(pruned, shrunk):
    assert heads(pruned) == [4, 2]
    assert sum(heads(shrunk)) < 6
    far = 30 * np.random.default_rng(1).normal(size=(90, 5, 3)).astype(np.float32)
    for small in (shrunk, copy.deepcopy(shrunk), pickle.loads(pickle.dumps(shrunk))):
        for rows in (ROWS, far, ROWS[:1]):
            one, other = small.predict_proba(rows), pruned.predict_proba(rows)
            np.testing.assert_allclose(one, other, atol=1e-5)
    rows = {row["layer"]: row for row in shrunk.shrunk_["layers"]}
    told = [rows[f"{name}.in_proj_weight"] for name in ("block.self_attn", "attend")]
    assert [row["units"] - row["removed"] for row in told] == heads(shrunk)
    assert shrunk.shrink().shrunk_["layers"] == shrunk.shrunk_["layers"]
    assert shrunk.masks_.keys() == pruned.masks_.keys()
    assert shrunk.dead_units_ == pruned.dead_units_


def test_it_is_smaller_and_costs_less(pruned, shrunk):
    sizes, notes = size_table({"pruned": pruned, "shrunk": shrunk}, ROWS)
    assert notes == []
    macs, parameters = sizes["macs"], sizes["parameters"]
    gone = np.subtract(heads(pruned), heads(shrunk)) * (2, 4)  # features of the heads
    assert parameters["pruned"] - parameters["shrunk"] == sum(gone) * (3 * 8 + 3 + 8)
    products = 5 * 8 * 4 + 2 * 5 * 5  # projections of five places, and pairs of them
    assert macs["pruned"] - macs["shrunk"] == sum(gone) * products
    assert sizes["nonzero_macs"]["shrunk"] <= macs["shrunk"]
    assert size_of(shrunk)["bytes"] == shrunk.shrunk_["bytes"]["after"]


def test_audit(pruned, shrunk):
    found = [
        audit({"small": model}, ROWS, LABELS, sensitive_features=GROUPS, min_group_size=10)
        for model in (pruned, shrunk)
    ]
    one, other = (report.by_group for report in found)
    np.testing.assert_allclose(
        one.select_dtypes("number"), other.select_dtypes("number"), atol=1e-5
    )


def test_training_goes_on_from_the_network_before(pruned, shrunk):
    with pytest.raises(ValueError, match=r"partial_fit needs the masked"):
        shrunk.partial_fit(ROWS, LABELS)
    again = copy.copy(shrunk).prune(ROWS, LABELS)
    np.testing.assert_allclose(
        again.predict_proba(ROWS), pruned.predict_proba(ROWS), atol=1e-6
    )
