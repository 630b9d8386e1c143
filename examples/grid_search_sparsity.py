"""How sparse may the network be? A grid search that looks at the worst-off group.

The sensitive feature stays a column of X for the scorer and is dropped before the network,
so that no metadata routing is needed. Accuracy alone hardly ever asks for sparsity, so the
choice is a rule: the sparsest network whose worst group loses at most two points.

Run: python examples/grid_search_sparsity.py
"""

import tempfile

import numpy as np
import torch
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import PrunedClassifier
from sklearn_fairprune.datasets import load_mortgage
from sklearn_fairprune.metrics import get_scorer


def sparsest_within_two_points(results):
    """Position of the sparsest candidate within 0.02 of the best worst-group accuracy."""
    score = results["mean_test_worst_group"]
    sparsity = np.asarray(results["param_prunedclassifier__sparsity"], dtype=float)
    good = score >= score.max() - 0.02
    return int(np.argmax(np.where(good, sparsity, -1)))


def main():
    """Search, print one line a candidate, and return the chosen sparsity."""
    torch.set_num_threads(1)
    data = load_mortgage()
    X = data.X.assign(race=data.sensitive["race"])
    with tempfile.TemporaryDirectory() as folder:
        model = make_pipeline(
            make_column_transformer(
                (
                    make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
                    make_column_selector(dtype_include="number"),
                ),  # race is text: dropped here, before the network
            ),
            PrunedClassifier(random_state=0, memory=folder),
        )
        search = GridSearchCV(
            model,
            {"prunedclassifier__sparsity": [0, 0.5, 0.8, 0.9, 0.95]},
            scoring={
                "accuracy": "accuracy",
                "worst_group": get_scorer("worst_group_accuracy", columns="race"),
            },
            refit=sparsest_within_two_points,
            cv=StratifiedKFold(3, shuffle=True, random_state=0),
        ).fit(X, data.y)
    results = search.cv_results_
    for k, candidate in enumerate(results["params"]):
        print(
            f"sparsity {candidate['prunedclassifier__sparsity']:<4}  "
            f"accuracy {results['mean_test_accuracy'][k]:.3f}  "
            f"worst group {results['mean_test_worst_group'][k]:.3f}"
        )
    chosen = search.best_params_["prunedclassifier__sparsity"]
    print(f"chosen: {chosen}")
    return chosen


if __name__ == "__main__":
    main()
