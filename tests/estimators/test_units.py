"""Whole units go: neurons, channels and heads, from fit to prune and path."""

import itertools

import pytest
import torch
from estimator_cases import GROUPS, LABELS, X, make, make_net
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from sklearn_fairprune import GroupConstrainedPruner, PrunedClassifier
from sklearn_fairprune.engine.costs import layer_macs
from sklearn_fairprune.engine.unit_groups import find_units
from sklearn_fairprune.functional import unit_masks

torch.set_num_threads(1)
SAMPLE = torch.zeros(2, 4)


class Deep(nn.Sequential):
    """Two hidden layers of 12 and 16 units."""

    def __init__(self):
        layers = [nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 2)]
        super().__init__(*layers)


class Residual(nn.Module):
    """Convolutions with batch norm over the four columns, and a sum."""

    def __init__(self):
        super().__init__()
        self.enter = nn.Conv1d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm1d(8)
        self.inner = nn.Conv1d(8, 6, 3, padding=1)
        self.back = nn.Conv1d(6, 8, 3, padding=1)
        self.hidden = nn.Linear(8, 10)
        self.leave = nn.Linear(10, 2)

    def forward(self, X):
        a = torch.relu(self.norm(self.enter(X[:, None])))
        a = a + self.back(torch.relu(self.inner(a)))
        return self.leave(torch.relu(self.hidden(a.mean(-1))))


class Attending(nn.Module):
    """Attention over the four columns."""

    def __init__(self):
        super().__init__()
        self.enter = nn.Linear(1, 8)
        self.attend = nn.MultiheadAttention(8, 4, batch_first=True)
        self.leave = nn.Linear(8, 2)

    def forward(self, X):
        a = self.enter(X[..., None])
        return self.leave(self.attend(a, a, a)[0].mean(1))


def fitted(module, **options):
    est = make(make_net(module), **({"granularity": "unit", "sparsity": 0.5} | options))
    return est.fit(X, LABELS, sensitive_features=GROUPS)


def units_gone(est, sample=SAMPLE, kinds=("neuron", "channel")):
    """By group, the units that are gone; what is masked is theirs and nothing else."""
    weights = dict(est.estimator_.module_.named_parameters())
    expected = {name: torch.ones_like(mask) for name, mask in est.masks_.items()}
    gone = {}
    for kind in kinds:
        for group in find_units(est.dense_estimator_.module_, sample).groups[kind]:
            found = []
            for unit in range(group.n_units):
                names = [name for name in group.owners if name in est.masks_]
                own = {name: group.entries(name, unit, weights[name]) for name in names}
                if not any((est.masks_[name] & own[name]).any() for name in names):
                    found.append(unit)
                    expected = {k: v & ~own[k] if k in own else v for k, v in expected.items()}
            gone[next(iter(group.owners))] = found
    for name, mask in est.masks_.items():
        assert torch.equal(mask, expected[name])
        assert (weights[name][~mask] == 0).all()
        assert (weights[name][mask] != 0).any()
    return gone


@pytest.mark.parametrize("schedule", ["one_shot", "cubic", "iterative"])
@pytest.mark.parametrize("criterion", ["magnitude", "taylor", "worst_group", "fairprune"])
def test_neurons_go_with_rows_and_columns(schedule, criterion):
    options = {"schedule": schedule, "criterion": criterion, "finetune_epochs": 6}
    est = fitted(Deep, granularity="neuron", **options)
    gone = units_gone(est)
    assert gone["0.weight"] or gone["2.weight"]
    assert len(gone["0.weight"]) < 12
    assert len(gone["2.weight"]) < 16
    assert est.sparsity_ == pytest.approx(0.5, abs=(12 + 2 + 16 + 4) / 272 / 2)
    assert est.effective_sparsity_ == est.sparsity_


def test_coupled_channels_go_together():
    est = fitted(Residual, scope="layerwise")
    gone = units_gone(est)
    assert set(gone) == {"enter.weight", "inner.weight", "hidden.weight"}
    stream = torch.tensor(gone["enter.weight"])
    assert len(stream)
    for name in ("enter.weight", "back.weight"):
        assert not est.masks_[name][stream].any()
    for name in ("inner.weight", "hidden.weight"):
        assert not est.masks_[name][:, stream].any()


@pytest.mark.parametrize(("kind", "whole"), [("channel", "leave"), ("neuron", "enter")])
def test_of_one_kind_only(kind, whole):
    est = fitted(Residual, granularity=kind, sparsity=0.2)  # of other layers nobody expects it
    assert est.masks_[f"{whole}.weight"].all()
    units_gone(est, kinds=(kind,))


class Twice(Deep):
    """A hidden layer behind a normalisation of all units, and one that is called twice."""

    def __init__(self):
        super().__init__()
        self.insert(1, nn.LayerNorm(12))
        self.append(nn.Linear(2, 2))
        self.append(self[-1])


def test_layers_whose_units_cannot_go_are_told():
    message = r"layers dense: 0\.weight \(.*LayerNorm.*\), 6\.weight \(called more than"
    with pytest.warns(UserWarning, match=message):
        est = fitted(Twice, granularity="neuron", sparsity=0.3)
    assert est.masks_["0.weight"].all()
    assert est.masks_["6.weight"].all()


def test_heads_go_with_their_rows_of_the_input_projection():
    options = {"granularity": "head", "layers": ("linear", "attention"), "sparsity": 0.4}
    est = fitted(Attending, **options)
    mask = est.masks_["attend.in_proj_weight"].reshape(3, 4, 2, 8)
    gone = ~mask.any(-1).any(-1).any(0)
    assert int(gone.sum()) == 2
    assert torch.equal(mask, (~gone)[None, :, None, None].expand_as(mask))
    columns = est.masks_["attend.out_proj.weight"].reshape(8, 4, 2)
    assert torch.equal(columns, (~gone)[None, :, None].expand_as(columns))


