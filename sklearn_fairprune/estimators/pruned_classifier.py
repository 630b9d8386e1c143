"""A pruned network as scikit-learn classifier."""

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from .._compat.sklearn import fit_context
from ..engine.losses import has_logits
from ..engine.networks import predict, predict_log
from ..engine.recovery import RECOVERIES
from ..functional.criteria import CRITERIA
from ..functional.granularities import GRANULARITIES
from ..functional.schedules import SCHEDULES
from ..functional.shelf import lists_members
from . import _fitting
from ._base import BasePruner
from ._inputs import Data, read_features
from ._state import FromState
from ._targets import ClassTargets, check_probabilities


@lists_members(
    criterion=CRITERIA, granularity=GRANULARITIES, schedule=SCHEDULES, recovery=RECOVERIES
)
class PrunedClassifier(ClassifierMixin, BasePruner):
    """Classifier around a skorch network that is trained, pruned and fine-tuned.

    `fit` trains the dense network, removes the share `sparsity` of its weights and
    fine-tunes the rest [1]_. `prune` does the last two steps again at another sparsity.

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
    classes_ : ndarray of shape (n_classes,)
        The labels.
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
    PrunedRegressor : The same for regression.
    sklearn_fairprune.audit : What pruning costs each group, on held-out rows.

    References
    ----------
    .. [1] Tran, Fioretto, Kim, Naidu, "Pruning has a disparate impact on model accuracy",
           NeurIPS 2022.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_fairprune import PrunedClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = PrunedClassifier(sparsity=0.5, random_state=0).fit(X, y)
    >>> clf.sparsity_
    0.5
    >>> clf.score(X, y) > 0.9
    True
    >>> round(clf.prune(X, y, sparsity=0.9).sparsity_, 2)
    0.9
    >>> clf.dense_estimator_.module_.layers[1]
    Linear(in_features=4, out_features=100, bias=True)
    """

    _targets = ClassTargets
    classes_ = FromState("classes")

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        classes: Any = None,
        *,
        sensitive_features: Any = None,
        sample_weight: Any = None,
    ) -> Self:
        """Train one more epoch. Removed weights stay 0; nothing more is pruned.

        Before `fit` or `prune` it trains the dense network; call `prune` when done.

        Parameters
        ----------
        X, y : array-like
            As in `fit`.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever occur; only used in the first call, where None means
            the labels in `y`.
        sensitive_features, sample_weight : array-like
            As in `fit`.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        data = Data(X, y, sensitive_features, sample_weight)
        _fitting.partial_fit(self, data, classes)
        return self

    def predict(self, X: Any, *, sensitive_features: Any = None) -> np.ndarray:
        """Predict labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, ...), or torch Dataset
            Samples shaped as in `fit`.
        sensitive_features : array-like, default=None
            Checked for length and missing values, and never used: the prediction does
            not depend on the group.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Labels, of the type they had in `fit`.
        """
        check_is_fitted(self)
        probability = self._probability(read_features(self, X, sensitive_features))
        threshold = getattr(self.estimator_, "threshold", None)
        if threshold is not None and len(self.classes_) == 2:
            return self.classes_[(probability[:, 1] > threshold).astype(int)]
        return self.classes_[probability.argmax(axis=1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, ...), or torch Dataset
            Samples shaped as in `fit`.

        Returns
        -------
        probability : float64 ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.

        Raises
        ------
        ValueError
            If the net's outputs are not probabilities, as after a margin loss; `predict`
            works all the same.
        """
        check_is_fitted(self)
        probability = self._probability(read_features(self, X))
        check_probabilities(probability)
        return probability

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Predict logarithms of class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, ...), or torch Dataset
            Samples shaped as in `fit`.

        Returns
        -------
        log_probability : float64 ndarray of shape (n_samples, n_classes)
            As exact as the network's logits. Where it gives probabilities in their place,
            those below 1.2e-38 (the smallest normal float32) count as that.

        Raises
        ------
        ValueError
            As `predict_proba`.
        """
        check_is_fitted(self)
        rows = read_features(self, X)
        if not has_logits(self.estimator_):
            check_probabilities(self._probability(rows))
        return self._of_classes(predict_log(self.estimator_, rows))

    def decision_function(self, X: Any) -> np.ndarray:
        """Confidence in each class: log-probabilities, or their difference if binary.

        For a network trained with the cross-entropy they are its logits up to a constant
        per row; the binary value is the logit of ``classes_[1]``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, ...), or torch Dataset
            Samples shaped as in `fit`.

        Returns
        -------
        decision : float64 ndarray of shape (n_samples,) or (n_samples, n_classes)
            Higher = more confident.
        """
        log_probability = self.predict_log_proba(X)
        if log_probability.shape[1] == 2:
            return log_probability[:, 1] - log_probability[:, 0]
        return log_probability

    def _probability(self, rows):
        """Outputs after the nonlinearity, one column a class."""
        return self._of_classes(predict(self.estimator_, rows))

    def _of_classes(self, outputs):
        """Refuse outputs that are not one column a class."""
        if outputs.shape[1:] != (len(self.classes_),):
            raise ValueError(
                f"The network gives {outputs.shape[1:]} outputs a row for "
                f"{len(self.classes_)} classes."
            )
        return outputs
