"""What a removal is repaired to: the network as it was just before it."""

import dataclasses

import pytest
import torch
from test_fit import rows, state, trained

from sklearn_fairprune.engine import tuning
from sklearn_fairprune.engine.fit import prune
from sklearn_fairprune.engine.recipe import make_recipe
from sklearn_fairprune.functional import prunable

SCHEDULES = {"one_shot": 1, "iterative": 3, "cubic": 1, "rewind": 1}


def repaired(schedule, monkeypatch):
    """Pruned network, and what `reconstruct` saw: pairs of states, changed and target."""
    dense = trained()
    early = {
        k: v + 0.1 * torch.randn_like(v) if v.is_floating_point() else v
        for k, v in state(dense).items()
    }
    seen, original = [], tuning.reconstruct

    def reconstruct(net, before, data, masks, **options):
        seen.append((state(net), state(before), masks))
        return original(net, before, data, masks, **options)

    monkeypatch.setattr(tuning, "reconstruct", reconstruct)
    recipe = make_recipe(0.5, 6, schedule=schedule, recovery="reconstruct", seed=1)
    recipe = dataclasses.replace(recipe, tuning_seed=1)
    return dense, early, prune(dense, rows(), recipe, early=early), seen


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_removal_is_repaired_to_the_network_just_before_it(schedule, monkeypatch):
    dense, _, pruned, seen = repaired(schedule, monkeypatch)
    assert len(seen) == SCHEDULES[schedule]
    names = prunable(pruned.net.module_)
    for net, before, masks in seen:
        for key, value in before.items():
            expected = value * masks[key] if key in names else value
            torch.testing.assert_close(net[key], expected, rtol=0, atol=0)
    assert all(torch.equal(masks[k], pruned.masks[k]) for k in masks)
    assert state(dense).keys() == seen[0][1].keys()


def test_that_network_is_the_dense_one_where_nothing_was_trained_in_between(monkeypatch):
    dense, _, _, seen = repaired("one_shot", monkeypatch)
    assert all(torch.equal(v, seen[0][1][k]) for k, v in state(dense).items())


@pytest.mark.parametrize("schedule", ["iterative", "cubic"])
def test_later_steps_keep_what_was_trained(schedule, monkeypatch):
    dense, _, _, seen = repaired(schedule, monkeypatch)
    last = seen[-1][1]
    assert not torch.equal(last["norm.weight"], state(dense)["norm.weight"])


def test_after_rewinding_it_is_the_early_network(monkeypatch):
    _, early, _, seen = repaired("rewind", monkeypatch)
    assert all(torch.equal(v, seen[0][1][k]) for k, v in early.items())
