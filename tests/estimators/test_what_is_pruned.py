"""Scopes, targets, granularities and kinds of layers, from fit to prune and path."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from estimator_cases import LABELS, X, make, make_net, same_weights
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from sklearn_fairprune import GroupConstrainedPruner, audit
from sklearn_fairprune.engine import tuning
from sklearn_fairprune.engine.costs import layer_macs
from sklearn_fairprune.engine.training import train

torch.set_num_threads(1)


class Deep(nn.Sequential):
    """8, 12, 16 and 2 units: 4 x 8 + 8 x 12 + 12 x 16 + 16 x 2 weights."""

    def __init__(self):
        widths = itertools.pairwise([4, 8, 12, 16, 2])
        super().__init__(*(part for a, b in widths for part in (nn.Linear(a, b), nn.Tanh())))


class Convolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(1, 8, 2), nn.ReLU(), nn.Conv1d(8, 8, 2))
        self.last = nn.Linear(16, 2)

    def forward(self, X):
        return self.last(self.body(X[:, None]).flatten(1))


class Sequences(nn.Module):
    """A recurrent layer and attention over the four columns."""

    def __init__(self, kind="LSTM", **options):
        super().__init__()
        self.rnn = getattr(nn, kind)(1, 6, batch_first=True, **options)
        width = 6 * (2 if self.rnn.bidirectional else 1)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.last = nn.Linear(width, 2)

    def forward(self, X):
        hidden = self.rnn(X[..., None])[0]
        return self.last(self.attention(hidden, hidden, hidden)[0][:, -1])


NAMES = [f"{i}.weight" for i in (0, 2, 4, 6)]


def deep(**options):
    return make(make_net(Deep), **options)


def kept_of(est):
    return {name: int(mask.sum()) for name, mask in est.masks_.items()}


def assert_zero(est):
    """Removed weights are exactly 0, and others moved."""
    moved, weights = [], dict(est.estimator_.module_.named_parameters())
    dense = dict(est.dense_estimator_.module_.named_parameters())
    for name, mask in est.masks_.items():
        assert (weights[name][~mask] == 0).all()
        assert torch.equal(weights[name] != 0, mask)
        moved.append(bool((weights[name][mask] != dense[name][mask]).any()))
    assert any(moved)


# ---- scope ---------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["one_shot", "iterative", "cubic"])
def test_shares_of_named_layers_are_exact_and_the_others_lose_the_rest(schedule):
    scope = {"0": 0.25, "6.weight": 0.0, "[0-2]": 0.75}
    est = deep(scope=scope, sparsity=0.6, schedule=schedule, finetune_epochs=4)
    est.fit(X, LABELS)
    kept = {"0.weight": 24, "2.weight": 24, "4.weight": 61, "6.weight": 32}
    assert kept_of(est) == kept
    assert sum(kept.values()) == 352 - round(0.6 * 352)
    assert_zero(est)


def test_a_path_with_shares_nests():
    est = deep(scope={"0": 0.5})
    path = est.pruning_path(X, LABELS, sparsities=[0, 0.5, 0.8])
    for less, more in itertools.pairwise(path.estimators):
        assert not any((more.masks_[k] & ~less.masks_[k]).any() for k in NAMES)
    assert [kept_of(m)["0.weight"] for m in path.estimators] == [32, 16, 16]


# ---- what is left out, and floors ------------------------------------------------------


def test_ignored_layers_stay_whole_and_count_in_no_sparsity():
    est = deep(ignored_layers=["0", "6*"], sparsity=0.75).fit(X, LABELS)
    assert list(est.masks_) == ["2.weight", "4.weight"]
    assert est.sparsity_ == 0.75
    assert est.skipped_weights_ == {"0.weight": "ignored", "6.weight": "ignored"}
    assert est.prunable_share_ == pytest.approx(288 / 352)
    assert not (est.estimator_.module_[0].weight == 0).any()
    (note,) = [
        note
        for note in audit({"net": est}, X, LABELS, min_group_size=1).notes
        if "leaves alone" in note
    ]
    assert "0.weight (ignored), 6.weight (ignored)" in note
    est.set_params(ignored_layers=["0"]).prune(X, LABELS)
    assert est.skipped_weights_ == {"0.weight": "ignored"}
    assert list(est.masks_) == NAMES[1:]


def tiny(est):
    """Fit densely, then make the weights of one layer tiny."""
    est.set_params(sparsity=0.0).fit(X, LABELS)
    with torch.no_grad():
        est.dense_estimator_.module_[2].weight.mul_(1e-4)
    return est


def test_a_layer_of_tiny_weights_does_not_vanish_and_that_is_told():
    est = tiny(deep())
    with pytest.warns(ConvergenceWarning, match="layer 2.weight keeps 1 of 96 weights; raise"):
        est.prune(X, LABELS, sparsity=0.5)
    assert kept_of(est)["2.weight"] == 1
    assert est.sparsity_ == 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".* predicts")
        est.set_params(min_density=0.25).prune(X, LABELS, sparsity=0.5)
    assert kept_of(est)["2.weight"] == 24
    assert est.sparsity_ == 0.5


@pytest.mark.parametrize("schedule", ["one_shot", "cubic"])
@pytest.mark.parametrize("scope", ["global", "layerwise"])
def test_floors_hold_under_every_schedule(schedule, scope):
    est = deep(min_density=0.4, sparsity=0.6, schedule=schedule, scope=scope).fit(X, LABELS)
    assert all(float(mask.float().mean()) >= 0.4 for mask in est.masks_.values())
    assert est.sparsity_ == pytest.approx(0.6, abs=4 / 352)


# ---- targets -------------------------------------------------------------------------


def cost_left(est, of):
    module, masks = est.estimator_.module_, est.masks_
    if of == "parameters":
        gone = sum(int((~mask).sum()) for mask in masks.values())
        total = sum(p.numel() for p in module.parameters())
        return (total - gone) / total
    macs = layer_macs(est.dense_estimator_, torch.tensor(X[:2]))
    each = {name: macs.of_weights[name] / mask.numel() for name, mask in masks.items()}
    gone = sum(int((~mask).sum()) * each[name] for name, mask in masks.items())
    return (macs.total - gone) / macs.total


@pytest.mark.parametrize("of", ["macs", "parameters"])
@pytest.mark.parametrize("schedule", ["one_shot", "iterative", "cubic"])
@pytest.mark.parametrize("module", [Deep, Convolutions])
def test_targets_are_met_within_one_percent(of, schedule, module):
    net = make_net(module)
    est = make(net, target=(of, 0.4), schedule=schedule, finetune_epochs=3).fit(X, LABELS)
    assert cost_left(est, of) == pytest.approx(0.4, rel=0.01)
    assert_zero(est)


def test_the_cost_falls_along_the_schedule():
    est = deep(target=("macs", 0.125), schedule="iterative", finetune_epochs=3).fit(X, LABELS)
    rows = [row for row in est.history_ if row["phase"] == "finetune"]
    assert [row["sparsity"] for row in rows] == pytest.approx([0.5, 0.75, 0.875], abs=0.005)
    assert [row["step"] for row in rows] == [1, 2, 3]


@pytest.mark.parametrize("scope", ["layerwise", {"4": 0.3}])
def test_targets_with_other_scopes(scope):
    est = deep(target=("macs", 0.5), scope=scope).fit(X, LABELS)
    assert cost_left(est, "macs") == pytest.approx(0.5, rel=0.01)
    if scope != "layerwise":
        assert kept_of(est)["4.weight"] == round(0.7 * 192)


def test_a_sparsity_that_is_asked_for_beats_the_target():
    est = deep(target=("parameters", 0.3)).fit(X, LABELS)
    first = kept_of(est)
    assert est.prune(X, LABELS, sparsity=0.25).sparsity_ == 0.25
    assert kept_of(est.prune(X, LABELS)) == first
    path = est.pruning_path(X, LABELS, sparsities=[0.25, 0.75])
    assert path.achieved.tolist() == [0.25, 0.75]
    assert [member.target for member in path.estimators] == [None, None]
    alone = clone(est).set_params(sparsity=0.75, target=None).fit(X, LABELS)
    assert same_weights(path.estimators[1].estimator_, alone.estimator_)
    assert deep(target=("macs", 1.0)).fit(X, LABELS).sparsity_ == 0


# ---- patterns ------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["one_shot", "iterative", "cubic"])
def test_patterns_hold_in_every_block_after_training(schedule):
    est = deep(granularity="1:4", sparsity=0.75, schedule=schedule, finetune_epochs=3)
    est.fit(X, LABELS)
    assert est.sparsity_ == 0.75
    for mask in est.masks_.values():
        assert (mask.reshape(-1, 4).sum(1) == 1).all()
    assert_zero(est)


def test_the_number_that_stays_steps_down(monkeypatch):
    seen = []

    class Watched(tuning.FineTuning):
        def masks(self, net, sparsity, kept):
            found = super().masks(net, sparsity, kept)
            left = {int(n) for mask in found.values() for n in mask.reshape(-1, 4).sum(1)}
            assert not any((found[name] & ~kept[name]).any() for name in found)
            seen.append(left)
            return found

    monkeypatch.setattr("sklearn_fairprune.engine.fit.FineTuning", Watched)
    deep(granularity="1:4", sparsity=0.75, schedule="cubic", finetune_epochs=4).fit(X, LABELS)
    numbers = [n for (n,) in seen]
    assert numbers == sorted(numbers, reverse=True)
    assert set(numbers) == {4, 3, 2, 1}


def test_layers_that_do_not_fit_stay_dense_and_are_told():
    net = make_net(Convolutions)
    message = r"granularity='2:4' leaves layers dense: body\.0\.weight \(input dimension 1 is"
    with pytest.warns(UserWarning, match=message):
        est = make(net, granularity="2:4").fit(X, LABELS)
    why = "input dimension 1 is not a multiple of 4"
    assert est.skipped_weights_ == {"body.0.weight": why}
    assert est.sparsity_ == 0.5
    blocks = est.masks_["body.2.weight"].movedim(1, -1).reshape(-1, 4)
    assert (blocks.sum(1) == 2).all()


def test_dense_networks_of_a_pattern():
    est = deep(granularity="2:4", sparsity=0.0).fit(X, LABELS)
    assert est.sparsity_ == 0
    path = est.pruning_path(X, LABELS, sparsities=[0, 0.5])
    assert path.achieved.tolist() == [0, 0.5]


# ---- kinds of layers -----------------------------------------------------------------

EVERY = ("linear", "recurrent", "attention")


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize(
    "options",
    [
        {"schedule": "cubic"},
        {"criterion": "taylor"},
        {"criterion": "fairgrape", "scope": "layerwise"},
        {"criterion": "optimal_brain_damage", "finetune_epochs": 1},
        {"target": ("macs", 0.5)},
        {"granularity": "1:2", "ignored_layers": ["rnn.weight_ih*"]},
        {"scope": {"rnn": 0.75, "attention": 0.25}},
    ],
    ids=str,
)
def test_recurrent_and_attention_weights_are_pruned_and_train(kind, options):
    net = make_net(Sequences, module__kind=kind, module__bidirectional=True)
    est = make(net, layers=EVERY, **options).fit(X, LABELS)
    assert {"rnn.weight_hh_l0_reverse", "attention.in_proj_weight"} <= set(est.masks_)
    assert_zero(est)
    assert est.effective_sparsity_ >= est.sparsity_
    if "target" in options:
        assert cost_left(est, "macs") == pytest.approx(0.5, rel=0.01)
    else:
        assert est.sparsity_ == pytest.approx(0.5, abs=0.01)
    if "ignored_layers" not in options:
        assert est.prunable_share_ == 1.0
    est.prune(X, LABELS)
    again = est.partial_fit(X, LABELS).estimator_.module_
    weights = dict(again.named_parameters())
    assert all((weights[name][~mask] == 0).all() for name, mask in est.masks_.items())


def test_projections_and_layers_of_one_kind_alone():
    net = make_net(Sequences, module__kind="LSTM", module__proj_size=0)
    est = make(net, layers=["recurrent"], sparsity=0.75).fit(X, LABELS)
    assert set(est.masks_) == {"rnn.weight_ih_l0", "rnn.weight_hh_l0"}
    assert est.sparsity_ == est.effective_sparsity_ == 0.75
    assert est.dead_units_ == {}
    assert est.skipped_weights_["last.weight"] == "of a Linear"
    fresh = make(net, layers=["attention"]).partial_fit(X, LABELS)
    assert list(fresh.masks_) == ["attention.in_proj_weight"]
    assert fresh.prune(X, LABELS).sparsity_ == 0.5


def test_reconstruction_leaves_recurrent_weights_as_they_were():
    net = make_net(Sequences)
    est = make(net, layers=EVERY, recovery="reconstruct")
    with pytest.warns(UserWarning, match=r"rnn\.weight_ih_l0 \(neither linear nor a convol"):
        est.fit(X, LABELS)
    assert_zero(est)
    plain = deep(ignored_layers=["2"], recovery="reconstruct").fit(X, LABELS)
    assert_zero(plain)


def test_under_a_group_constraint():
    inner = deep(granularity="2:4", scope="layerwise", ignored_layers=["0"])
    meta = GroupConstrainedPruner(inner, tolerance=10.0).fit(X, LABELS)
    assert (meta.masks_["2.weight"].reshape(-1, 4).sum(1) == 2).all()
    assert meta.skipped_weights_ == {"0.weight": "ignored"}
    cheap = GroupConstrainedPruner(deep(target=("macs", 0.25)), tolerance=10.0)
    assert cheap.fit(X, LABELS).sparsity_ == pytest.approx(0.75, abs=0.01)
    path = cheap.pruning_path(X, LABELS, sparsities=[0.5])
    assert path.estimators[0].estimator.target is None
    assert path.achieved.tolist() == [0.5]


# ---- refused before anything is trained --------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scope": {"9": 0.5}}, r"scope names '9', which no weight or layer fits"),
        ({"scope": {"4": 0.95}, "sparsity": 0.2}, r"sparsity=0\.2 cannot be .* from 0\.5"),
        ({"ignored_layers": ["head"]}, r"ignored_layers names 'head', which no weight"),
        ({"ignored_layers": ["*"]}, r"ignored_layers=\['\*'\] leaves nothing to prune"),
        ({"layers": ["lstm"]}, r"layers must name some of \['linear', 'conv', 'rec"),
        ({"layers": ["recurrent"]}, r"weights of recurrent .*layers=\['linear'\] can"),
        ({"layers": "linear"}, r"'layers' parameter"),
        ({"min_density": 0.6}, r"min_density=0\.6 .* sparsity=0\.5: at most 0\.3"),
        ({"min_density": 1.0}, r"'min_density' parameter"),
        ({"target": ("macs", 0.005)}, r"of the dense network's 352 macs, .* keep 0\.01"),
        ({"target": ("parameters", 0.1)}, r"network's 390 parameters, .*keep 0\.1077 at"),
        ({"target": ("flops", 0.5)}, r"target must be None, \('macs', share\)"),
        ({"granularity": "2:4", "sparsity": 0.9}, r"0\.9 .*set sparsity=0\.5 for 2:4"),
        ({"granularity": "5:7", "sparsity": 2 / 7}, r"fits no layer \(0\.weight: input dim"),
        ({"granularity": "2:4", "scope": {"0": 0.5}}, r"every layer alike, and scope=\{'0'"),
        ({"granularity": "2:4", "target": ("macs", 0.5)}, r"'2:4' removes 0\.5 .* target="),
        ({"granularity": "2:4", "min_density": 0.6}, r"keeps 0\.5 of .* min_density=0\.6"),
        ({"granularity": "half"}, r"'granularity' parameter must be a str among"),
    ],
    ids=str,
)  # fmt: skip
def test_refused_before_the_dense_training(options, message, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("trained")

    monkeypatch.setattr("sklearn_fairprune.estimators._fitting.train", never)
    est = deep(**options)
    with pytest.raises(ValueError, match=message):
        est.fit(X, LABELS)
    assert not hasattr(est, "masks_")
    assert train is not never


def test_activations_of_recurrent_weights_are_refused_before_training():
    est = make(make_net(Sequences), layers=EVERY, criterion="wanda")
    message = r"\['activation_norms'\], which 'rnn\.weight_ih_l0' has none .* with layers or"
    with pytest.raises(ValueError, match=message):
        est.fit(X, LABELS)


# ---- scikit-learn ----------------------------------------------------------------------


def test_parameters_clone_and_show():
    options = {
        "scope": {"0": 0.5},
        "granularity": "weight",
        "target": ("macs", 0.5),
        "layers": ("linear",),
        "ignored_layers": ["6"],
        "min_density": 0.1,
    }
    est = deep(**options)
    twin = clone(est)
    assert {name: twin.get_params()[name] for name in options} == options
    assert "target=('macs', 0.5)" in repr(est)
    assert np.isclose(cost_left(twin.fit(X, LABELS), "macs"), 0.5, rtol=0.01)
