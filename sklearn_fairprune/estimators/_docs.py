"""Sections that the docstrings of classifier and regressor share."""

_PARAMETERS = """Parameters
    ----------
    estimator : skorch net, FrozenEstimator or None, default=None
        An unfitted net is cloned and trained. A ``FrozenEstimator`` around a fitted one is
        pruned without training it from scratch. None is a multi-layer perceptron (AdamW,
        learning rate 0.003, weight decay 1, batches of 128; 30 epochs, or as many as
        make 200 steps).
    sparsity : float in [0, 1), default=0.5
        Share of the Linear and Conv weights to remove; biases and norms are never pruned.
        0 gives the dense network.
    criterion : {"magnitude"} or callable, default="magnitude"
        Score of each weight, higher = keep. A callable gets the weight tensor of one
        layer and returns a tensor of the same shape.
    scope : {"global", "layerwise"}, default="global"
        Whether weights of all layers compete, or each layer loses the same share.
    finetune_epochs : int, default=5
        Epochs of training after pruning. Removed weights stay exactly 0.
    hidden_layer_sizes : sequence of int, default=(100,)
        Width of each hidden layer when ``estimator=None``.
    dtype : {"float32", "float64"}, default="float32"
        What the network computes in. Integer features are converted too, unless the
        network holds an embedding.
    memory : str, path or joblib.Memory, default=None
        Caches the dense training, the only part that does not depend on `sparsity`: a
        grid search over sparsities trains each fold once. Needs an int `random_state`.
    random_state : int, RandomState instance or None, default=None
        Of weights, shuffling and dropout. The global random states are never touched."""

_ATTRIBUTES = """estimator_ : skorch net
        The pruned network. Its own labels are the positions in ``classes_``.
    dense_estimator_ : skorch net
        The network before pruning, from which `prune` starts every time.
    masks_ : dict of str to torch.BoolTensor
        Per parameter name, True = kept.
    sparsity_ : float
        Achieved sparsity: `sparsity` up to one weight.
    groups_ : ndarray
        Names of the groups: values of the sensitive feature, tuples of values for
        several of them.
    history_ : list of dict
        One entry per epoch: ``phase`` ("dense" or "finetune"), ``epoch``, ``train_loss``
        and whatever else the net records.
    n_features_in_ : int
        Number of features (of n-dimensional samples: the length of the first dimension).
    feature_names_in_ : ndarray of str
        Only if X has string column names."""

_REFERENCES = """References
    ----------
    .. [1] Tran, Fioretto, Kim, Naidu, "Pruning has a disparate impact on model accuracy",
           NeurIPS 2022."""


def document(cls):
    """Fill the shared sections into a class docstring."""
    cls.__doc__ = (
        cls.__doc__.replace("{parameters}", _PARAMETERS)
        .replace("{attributes}", _ATTRIBUTES)
        .replace("{references}", _REFERENCES)
    )
    return cls
