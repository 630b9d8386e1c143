"""Every group of every report is kept, and one compared with all the others."""

from types import SimpleNamespace

import pandas as pd
import pytest
import who_pays


def report(drops):
    """Return a made-up audit of a dense and a pruned model over four groups."""
    groups = ["black", "hispanic", "white", "other"]
    names = pd.MultiIndex.from_product([["sparsity 0", "sparsity 0.9"], groups])
    by_group = pd.DataFrame({"accuracy_drop": [0.0] * 4 + drops}, index=names)
    by_group["excessive_loss"] = 2 * by_group["accuracy_drop"]
    overall = pd.DataFrame(
        {"accuracy": [0.9, 0.8], "classes_predicted": [2, 1]},
        index=["sparsity 0", "sparsity 0.9"],
    )
    findings = ["sparsity 0.9, by loss: black pays most", "sparsity 0.9: too few rows"]
    findings.append("sparsity 0.95, by loss: nobody")
    return SimpleNamespace(by_group=by_group, overall=overall, findings=findings)


def test_all_groups_are_scored():
    reports = [report([0.3, 0.1, 0.2, 0.0]), report([0.2, 0.1, 0.2, 0.5])]
    lines, data = who_pays.summarise(reports)
    kept = data["sparsity 0.9"]
    assert list(kept["accuracy_drop"]) == ["black", "hispanic", "white", "other"]
    assert kept["accuracy_drop"]["other"] == [0.0, 0.5]
    assert kept["predicts_one_class"] == 2
    assert kept["finding"] == reports[0].findings[:2] * 2
    value = {line["name"]: line["value"] for line in lines}
    assert value["sparsity 0.9: seeds in which black applicants pay most"] == 1
    drop = value["sparsity 0.9: accuracy drop of black minus mean of the others"]
    assert drop == pytest.approx((0.2 + (0.2 - 0.8 / 3)) / 2)
    excess = value["sparsity 0.9: excessive loss of black minus mean of the others"]
    assert excess == pytest.approx(2 * drop)
