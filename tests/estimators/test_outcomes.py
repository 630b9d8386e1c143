"""Row losses and predictions of any estimator, against loops."""

import numpy as np
import pytest
from estimator_cases import BITS, LABELS, X
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklearn_fairprune import PrunedClassifier
from sklearn_fairprune.estimators.outcomes import estimator_outcomes

TINY = float(np.finfo(np.float32).tiny)
THREE = np.array(["mid", "low", "high"])[BITS[:, 0] + BITS[:, 1]]


class Sure(ClassifierMixin, BaseEstimator):
    """Gives probabilities 0 and 1 only, and no logarithms of them."""

    classes_ = np.array([-1, 7])

    def predict_proba(self, X):
        return np.eye(2, dtype=np.float32)[(X[:, 0] > 0.5).astype(int)]

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


@pytest.mark.parametrize("y", [LABELS, THREE, BITS[:, 0] > 0, 5 - 2 * BITS[:, 0]], ids=str)
@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        KNeighborsClassifier(9),  # has no predict_log_proba
        PrunedClassifier(hidden_layer_sizes=(4,), dtype="float64", random_state=0),
    ],
    ids=["logistic", "pipeline", "neighbors", "pruned"],
)
def test_losses_of_a_classifier_are_minus_the_log_of_the_true_class(model, y):
    model = model.fit(X.astype(float), y)
    losses, predicted = estimator_outcomes(model, X.astype(float), y)
    probability, names = model.predict_proba(X.astype(float)), model.classes_.tolist()
    slow = []
    for p, label in zip(probability, y, strict=True):
        slow.append(-np.log(max(p[names.index(label)], TINY)))
    np.testing.assert_allclose(losses, slow, rtol=1e-9)
    np.testing.assert_array_equal(predicted, model.predict(X.astype(float)))
    if min(map(np.min, probability)) > 0:
        assert losses.mean() == pytest.approx(log_loss(y, probability))


def test_a_loss_of_a_sure_mistake_is_large_and_finite():
    y = np.where(BITS[:, 0], 7, -1)
    y[0] = 6 - y[0]
    losses, predicted = estimator_outcomes(Sure(), X, y)
    assert losses[0] == -np.log(TINY)
    assert losses.dtype == np.float64
    assert not losses[1:].any()
    assert (predicted != y).tolist() == [True] + [False] * 59


def test_rows_of_one_class_only():
    model = LogisticRegression().fit(X, THREE)
    rows = np.flatnonzero(THREE == "mid")
    losses, _ = estimator_outcomes(model, X[rows], THREE[rows])
    np.testing.assert_array_equal(losses, estimator_outcomes(model, X, THREE)[0][rows])


@pytest.mark.parametrize("columns", [[0], [0, 1], [2, 1, 0]], ids=str)
def test_losses_of_a_regressor_are_squared_errors(columns):
    y = np.squeeze(X[:, columns] ** 2)
    model = LinearRegression().fit(X, y)
    losses, predicted = estimator_outcomes(model, X, y)
    slow = [np.mean((p - t) ** 2) for p, t in zip(predicted, y, strict=True)]
    np.testing.assert_allclose(losses, slow, rtol=1e-5)
    np.testing.assert_array_equal(predicted, model.predict(X))
    assert losses.mean() == pytest.approx(mean_squared_error(y, predicted))


def test_unknown_labels_are_told_beside_the_classes():
    model = LogisticRegression().fit(X, THREE)
    y = THREE.copy()
    y[[3, 5]] = ["hi", "lo"]
    message = r"does not know: \['hi', 'lo'\]; its classes are \['high', 'low', 'mid'\]"
    with pytest.raises(ValueError, match=message):
        estimator_outcomes(model, X, y)
    many, y = KNeighborsClassifier(1), np.arange(60) % 20
    message = r"know: \[20, 21, .*, 29\]; its classes are \[0, 1, .*, 9\]\."
    with pytest.raises(ValueError, match=message):
        estimator_outcomes(many.fit(X, y), X, y + 20)


def test_labels_in_a_column_are_those_of_the_rows():
    model = LogisticRegression().fit(X, THREE)
    losses, predicted = estimator_outcomes(model, X, THREE[:, None])
    np.testing.assert_array_equal(losses, estimator_outcomes(model, X, THREE)[0])
    assert losses.shape == predicted.shape == (60,)
    with pytest.raises(ValueError, match="should be a 1d array"):
        estimator_outcomes(model, X, np.stack([THREE, THREE], axis=1))


def test_a_sure_and_wrong_model_has_a_finite_loss():
    tree = DecisionTreeClassifier(random_state=0).fit([[0.0], [1.0]], ["a", "b"])
    losses, _ = estimator_outcomes(tree, np.array([[0.0], [1.0]]), np.array(["b", "b"]))
    np.testing.assert_allclose(losses, [-np.log(TINY), 0])


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((60, 2), r"y has 2 target\(s\) in 60 rows, and the model predicts 1 in 60"),
        ((60, 60), r"y has 60 target\(s\) in 60 rows, and the model predicts 1"),
        ((1, 1), r"y has 1 target\(s\) in 1 rows, and the model predicts 1 in 60"),
    ],
)
def test_targets_of_another_width_are_refused(shape, message):
    model = LinearRegression().fit(X, X[:, 0])
    with pytest.raises(ValueError, match=message):
        estimator_outcomes(model, X, np.zeros(shape))


def test_a_column_of_targets_is_never_broadcast():
    model, y = LinearRegression().fit(X, X[:, :1] ** 2), X[:, 0] ** 2
    losses, predicted = estimator_outcomes(model, X, y)
    np.testing.assert_allclose(losses, (predicted[:, 0] - y) ** 2)
    np.testing.assert_array_equal(losses, estimator_outcomes(model, X, y[:, None])[0])
