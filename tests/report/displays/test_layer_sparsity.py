"""Bars are the layers of the networks."""

import itertools
import pickle

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune.measurement.sizes import layer_table
from sklearn_fairprune.report.displays import LayerSparsityDisplay


def widths(display):
    return [[bar.get_width() for bar in bars] for bars in display.bars_]


def test_one_model(data, pruner):
    table = layer_table(pruner)
    piped = make_pipeline(StandardScaler().fit(data.X), pruner)
    for estimator in (pruner, piped, pruner.estimator_):
        display = LayerSparsityDisplay.from_estimator(estimator)
        np.testing.assert_allclose(widths(display), [100 * table["sparsity"]])
        texts = [t.get_text() for t in display.labels_[0]]
        counts = zip(table["kept"], table["weights"], strict=True)
        assert texts == [f"{kept}/{n}" for kept, n in counts]
        ticks = [t.get_text() for t in display.ax_.get_yticklabels()]
        assert ticks == table.index.tolist()
        assert display.ax_.get_xlabel().startswith("weights removed, %")
        assert display.ax_.get_title().endswith(type(estimator).__name__)
        assert display.legend_ is None
    first, second = (bar.get_y() for bar in display.bars_[0])
    bottom, top = display.ax_.get_ylim()
    assert first < second  # the first layer is on top
    assert bottom > top


def test_several_models(path):
    one = LayerSparsityDisplay.from_path(path)
    models = dict(zip("abcd", path.estimators, strict=True))
    two = LayerSparsityDisplay.from_estimators(models)
    truth = [100 * layer_table(e)["sparsity"] for e in path.estimators]
    for display in (one, two):
        np.testing.assert_allclose(widths(display), truth)
    texts = [t.get_text() for t in one.legend_.get_texts()]
    assert texts == [f"sparsity {s:g}" for s in path.sparsities]
    assert [t.get_text() for t in two.legend_.get_texts()] == list("abcd")
    edges = [(bar.get_y(), bar.get_y() + bar.get_height()) for b in one.bars_ for bar in b]
    edges.sort()
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(edges))
    grey = [bars[0].get_facecolor()[:3] @ np.array([0.3, 0.59, 0.11]) for bars in one.bars_]
    assert (np.diff(grey) < -0.05).all()  # light to dark
    assert LayerSparsityDisplay.from_path(path, legend=False).legend_ is None


def test_networks_of_other_layers(data, pruner):
    deep = data.make(hidden_layer_sizes=(6, 5)).fit(data.X, data.y)
    display = LayerSparsityDisplay.from_estimators({"a": pruner, "b": deep})
    names = [t.get_text() for t in display.ax_.get_yticklabels()]
    assert len(names) == 3
    assert [len(bars) for bars in display.bars_] == [2, 3]
    for bars, table in zip(display.bars_, display.tables, strict=True):
        middle = [bar.get_y() + bar.get_height() / 2 for bar in bars]
        assert [names[round(m)] for m in middle] == table.index.tolist()


def test_regressor_and_strange_names(data, regressor):
    models = {name: regressor for name in data.names}
    display = LayerSparsityDisplay.from_estimators(models)
    texts = display.legend_.get_texts()
    assert len(texts) == len(data.names)
    assert all(map(data.same_picture, texts))
    display.figure_.canvas.draw()


def test_given_axes_and_errors(data, path, pruner):
    figure, ax = plt.subplots()
    assert LayerSparsityDisplay.from_path(path, ax=ax).ax_ is ax
    assert plt.get_fignums() == [figure.number]
    plt.close("all")
    plain = LogisticRegression().fit(data.X, data.y)
    message = r"must have a network .*got LogisticRegression\. Give a fitted PrunedClassifier"
    with pytest.raises(ValueError, match=f"LogisticRegression {message}"):
        LayerSparsityDisplay.from_estimator(plain)
    with pytest.raises(ValueError, match=f"plain {message}"):
        LayerSparsityDisplay.from_estimators({"a": pruner, "plain": plain})
    for models in ({}, [pruner], pruner):
        with pytest.raises(ValueError, match="models must be a dict of names to fitted"):
            LayerSparsityDisplay.from_estimators(models)
    with pytest.raises(TypeError, match="path must be what pruning_path returned"):
        LayerSparsityDisplay.from_path(path.estimators)
    with pytest.raises(ValueError, match="ax must be a matplotlib Axes"):
        LayerSparsityDisplay.from_estimator(pruner, ax=[])
    assert plt.get_fignums() == []


def test_pickle(path):
    display = LayerSparsityDisplay.from_path(path)
    again = pickle.loads(pickle.dumps(display)).plot()
    assert widths(display) == widths(again)
