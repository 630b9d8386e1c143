"""The steps of a fit: a net of one's own, dense training, pruning."""

import numbers

import numpy as np
from sklearn.base import is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state

from ..engine import networks
from ..engine.pruning import prunable_or_raise, prune
from ..engine.randomness import derive_seeds
from ..functional.masks import masks_sparsity
from . import _dense as dense


class FitSteps:
    """Mixin of `BasePruner`, whose parameters the steps read."""

    def _draw_seed(self):
        if self.random_state is None:
            return int(np.random.SeedSequence().generate_state(1)[0]) % 2**31
        if isinstance(self.random_state, numbers.Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _initial_net(self, rows, fitted):
        """Return a private, initialized copy of the estimator parameter."""
        net = dense.private_net(
            self.estimator,
            default=lambda: networks.default_net(
                is_classifier(self),
                len(rows),
                max(1, int(np.prod(self._sample_shape))),
                self._n_outputs(rows, fitted),
                self.hidden_layer_sizes,
            ),
            owner=self,
        )
        seed = derive_seeds(self._seed, 2)[0]
        try:
            net = dense.initialized(net, self._torch_dtype(), seed)
        except ValueError:  # torch has no optimizer for a module without parameters
            if hasattr(net, "module_"):
                prunable_or_raise(net.module_)
            raise
        prunable_or_raise(net.module_)
        networks.adapt(rows, net)
        self._check_outputs(net, rows, fitted)
        return net

    def _first_prediction(self, net, rows):
        """Predict a row or two before training, so that a misfit is told early."""
        try:
            return networks.predict(net, rows.head())
        except (RuntimeError, IndexError, TypeError) as error:
            raise ValueError(
                f"The network cannot read X, whose samples have shape {self._sample_shape}: "
                f"{error}"
            ) from error

    def _fit_dense(self, rows, fitted, events, plan):
        """Train the dense network, or fetch it from `memory`; a frozen one is taken as is."""
        net = self._initial_net(rows, fitted)
        if isinstance(self.estimator, FrozenEstimator):
            return net, []
        seed = derive_seeds(self._seed, 2)[0]
        dual = plan.dense(net, rows)
        memory, key = dense.cache_of(
            self.memory, net, rows, seed, dual, repeatable=self.random_state is not None
        )
        with events.phase("dense training", net.max_epochs) as epochs:
            history = dense.train_cached(net, rows, seed, memory, key, epochs, dual)
        return net, label_phase("dense", history)

    def _prune_dense(self, dense_net, rows, sparsity, history, events, plan):
        """Prune a copy of `dense_net`; returns the fitted attributes that follow."""
        options = {
            "sparsity": sparsity,
            "criterion": self.criterion,
            "scope": self.scope,
            "finetune_epochs": self.finetune_epochs,
            "seed": derive_seeds(self._seed, 2)[1],
            "dual": plan.finetune(dense_net, rows),
        }
        if sparsity > 0:
            n_epochs = self.finetune_epochs if rows is not None else 0
            with events.phase(f"pruning to {sparsity:g}", n_epochs) as epochs:
                net, masks, tuned = prune(dense_net, rows, events=epochs, **options)
        else:
            net, masks, tuned = prune(dense_net, rows, **options)
        return {
            "estimator_": net,
            "masks_": masks,
            "sparsity_": masks_sparsity(masks),
            "history_": history + label_phase("finetune", tuned),
        }


def label_phase(name, history):
    """Label the epochs of a history."""
    return [
        {"phase": name} | {k: v for k, v in h.items() if isinstance(v, (int, float))}
        for h in history
    ]
