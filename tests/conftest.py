"""One thread: two on a busy machine are many times slower for small networks."""

import matplotlib
import pytest
import torch

pytest.register_assert_rewrite("estimator_cases", "failing_calls")
matplotlib.use("Agg")
torch.set_num_threads(1)
