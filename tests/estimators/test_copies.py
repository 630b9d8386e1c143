"""Copies, clones, pickles, parameters, and texts of an estimator."""

import copy
import io
import pickle

import joblib
import numpy as np
import pytest
import sklearn
from estimator_cases import same_weights, state
from people_cases import LABELS, MODELS, SEX, X, with_dropout
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sklearn_fairprune import PrunedRegressor

SKLEARN = tuple(int(part) for part in sklearn.__version__.split(".")[:2])


def through_joblib(obj):
    file = io.BytesIO()
    joblib.dump(obj, file)
    file.seek(0)
    return joblib.load(file)


COPIES = [lambda obj: pickle.loads(pickle.dumps(obj)), through_joblib, copy.deepcopy]


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("twin", COPIES, ids=["pickle", "joblib", "deepcopy"])
def test_a_copy_is_the_same_estimator_before_and_after_fit(make, twin):
    clf = twin(make(sparsity=0.5)).fit(X, LABELS, sensitive_features=SEX)
    other = twin(clf)
    np.testing.assert_array_equal(clf.predict_proba(X), other.predict_proba(X))
    other = twin(clf)
    assert other.groups_.tolist() == ["f", "m"]
    assert other.history_ == clf.history_
    for step in (
        lambda c: c.partial_fit(X, LABELS),
        lambda c: c.prune(X, LABELS, sensitive_features=SEX, sparsity=0.8),
        lambda c: c.partial_fit(X[:50], LABELS[:50]),
        lambda c: c.prune(sparsity=0.2),
    ):
        step(clf), step(other)
        np.testing.assert_array_equal(clf.predict_proba(X), other.predict_proba(X))
        assert clf.sparsity_ == other.sparsity_


def test_copies_share_nothing_with_the_original():
    clf = with_dropout().fit(X, LABELS)
    before, other = state(clf.estimator_), copy.deepcopy(clf)
    other.partial_fit(X, LABELS).prune(X, LABELS, sparsity=0.9)
    assert same_weights(clf.estimator_, before)
    assert clf.sparsity_ == 0.5


@pytest.mark.parametrize("make", MODELS)
def test_clone_is_unfitted_with_equal_parameters(make):
    fitted = make().fit(X, LABELS)
    twin = clone(fitted)
    assert not [k for k in vars(twin) if k.endswith("_") and not k.startswith("__")]
    with pytest.raises(NotFittedError):
        twin.predict(X)
    with pytest.raises(NotFittedError):
        twin.prune(X, LABELS)
    assert same_weights(twin.fit(X, LABELS).estimator_, fitted.estimator_)


@pytest.mark.parametrize("make", MODELS)
def test_parameters_and_the_users_net_stay_as_they_are(make):
    clf = make()
    module = None if clf.estimator is None else clf.estimator.module
    start = copy.deepcopy(module.state_dict()) if isinstance(module, nn.Module) else {}
    params, names = clf.get_params(deep=False), clf.get_params().keys()
    attributes = dict(vars(clf.estimator)) if clf.estimator else {}
    clf.fit(X, LABELS).prune(X, LABELS, sparsity=0.8).partial_fit(X, LABELS)
    clf.pruning_path(X, LABELS, sparsities=[0, 0.5])
    assert clf.get_params(deep=False) == params
    assert clf.get_params().keys() == names
    if clf.estimator is not None:
        assert vars(clf.estimator) == attributes
        assert not clf.estimator.initialized_
    assert start == {} or same_weights(start, module.state_dict())


def test_set_params_takes_effect_at_the_next_fit():
    clf = with_dropout().fit(X, LABELS)
    clf.set_params(sparsity=0.8, estimator__module__hidden=5, estimator__max_epochs=2)
    assert clf.sparsity_ == 0.5
    assert clf.predict(X).shape == (200,)
    clf.fit(X, LABELS)
    assert clf.masks_["hidden.weight"].shape == (5, 5)
    assert clf.sparsity_ == pytest.approx(0.8, abs=0.02)
    assert [h["phase"] for h in clf.history_] == 2 * ["dense"] + 2 * ["finetune"]
    with pytest.raises(ValueError, match="Invalid parameter 'nothing'"):
        clf.set_params(estimator__nothing=1)


@pytest.mark.parametrize("make", MODELS)
def test_text_and_html_name_the_estimator_and_its_parameters(make):
    clf = make(sparsity=0.125)
    pages = [clf._repr_html_(), clf.fit(X, LABELS)._repr_html_()]
    assert "PrunedClassifier" in repr(clf)
    assert all("PrunedClassifier" in page and "finetune_epochs" in page for page in pages)
    if SKLEARN >= (1, 9):  # older pages do not list the fitted attributes
        assert "sparsity_" in pages[1]
    assert "PrunedClassifier" in make_pipeline(StandardScaler(), clf)._repr_html_()


def test_regressor_copies_and_groups():
    y = X[:, 0] - X[:, 1]
    reg = PrunedRegressor(sparsity=0.5, random_state=0).fit(X, y, sensitive_features=SEX)
    other = through_joblib(reg)
    np.testing.assert_array_equal(reg.predict(X), other.predict(X))
    assert other.prune(X, y, sparsity=0.2).score(X, y) > 0.5
    assert other.groups_.tolist() == ["f", "m"]