def test_paths_nest_and_prune_begins_from_the_dense_network():
    est = make(make_net(Deep), granularity="unit", schedule="one_shot")
    path = est.pruning_path(X, LABELS, sparsities=[0.2, 0.5, 0.8])
    assert path.nested
    for member in path.estimators:
        units_gone(member)
    again = path.at(0.8).prune(X, LABELS, sparsity=0.2)
    assert all(torch.equal(m, path.at(0.2).masks_[k]) for k, m in again.masks_.items())
    assert path.at(0.5).prune(sparsity=0.8).sparsity_ == pytest.approx(0.8, abs=0.07)


def test_a_budget_of_operations_is_met_up_to_a_unit():
    with pytest.warns(UserWarning, match=r"nearest masks leave 0\.\d+ of the macs") as told:
        est = fitted(Deep, target=("macs", 0.3))
    assert told[0].filename == __file__  # though it comes out of a callback of skorch
    units_gone(est)
    total = layer_macs(est.dense_estimator_, SAMPLE).total
    left = sum(int(mask.sum()) for mask in est.masks_.values())
    assert abs(left / total - 0.3) < (12 + 2 + 16 + 4) / 272 / 2


@pytest.mark.filterwarnings("ignore:target=")
@pytest.mark.parametrize("criterion", ["magnitude", "taylor"])
def test_damage_is_set_against_the_operations_of_a_budget(criterion, monkeypatch):
    """With strides a weight of the first convolution costs more than one of the second."""
    seen = []
    inner = unit_masks.unit_masks

    def noting(*args, costs=None, **options):
        seen.append(costs)
        return inner(*args, costs=costs, **options)

    monkeypatch.setattr(unit_masks, "unit_masks", noting)
    options = {"schedule": "one_shot", "finetune_epochs": 0, "criterion": criterion}
    fitted(Residual, target=("macs", 0.5), **options)
    of_damage = criterion == "taylor"
    assert all((costs is not None) == of_damage for costs in seen)
    if of_damage:
        assert seen[0]["enter.weight"] == 4.0  # places
        assert seen[0]["leave.weight"] == 1.0
    seen.clear()
    fitted(Residual, sparsity=0.5, **options)
    assert seen == [None]


def test_a_layer_that_keeps_far_fewer_units_than_others_is_told():
    def second_last(weight):
        return torch.full_like(weight, float(len(weight) != 16))

    with pytest.warns(ConvergenceWarning, match=r"2\.weight keeps 1 of 16 units; raise min"):
        fitted(Deep, criterion=second_last, sparsity=0.85, schedule="one_shot")


def test_floor_and_layerwise():
    est = fitted(Deep, scope="layerwise", min_density=0.25)
    counts = {name: len(v) for name, v in units_gone(est).items()}
    assert abs(counts["0.weight"] / 12 - counts["2.weight"] / 16) < 1 / 12
    est = fitted(Deep, min_density=0.5, sparsity=0.6)
    counts = {name: len(v) for name, v in units_gone(est).items()}
    assert counts["0.weight"] <= 6
    assert counts["2.weight"] <= 8


def test_inside_a_constraint():
    pruner = make(make_net(Deep), granularity="unit", sparsity=0.5)
    est = GroupConstrainedPruner(pruner).fit(X, LABELS, sensitive_features=GROUPS)
    units_gone(est.estimator_)


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        (Deep, {"granularity": "channel"}, r"finds no channel .*\(it has no such layers\)"),
        (Deep, {"granularity": "head"}, r"finds no head .*\(it has no such layers\)"),
        (Deep, {"sparsity": 0.999}, r"remove 0\.97\d+ of the weights at most, and spars"),
        (Deep, {"scope": {"0": 0.5}}, r"whole units, and scope=\{'0': 0\.5\}"),
        (Deep, {"target": ("macs", 0.001)}, r"272 macs, pruning can keep 0\.0257\d at least"),
        (Attending, {"granularity": "head"}, r"layers=\('linear', 'conv', 'attention'\)"),
        (Attending, {}, r"finds no neuron or channel .*(attention|attend)"),
    ],
    ids=str,
)  # fmt: skip
def test_refused_before_the_dense_training(module, options, message, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("trained")

    monkeypatch.setattr("sklearn_fairprune.estimators._fitting.train", never)
    with pytest.raises(ValueError, match=message):
        fitted(module, **options)


def test_sparsity_zero_is_dense():
    assert all(mask.all() for mask in fitted(Deep, sparsity=0.0).masks_.values())


def test_less_than_half_a_unit_is_told():
    X, y = make_classification(100, 12, random_state=0)
    est = PrunedClassifier(granularity="unit", sparsity=0.01, finetune_epochs=1)
    est.set_params(hidden_layer_sizes=(16, 8), random_state=0)
    with pytest.warns(UserWarning, match=r"sparsity=0\.01 removed nothing, .*'unit'"):
        est.fit(X, y)
    with pytest.warns(UserWarning, match=r"target=\('macs', 0\.99\): the nearest .* leave 1 "):
        est.set_params(target=("macs", 0.99)).prune(X, y)
    assert est.sparsity_ == est.prune(X, y, sparsity=0).sparsity_ == 0


def test_sizes_of_the_cases():
    widths = itertools.pairwise([4, 12, 16, 2])
    assert sum(a * b for a, b in widths) == 272
