"""
How do I show this to others?
=============================

One audit in the forms that others read: a page for a browser, a section for a model card, a
gate for a build, data and page for the Responsible AI dashboard, and fairlearn's comparison
of models.

Run: python examples/plot_dashboard.py [--out DIR]
Needs: pip install "sklearn-fairprune[demo,plot]"
"""

import argparse
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import (
    DisparityError,
    PrunedClassifier,
    TradeOffDisplay,
    audit,
    plot_model_comparison,
    to_fairness_dashboard,
)
from sklearn_fairprune.datasets import load_mortgage

torch.set_num_threads(1)
parser = argparse.ArgumentParser(description="How do I show this to others?")
parser.add_argument("--out", help="folder to write to; default: a temporary one, kept")
out = Path(parser.parse_args().out or tempfile.mkdtemp(prefix="fairprune-"))
out.mkdir(parents=True, exist_ok=True)

# %%
# An audit
# --------
# Mortgage applications, one dense network pruned to four sparsities, measured on held-out
# rows by race.
data = load_mortgage()
race = data.sensitive["race"]
X_train, X_test, y_train, y_test, race_train, race_test = train_test_split(
    data.X, data.y, race, test_size=0.3, stratify=race + data.y, random_state=0
)
prepare = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
X_train, X_test = prepare.fit_transform(X_train), prepare.transform(X_test)
path = PrunedClassifier(random_state=0).pruning_path(
    X_train, y_train, sensitive_features=race_train, sparsities=[0, 0.5, 0.9, 0.98]
)
few = {"min_group_size": 30}  # rows to compare a group with others; 75 is safer
report = audit(path, X_test, y_test, sensitive_features=race_test, **few)
print("\n".join([*report.findings, *report.notes]))


def written(path):
    """Say what was written, and how much."""
    print(f"wrote {path} ({path.stat().st_size / 1000:,.0f} kB)")


# %%
# For a reader: a page
# --------------------
# ``to_html`` writes one interactive page that needs no network and no other file. The code
# of its charts comes with vl-convert-python.
try:
    report.to_html(out / "audit.html")
    written(out / "audit.html")
except ImportError as error:
    print(f"no page: {error}")

# %%
# For a model card: Markdown
# --------------------------
# The same findings and tables as text, to be pasted where the model is described.
text = report.to_markdown(out / "audit.md")
written(out / "audit.md")
print("\n".join(text.splitlines()[:14]), "\n...")

# %%
# For a build: a gate
# -------------------
# ``assert_disparity`` raises where a pruned model costs a group more than is allowed, and
# where a model is broken or a number unknown. Judged by its lower limit only a sure excess
# fails; by its upper limit only a surely kept limit passes, which few rows never allow.
for judge_by in ("low", "estimate", "high"):
    try:
        report.assert_disparity(
            max_degradation=0.05, models=["sparsity 0.9"], judge_by=judge_by
        )
        print(f"sparsity 0.9, judged by {judge_by}: passes")
    except DisparityError as error:
        print(f"sparsity 0.9, judged by {judge_by}: fails\n  " + "\n  ".join(error.failures))
try:
    report.assert_disparity(max_degradation=0.05, judge_by="low")
except DisparityError as error:
    print("all models, judged by low: fails\n  " + "\n  ".join(error.failures))

# %%
# For the Responsible AI dashboard
# --------------------------------
# ``to_fairness_dashboard`` measures what that dashboard shows, and adds our loss, excessive
# loss and accuracy drop. ``to_json`` writes its precomputed dictionary. ``dashboard_html``
# writes the dashboard itself as a page, if the files of raiwidgets are installed.
groups = {"race": race_test}
dashboard = to_fairness_dashboard(
    path, X_test, y_test, sensitive_features=groups, positive_class="approved", **few
)
print(dashboard)
print("\n".join(dashboard.notes))
dashboard.to_json(out / "dashboard.json")
written(out / "dashboard.json")
try:
    written(dashboard.dashboard_html(out / "dashboard.html"))
except ImportError as error:
    print(f"no dashboard page: {error}")

# %%
# For slides: two plots
# ---------------------
# fairlearn's ``plot_model_comparison``, given models in place of predictions: accuracy and
# its difference between the groups, as points. ``TradeOffDisplay`` shows the same with
# intervals; show that one where somebody may read a difference into two points.
figure, axes = plt.subplots(1, 2, figsize=(12, 4.8), layout="constrained")
plot_model_comparison(path, X_test, y_test, sensitive_features=race_test, ax=axes[0])
axes[0].set_title("Without intervals", fontsize=11)
TradeOffDisplay.from_report(report, ax=axes[1])
print(f"everything is in {out}")
plt.show()
