"""A folder of their own for what they write."""

import pytest
import record


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Return an empty folder that stands for benchmarks/results."""
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    return tmp_path
