"""Unusable data: the message names argument, rule and value, and nothing is lost."""

import numpy as np
import pandas as pd
import pytest
import torch
from estimator_cases import GROUPS, LABELS, Pairs, X, make
from failing_calls import VERBS, Unharmed, call, fails, with_value
from scipy import sparse
from sklearn.exceptions import DataConversionWarning, NotFittedError
from torch.utils.data import IterableDataset, TensorDataset

from sklearn_fairprune import PrunedClassifier, PrunedRegressor

BAD = {
    "short y": ({"y": LABELS[:-1]}, r"inconsistent.*\[60, 59\]"),
    "no y": ({"y": None}, "requires y to be passed|got X without y"),
    "y of NaN": ({"y": with_value(LABELS.astype(object), np.nan)}, r"\by\b.*(missing|NaN)"),
    "y of None": (
        {"y": with_value(LABELS.astype(object), None)},
        r"\by\b.*(missing|NaN|None)",
    ),
    "y continuous": ({"y": X[:, 0]}, "(?i)continuous|not among the classes"),
    "y in two columns": ({"y": np.stack([LABELS, LABELS], 1)}, "y should be a 1d array"),
    "short weights": ({"sample_weight": np.ones(59)}, "sample_weight.*59"),
    "negative weight": (
        {"sample_weight": with_value(np.ones(60), -1)},
        "(?i)negative.*sample_weight|sample_weight.*negative",
    ),
    "NaN weight": ({"sample_weight": with_value(np.ones(60), np.nan)}, "sample_weight.*NaN"),
    "weights of zero": ({"sample_weight": np.zeros(60)}, "(?i)weight.*zero"),
    "text weights": ({"sample_weight": ["heavy"] * 60}, "heavy"),
    "short groups": ({"sensitive_features": GROUPS[:-1]}, r"has 59 and X has 60 rows"),
    "one group name": ({"sensitive_features": "sex"}, "sensitive_features must"),
    "no groups": ({"sensitive_features": []}, "one entry per row.* 0 .*60 rows"),
    "groups of None": (
        {"sensitive_features": with_value(GROUPS.astype(object), None)},
        "missing in 1 of 60 rows.*Drop these rows, or",
    ),
    "groups of NaN": (
        {"sensitive_features": pd.DataFrame({"sex": with_value(X[:, 0], np.nan)})},
        "sensitive_features.*'sex' is missing in 1 of 60 rows",
    ),
    "NaN": ({"X": with_value(X, np.nan)}, "X contains NaN"),
    "infinity": ({"X": with_value(X, np.inf)}, "X contains infinity"),
    "too large": ({"X": with_value(X.astype(float), 1e300)}, "too large for.*float32"),
    "sparse NaN": ({"X": sparse.csr_matrix(with_value(X, np.nan))}, "X contains NaN"),
    "no rows": ({"X": X[:0], "y": LABELS[:0]}, "0 sample"),
    "no features": ({"X": X[:, :0]}, "0 feature"),
    "one dimension": ({"X": X[:, 0]}, "Reshape your data"),
    "text": ({"X": np.full((60, 4), "a")}, "could not convert string"),
    "complex": ({"X": X + 1j}, "Complex data not supported"),
    "None": ({"X": with_value(X.astype(object), None)}, "X contains NaN"),
}


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("case", BAD)
def test_unusable_data(case, verb):
    change, message = BAD[case]
    arguments = {"X": X, "y": LABELS} | change
    fails(ValueError, message, make().fit(X, LABELS), verb, **arguments)


@pytest.mark.parametrize("verb", ["fit", "partial_fit"])
@pytest.mark.parametrize("case", ["short weights", "NaN", "groups of None"])
def test_first_call_that_fails_leaves_no_fitted_estimator(case, verb):
    change, message = BAD[case]
    est = make()
    with pytest.raises(ValueError, match=message):
        call(est, verb, **({"X": X, "y": LABELS} | change))
    with pytest.raises(NotFittedError):
        est.predict(X)
    assert call(est, verb, X, LABELS).predict(X).shape == (60,)


@pytest.mark.parametrize("verb", ["fit", "pruning_path", "partial_fit"])
def test_one_class(verb):
    with pytest.raises(ValueError, match=r"at least 2 classes in y.*1 class: .*'no'"):
        call(make(), verb, X, np.full(60, "no"))
    with pytest.raises(ValueError, match=r"at least 2 classes in y.*sample_weight"):
        call(make(), verb, X, LABELS, sample_weight=(LABELS == "no").astype(float))


@pytest.mark.parametrize("verb", ["prune", "partial_fit"])
@pytest.mark.parametrize("label", ["maybe", "yes!", ""])
def test_unknown_labels(verb, label):
    y = with_value(LABELS.astype(object), label)
    known = rf"\['no', 'yes'\].*\['{label}'\]"
    fails(ValueError, f"labels that are not among.*{known}", make().fit(X, LABELS), verb, X, y)


