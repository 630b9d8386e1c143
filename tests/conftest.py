"""One thread: two on a busy machine are many times slower for small networks."""

import matplotlib
import torch

matplotlib.use("Agg")
torch.set_num_threads(1)
