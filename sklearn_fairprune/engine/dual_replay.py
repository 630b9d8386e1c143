"""A constrained training once more, with the row weights that another one came to."""

from collections.abc import Sequence
from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor

from .batches import Batch, Rows
from .losses import row_mass


class DualReplay(Callback):
    """Row weights of one training, by how far it has come; nothing steps.

    Parameters
    ----------
    trace : sequence of (float, Tensor)
        Shares of a training, in rising order, and the weights of the groups' rows from there
        on: `DualAscent.trace` of another training.
    net : skorch.NeuralNet
        Initialized; the one that will train.
    rows : Rows
        Training rows with groups.
    n_epochs : int
        Of the whole training.
    """

    def __init__(
        self,
        trace: Sequence[tuple[float, Tensor]],
        net: NeuralNet,
        rows: Rows,
        n_epochs: int,
    ) -> None:
        self.trace, self.n_epochs, self.size = list(trace), n_epochs, len(rows)
        self.plain = bool((row_mass(net.criterion_, rows.y) == 1).all())
        self.weights: Tensor | None = None

    @property
    def active(self) -> bool:
        """Whether any row has a weight other than 1."""
        return self.weights is not None

    @property
    def content(self) -> list[Any]:
        """What decides the weights, for `fingerprint`."""
        return [[share for share, _ in self.trace], [w for _, w in self.trace], self.n_epochs]

    def observe(self, batch: Batch, y_pred: Any, losses: Tensor) -> Tensor | None:
        """Weights of the rows of a batch, None for all 1.

        Parameters
        ----------
        batch : Batch
            With groups.
        y_pred, losses : torch.Tensor
            Not looked at.

        Returns
        -------
        weights : torch.Tensor of shape (n,) or None
        """
        self.seen_ += len(losses)
        if self.weights is None:
            return None
        weights = self.weights.to(losses.dtype)
        return weights.index_select(0, batch.groups).to(losses.device)

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Begin to count."""
        self.seen_, self.next_, self.weights = 0, 0, None

    def on_epoch_begin(self, net: NeuralNet, dataset_train: Any = None, **kwargs: Any) -> None:
        """Count the rows of an epoch: the net may keep some for its own validation."""
        self.size = self.size if dataset_train is None else len(dataset_train)

    def on_batch_end(self, net: NeuralNet, training: bool = False, **kwargs: Any) -> None:
        """Take the weights of the place that is reached."""
        if not training:
            return
        reached = self.seen_ / (self.size * self.n_epochs)
        while self.next_ < len(self.trace) and self.trace[self.next_][0] <= reached + 1e-9:
            weights = self.trace[self.next_][1]
            self.weights = None if bool((weights == 1).all()) else weights
            self.next_ += 1
