"""Counts the trainings from scratch of networks whose content must not change by counting."""

import logging

import pytest
from skorch.callbacks import Callback

BEGINS = []
LOG = logging.getLogger("trainings")  # what code reads of a logger is its name


class CountTrainings(Callback):
    """Count the trainings from scratch: those that start with no weight removed."""

    def on_train_begin(self, net, **kwargs):
        if all((weight != 0).all() for weight in net.module_.parameters()):
            LOG.error("begin")


@pytest.fixture(autouse=True)
def counting():
    """Keep every message of the log in the list."""
    handler = logging.Handler()
    handler.emit = BEGINS.append
    LOG.addHandler(handler)
    LOG.propagate = False
    yield
    LOG.removeHandler(handler)