def test_unknown_labels_in_the_first_partial_fit():
    with pytest.raises(ValueError, match=r"not among the classes \['no'\]: \['yes'\]"):
        make().partial_fit(X, LABELS, classes=["no"])


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("verb", VERBS)
def test_unusable_regression_targets(verb, value):
    y = X[:, 0].astype(float)
    est = PrunedRegressor(finetune_epochs=1, hidden_layer_sizes=(4,)).fit(X, y)
    message = r"(?i)\by\b.*(NaN|infinity|too large).*"
    fails(ValueError, message, est, verb, X, with_value(y, value))


def test_regression_targets_of_another_shape():
    est = PrunedRegressor(finetune_epochs=1, hidden_layer_sizes=(4,)).fit(X, X[:, :2])
    for verb in ("prune", "partial_fit"):
        fails(ValueError, r"shape \(\) a row, fit had \(2,\)", est, verb, X, X[:, 0])


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("verb", ["predict", "predict_proba", "decision_function"])
@pytest.mark.parametrize("case", ["NaN", "infinity", "too large", "no rows", "text"])
def test_unusable_data_to_predict(classifier, verb, case):
    change, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        getattr(classifier, verb)(change["X"])


def test_predict_checks_shape_and_groups(classifier):
    with pytest.raises(ValueError, match=r"X has 3 features.*expecting 4"):
        classifier.predict(X[:, :3])
    with pytest.raises(ValueError, match="has 59 and X has 60 rows"):
        classifier.predict(X, sensitive_features=GROUPS[1:])
    with pytest.raises(ValueError, match="missing in 1 of 60 rows"):
        classifier.predict(X, sensitive_features=with_value(GROUPS.astype(object), None))


def test_images_of_another_size():
    images = np.random.default_rng(0).normal(size=(60, 1, 6, 6)).astype(np.float32)
    est = PrunedClassifier(finetune_epochs=0, hidden_layer_sizes=(4,)).fit(images, LABELS)
    shapes = r"\(1, 6, 5\).*fitted with samples of shape \(1, 6, 6\)"
    for verb in ("prune", "partial_fit"):
        with Unharmed(est, verb, images), pytest.raises(ValueError, match=shapes):
            call(est, verb, images[..., 1:], LABELS)
    with pytest.raises(ValueError, match=shapes):
        est.predict(images[..., 1:])
    with pytest.raises(ValueError, match=shapes):
        est.predict(TensorDataset(torch.tensor(images[..., 1:])))


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(X, LABELS, strict=True))


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("data", "y", "error", "message"),
    [
        (Stream(), LABELS, TypeError, "map-style Dataset with __len__"),
        (Pairs(X[:0], LABELS[:0]), None, ValueError, "Dataset with 0 samples"),
        (Pairs(X, LABELS), LABELS[:-1], ValueError, "y has 59.* 60 samples"),
        (Pairs(X), None, ValueError, r"(?i)pairs.*pass y|without y.*pass y"),
        (Pairs(X, with_value(LABELS.astype(object), None)), None, ValueError, r"\by\b"),
    ],
    ids=["stream", "empty", "short y", "no y", "missing label"],
)
def test_unusable_datasets(data, y, error, message, verb):
    fails(error, message, make().fit(X, LABELS), verb, data, y)


@pytest.mark.parametrize("verb", ["prune", "partial_fit"])
def test_dataset_of_another_shape(verb):
    message = r"\(3,\).*fitted with samples of shape \(4,\)"
    fails(ValueError, message, make().fit(X, LABELS), verb, Pairs(X[:, :3], LABELS))


def test_nan_does_not_become_a_prediction(classifier, tmp_path):
    with pytest.raises(ValueError, match="NaN"):
        classifier.predict(Pairs(with_value(X, np.nan)))
    mapped = np.memmap(tmp_path / "x", np.float64, "w+", shape=X.shape)
    mapped[:] = with_value(X.astype(float), 1e300)
    with pytest.raises(ValueError, match=r"NaN|too large"):
        classifier.predict(mapped)


@pytest.mark.parametrize(
    ("y", "message"),
    [(None, r"\by\b"), (with_value(X[:, 0], np.nan), r"\by\b.*(NaN|missing)")],
    ids=["no y", "NaN"],
)
def test_datasets_for_a_regressor(y, message):
    with pytest.raises(ValueError, match=message):
        PrunedRegressor(hidden_layer_sizes=(4,)).fit(Pairs(X, y))


def test_dataset_of_labels_in_a_column():
    with pytest.warns(DataConversionWarning, match=r"\by\b.*1d"):
        make().fit(Pairs(X, LABELS[:, None]))


@pytest.mark.parametrize(
    "verb", ["predict", "predict_proba", "predict_log_proba", "decision_function", "prune"]
)
def test_before_fit(verb):
    with pytest.raises(NotFittedError, match=r"PrunedClassifier.*not fitted"):
        getattr(make(), verb)(X)


@pytest.mark.parametrize("extra", ["y", "sensitive_features", "sample_weight"])
def test_prune_without_x(classifier, extra):
    fails(ValueError, "but no X", classifier, "prune", None, **{extra: np.ones(60)})
