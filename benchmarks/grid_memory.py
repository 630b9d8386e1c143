"""What `memory` saves: a grid search over 6 sparsities and 5 folds, with and without.

Run: python benchmarks/grid_memory.py [--repetitions 5]
Data: the Boston mortgage applications (pip install "sklearn-fairprune[demo]").
"""

import argparse
import tempfile

import numpy as np
import torch
from record import figure, interleaved, planned, ratio, save
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import PrunedClassifier
from sklearn_fairprune.datasets import load_mortgage
from sklearn_fairprune.tables.preparation import make_preprocessing

SPARSITIES = [0, 0.5, 0.8, 0.9, 0.95, 0.98]
SEED = 0


def search(X, y, finetune_epochs, memory):
    """Fit the grid search; returns the scores of every candidate and fold."""
    classifier = PrunedClassifier(
        schedule="one_shot",
        recovery="plain",
        finetune_epochs=finetune_epochs,
        finetune_lr="net",
        memory=memory,
        random_state=SEED,
    )
    grid = GridSearchCV(
        make_pipeline(StandardScaler(), classifier),
        {"prunedclassifier__sparsity": SPARSITIES},
        cv=StratifiedKFold(5, shuffle=True, random_state=SEED),
        refit=False,
        error_score="raise",
    ).fit(X, y)
    return np.stack([grid.cv_results_[f"split{k}_test_score"] for k in range(5)])


def remembered(X, y, finetune_epochs):
    """Search with an empty memory, as on the first day."""
    with tempfile.TemporaryDirectory() as folder:
        return search(X, y, finetune_epochs, folder)


def main():
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    repetitions = parser.parse_args().repetitions
    torch.set_num_threads(1)
    data = load_mortgage()
    X, y = make_preprocessing(data.X).fit_transform(data.X), data.y
    summary, measured = [], {}
    for epochs, target in planned("grid_memory")["targets"].items():
        epochs = int(epochs)
        ways = {
            "plain": lambda epochs=epochs: search(X, y, epochs, None),
            "memory": lambda epochs=epochs: remembered(X, y, epochs),
        }
        seconds, scores = interleaved(ways, repetitions)
        identical = bool(np.array_equal(scores["plain"], scores["memory"]))
        value = ratio(seconds, "memory", "plain")
        what = f"{epochs} fine-tuning epochs"
        summary += [
            figure(
                f"grid with memory, {what}",
                value,
                "of the grid without",
                f"<= {target}",
                value <= target,
            ),
            figure(f"identical scores, {what}", int(identical), "1 = yes", "1", identical),
        ]
        measured[what] = {"seconds": seconds, "scores": scores["memory"].tolist()}
    save(
        "grid_memory",
        summary,
        seeds=[SEED],
        data={"sparsities": SPARSITIES, "folds": 5, "repetitions": repetitions} | measured,
    )


if __name__ == "__main__":
    main()
