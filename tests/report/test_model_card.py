"""The section of a technical documentation: its numbers, its blanks, no promise."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from report_cases import MODELS, PEOPLE, Column, N, X, Y, make_report, regression_report

from sklearn_fairprune import PrunedClassifier, audit
from sklearn_fairprune.measurement.formats import with_interval

torch.set_num_threads(1)


def table_after(text, start):
    lines = text[text.index(start) :].split("\n\n")[1].splitlines()
    return [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@pytest.fixture(scope="module")
def report():
    return make_report()


def test_dense_and_pruned_accuracy_of_every_group(report):
    text = report.to_markdown(technical=True)
    for feature, part in report.by_feature.items():
        header, _, *lines = table_after(
            text, f"### Accuracy by {feature.replace('&', '&amp;')}\n"
        )
        assert header[2:5] == ["rows", "accuracy %, dense", "accuracy %, pruned"]
        assert len(lines) == len(part.by_group) * 2 // 3
        for line in lines:
            assert len(line) == len(header)
    line = next(line for line in lines if line[:2] == ["harmed", "60"])
    options = {"scale": 100, "digits": 1}
    cells = [
        with_interval(part.by_group.loc[(model, 60)], "accuracy", **options).replace(
            "[", r"\["
        )
        for model in ("dense", "harmed")
    ]
    assert [cell.replace(r"\]", "]") for cell in line[3:5]] == cells
    row = part.changes.loc[("harmed", 60)]
    assert line[-1] == f"{row['harmed']:.0f}, {row['helped']:.0f} of {row['rows']:.0f}"


def test_what_a_report_cannot_know_is_left_open(report):
    text = report.to_markdown(technical=True)
    blanks = re.findall(r"^\*To be filled in by the author: (.*)\.\*$", text, flags=re.M)
    assert [blank.split(",")[0].split()[0] for blank in blanks] == [
        "intended",
        "the",
        "risks",
        "who",
    ]
    for part in ("Human oversight", "Overall accuracy", "Foreseeable limits", "randomness of"):
        assert part in text
    assert not re.search("compl(y|ies|iant)|satisf|conform", text)
    assert report.about["rows_sha256"] in text
    assert "Recovery after pruning: not recorded" in text


def test_a_broken_model_is_told_once(report):
    text = report.to_markdown(technical=True)
    told = [line for line in text.splitlines() if re.match("- stuck .*broken", line)]
    assert told == ["- stuck predicts only yes: it is broken."]
    assert "is broken, not fair." in text
    y = np.tile(["no", "yes"], 100)
    halves = {"a": np.tile([*"uuvv"], 50), "b": np.tile([*"uuuvvvvv"], 25)}
    models = {"dense": Column(0), "stuck": Column(1)}
    given = np.column_stack([np.where(y == "yes", 0.8, 0.2), np.full(200, 0.9)])
    alike = audit(models, given, y, sensitive_features=halves, n_boot=20, min_group_size=1)
    notes = {
        note for part in alike.by_feature.values() for note in part.notes if "broken" in note
    }
    assert len(notes) == 2
    text = alike.to_markdown(technical=True)
    told = [line for line in text.splitlines() if line.startswith("- stuck predicts")]
    assert [f"- {note}" for note in notes if "alike means nothing" in note] == told
    whole = make_report({k: MODELS[k] for k in ("dense", "harmed")}).to_markdown(
        technical=True
    )
    assert "broken" not in whole


def test_digests_and_recovery():
    clf = PrunedClassifier(hidden_layer_sizes=(4,), finetune_epochs=5, random_state=0)
    path = clf.pruning_path(X, Y, sparsities=[0, 0.5])
    report = audit(path, X, Y, sensitive_features=PEOPLE["sex"], n_boot=20)
    text = report.to_markdown(technical=True)
    assert all(digest in text for digest in report.sizes["sha256"])
    assert "Recovery after pruning: 5 epochs of fine-tuning." in text
    del report.overall["finetune_epochs"]  # as in a report of before
    assert "Recovery after pruning: not recorded." in report.to_markdown(technical=True)
    report.about["finetune_epochs"] = 7
    assert "pruning: 7 epochs of fine-tuning." in report.to_markdown(technical=True)


@pytest.mark.filterwarnings("ignore:Groups with fewer")
def test_small_groups_are_marked_and_names_cannot_break_it(tmp_path):
    nasty = np.array(["a|b", "<script>x</script>", "*c*\n# d"])[np.arange(N) % 3]
    models = {"de|nse": MODELS["dense"], "<img src=x>": MODELS["harmed"]}
    groups = pd.Series(nasty, name="| ## <b>")
    report = make_report(models, sensitive_features=groups, min_group_size=N)
    text = report.to_markdown(tmp_path / "card.md", technical=True)
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == text
    assert text.count("(too few to compare)") == 3
    assert not re.search("<(script|img|b)", text)
    assert len(re.findall("^#", text, flags=re.M)) == 6


def test_regressors_and_a_model_alone():
    text = regression_report().to_markdown(technical=True)
    assert "loss J, dense" in text
    assert "accuracy drop" not in text
    alone = make_report({"dense": MODELS["dense"]}).to_markdown(technical=True)
    assert "One model only" in alone
