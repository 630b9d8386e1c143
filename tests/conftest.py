"""One thread, what must be there, and short trainings for those who ask for them."""

import matplotlib
import pytest
import torch
from requirements import (  # noqa: F401
    pytest_configure,
    pytest_make_collect_report,
    pytest_runtest_makereport,
)

from sklearn_fairprune.engine import networks, recovery
from sklearn_fairprune.statistics import rank_correlation

pytest.register_assert_rewrite("estimator_cases", "failing_calls")
matplotlib.use("Agg")
torch.set_num_threads(1)  # two on a busy machine are many times slower for small networks


@pytest.fixture(autouse=True)
def short_diagnoses(monkeypatch):
    """Draw 999 permutations for every p-value of a diagnosis, not 9999."""
    monkeypatch.setattr(rank_correlation, "N_PERMUTATIONS", 999)


@pytest.fixture(autouse=True)
def short_recoveries(monkeypatch):
    """Fine-tune for 20 steps where a test does not say how long, not for 500 to 1000."""
    monkeypatch.setattr(recovery, "FEWEST_STEPS", 20)
    monkeypatch.setattr(recovery, "MOST_STEPS", 20)


@pytest.fixture
def few_epochs(monkeypatch):
    """Train the default network for 12 epochs instead of 200, with larger steps."""
    own = networks.default_net

    def default_net(*args):
        few = {"max_epochs": 12, "lr": 0.03, "optimizer__weight_decay": 0.1}
        return own(*args).set_params(**few)

    monkeypatch.setattr(networks, "default_net", default_net)
