"""A pruned network as scikit-learn regressor."""

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from .._compat.sklearn import fit_context
from ..engine.networks import predict
from ..engine.recovery import RECOVERIES
from ..functional.criteria import CRITERIA
from ..functional.granularities import GRANULARITIES
from ..functional.schedules import SCHEDULES
from ..functional.shelf import lists_members
from . import _fitting
from ._base import BasePruner
from ._inputs import Data, read_features
from ._targets import RegressionTargets


@lists_members(
    criterion=CRITERIA, granularity=GRANULARITIES, schedule=SCHEDULES, recovery=RECOVERIES
)
class PrunedRegressor(RegressorMixin, BasePruner):
    """Regressor around a skorch network that is trained, pruned and fine-tuned.

    `fit` trains the dense network, removes the share `sparsity` of its weights and
    fine-tunes the rest [1]_. `prune` does the last two steps again at another sparsity.
    Scale targets of large magnitude, for example with
    :class:`~sklearn.compose.TransformedTargetRegressor`.

    Parameters
    ----------
    estimator : skorch net, FrozenEstimator or None, default=None
        An unfitted net is cloned and trained. A ``FrozenEstimator`` around a fitted one is
        pruned without training it from scratch. None is a multi-layer perceptron (AdamW,
        learning rate 0.003, weight decay 1, batches of 128; 30 epochs, or as many as
        make 200 steps).
    sparsity : float in [0, 1), default=0.5
        Share to remove of the weights that `layers` and `ignored_layers` name; biases and
        norms are never pruned. 0 gives the dense network.
    criterion : str or callable, default="magnitude"
        Score of each weight, higher = keep: a name of the list, or a function (or record) of
        the same form. It gets the weight tensor of one layer and returns a tensor of the
        same shape; further arguments without default name statistics of the training rows
        (``gradient``, ``group_gradients``, ``group_losses``, ``group_shares``,
        ``hessian_diagonal``, ``group_hessian_diagonals``, ``activation_norms``) or the
        ``generator`` of whatever it draws. Statistics are of the network as it is at every
        change of the masks.
    scope : {"global", "layerwise"} or dict of str to float, default="global"
        Whether weights of all layers compete, or each layer loses the same share. A dict gives
        layers the shares that they lose, by names of layers or weights or by patterns such as
        ``"body.*"`` (the first that fits counts); the others compete for what is left of
        `sparsity`. During a gradual schedule these shares rise in proportion.
    granularity : str, default="weight"
        What goes at once: a name of the list, or a pattern. Of units go those whose weights,
        in and out, have the lowest mean score, until the share removed is nearest to
        `sparsity`; one of every layer stays, and `shrink` makes the network smaller. Of a
        pattern ``"n:m"`` such as ``"2:4"`` n weights stay of each m in a row along the inputs
        of a unit (for a convolution, along the channels of one kernel position), the later
        ones of equal scores. `sparsity` must be 1 - n/m then (0.5 for 2:4) or 0, and a
        gradual schedule lowers the number that stays one by one. Layers that it does not fit
        stay dense, with a warning. With ``"weight"`` alone those on no path from an input to
        an output go first, and `scope` can be a dict. ``"head"`` needs ``"attention"`` among
        `layers`.
    target : ("macs", float) or ("parameters", float) or None, default=None
        Share in (0, 1] of the dense network's cost to keep, in the place of `sparsity`, to 1 %
        of it or the cost of one weight: multiply-accumulates of one row (biases, activations
        and norms cost none), or all parameters with biases, norms and those that pruning
        leaves alone. Removed weights count as costing nothing, which dense kernels do not
        make true. Schedules run in shares of the cost. Units meet it up to half a unit, and
        go by the damage for what they save where the criterion estimates damage; patterns
        cannot.
    layers : sequence of str, default=("linear", "conv")
        Kinds of layers whose weights are pruned: ``"linear"``, ``"conv"``, ``"recurrent"``
        (matrices of LSTM, GRU, RNN and their cells) and ``"attention"`` (input projections of
        MultiheadAttention, whose output projection is a linear layer). The last two need a
        criterion of weights or gradients, and count as lying on a path always.
    ignored_layers : sequence of str, default=()
        Names or patterns of layers or weights that stay whole, and count in no sparsity.
    min_density : float in [0, 1), default=0.0
        Share of the weights of every layer that stays; one weight does in any case. What
        a layer keeps by it, others lose.
    schedule : str, callable, Iterative, Cubic or Rewind, default="cubic"
        When the weights go: a name of the list, an object, or a function of the share of the
        fine-tuning that has passed and of `sparsity`, which returns the sparsity from then on.
        All schedules spend `finetune_epochs`; with 0 all weights go at once.
    recovery : str, Distill or Reconstruct, default="plain"
        What the kept weights are fitted to: a name of the list, or an object.
    finetune_epochs : int or None, default=None
        Epochs of training after pruning, or while. Removed weights stay exactly 0. None: as
        many as make 500 to 1000 steps, twice the dense training's within these limits, and at
        least a quarter of it.
    finetune_lr : {"net", "cosine"} or float, default="cosine"
        Learning rate of the fine-tuning: the net's own; or from 3.3 times that along a cosine
        to 0, unless the net has a schedule of its own; or from this number along a cosine.
    hidden_layer_sizes : sequence of int, default=(100,)
        Width of each hidden layer when ``estimator=None``.
    dtype : {"float32", "float64"}, default="float32"
        What the network computes in. Integer features are converted too, unless the
        network holds an embedding.
    memory : str, path or joblib.Memory, default=None
        Caches the dense training, the only part that does not depend on `sparsity`: a
        grid search over sparsities trains each fold once. Needs an int `random_state`.
    random_state : int, RandomState instance or None, default=None
        Of weights, shuffling and dropout. The global random states are never touched.

    Attributes
    ----------
    estimator_ : skorch net
        The pruned network. Its own labels are the positions in ``classes_``.
    dense_estimator_ : skorch net
        The network before pruning, from which `prune` starts every time.
    masks_ : dict of str to torch.BoolTensor
        Per parameter name, True = kept; of the weights that can be pruned.
    sparsity_ : float
        Achieved sparsity: `sparsity` up to a weight (of every layer, where these have shares
        or floors of their own) or half a unit, or what `target` led to. It is over the
        weights in ``masks_``, which may be few of the network's: see ``prunable_share_``.
    effective_sparsity_ : float
        Share of these weights that are removed or on no path of kept weights from an input to
        an output, so that they can do nothing; at least ``sparsity_``.
    dead_units_ : dict of str to (int, int)
        Per parameter name, units (of convolutions: channels) of the layer that no such path
        leads to, and all its units.
    prunable_share_ : float
        Share of the network's weights (biases and norms not counted) that ``sparsity_`` is
        over.
    skipped_weights_ : dict of str to str
        The other weights, by parameter name, and why pruning leaves them alone.
    groups_ : ndarray
        Names of the groups: values of the sensitive feature, tuples of values for
        several of them.
    history_ : list of dict
        One entry per epoch: ``phase`` ("dense" or "finetune"), ``step`` (0 for the dense
        training, then the number of the pruning step), ``sparsity`` of the network it trains,
        ``epoch``, ``train_loss`` and whatever else the net records.
    shrunk_ : dict
        Only of an estimator that `shrink` has returned: what it did.
    n_features_in_ : int
        Number of features (of n-dimensional samples: the length of the first dimension).
    feature_names_in_ : ndarray of str
        Only if X has string column names.

    See Also
    --------
    PrunedClassifier : The same for classification.

    References
    ----------
    .. [1] Tran, Fioretto, Kim, Naidu, "Pruning has a disparate impact on model accuracy",
           NeurIPS 2022.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn_fairprune import PrunedRegressor
    >>> X, y = make_regression(n_features=5, random_state=0)
    >>> y = y / y.std()
    >>> reg = PrunedRegressor(finetune_epochs=50, random_state=0).fit(X, y)
    >>> reg.score(X, y) > 0.9
    True
    """

    _targets = RegressionTargets

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        *,
        sensitive_features: Any = None,
        sample_weight: Any = None,
    ) -> Self:
        """Train one more epoch. Removed weights stay 0; nothing more is pruned.

        Before `fit` or `prune` it trains the dense network; call `prune` when done.

        Parameters
        ----------
        X, y, sensitive_features, sample_weight : array-like
            As in `fit`.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        _fitting.partial_fit(self, Data(X, y, sensitive_features, sample_weight))
        return self

    def predict(self, X: Any, *, sensitive_features: Any = None) -> np.ndarray:
        """Predict targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, ...), or torch Dataset
            Samples shaped as in `fit`.
        sensitive_features : array-like, default=None
            Checked for length and missing values, and never used: the prediction does
            not depend on the group.

        Returns
        -------
        y : float64 ndarray of shape (n_samples,) or (n_samples, n_outputs)
            As `y` was in `fit`.
        """
        check_is_fitted(self)
        rows = read_features(self, X, sensitive_features)
        prediction = predict(self.estimator_, rows)
        return prediction.reshape(len(prediction), *self._fitted.targets.shape)

    def __sklearn_tags__(self) -> Any:
        """Tags of a regressor for one or several targets."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
