"""From a file and a command to every cell that a reader sees, recomputed by hand."""

import contextlib
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from by_hand import by_group, halves, network_inputs, overall, people
from forms import Page, markdown_rows, text_rows
from sklearn.linear_model import LogisticRegression

from sklearn_fairprune import AuditReport, PrunedClassifier, PrunedRegressor, audit
from sklearn_fairprune.cli import main

pytest.importorskip("vl_convert")

TRAINING = ["--test-size", "0.5", "--sparsities", "0.5,0.95", "--hidden", "8"]
TRAINING += ["--finetune-epochs", "1", "--seed", "7", "--min-group-size", "20"]
PER_CENT, PLAIN, SIGNED, POINTS = (100, ".1f"), (1, ".3f"), (1, "+.3f"), (100, "+.1f")
GROUP_CELLS = {
    "accuracy": PER_CENT,
    "loss": PLAIN,
    "excessive_loss": SIGNED,
    "accuracy_drop": POINTS,
}
OVERALL_CELLS = {
    "accuracy": PER_CENT,
    "balanced_accuracy": PER_CENT,
    "loss": PLAIN,
    "fairness_violation": PLAIN,
    "accuracy_spread": PER_CENT,
}

DRAWN = ("fairness_violation",)  # limits from bootstrap samples


# ---- the audits ------------------------------------------------------------------------


def figures_of(models, X, y, groups, confidence, least):
    given = models, X, y, groups, confidence
    return {"by_group": by_group(*given), "overall": overall(*given, least), "least": least}


def read_tables(folder):
    return {path.stem: pd.read_csv(path) for path in folder.glob("*.csv")}


def trained_by_hand(target):
    """The models that the command should make, and the rows it should hold out."""
    table = people().dropna(subset=target, ignore_index=True)
    train, test = halves(table, [target, "town"] if target == "paid" else None)
    X, y = (
        network_inputs(table.drop(columns=[target, "town"]), train),
        table[target].to_numpy(),
    )
    if target == "paid":
        kind, y = PrunedClassifier, y.astype(str)
    else:
        kind, y = PrunedRegressor, (y - y[train].mean()) / y[train].std()
    pruner = kind(hidden_layer_sizes=(8,), finetune_epochs=1, random_state=7)
    path = pruner.pruning_path(X[train], y[train], sparsities=[0, 0.5, 0.95])
    names = ["sparsity 0", "sparsity 0.5", "sparsity 0.95"]
    models = dict(zip(names, path.estimators, strict=True))
    return models, X[test], y[test], table["town"].fillna("missing").to_numpy()[test]


def by_command(target, folder):
    """Audit of a file: a class or a quantity, by town."""
    people().to_csv(folder / "people.csv", index=False)
    words = ["audit", "--data", str(folder / "people.csv"), "--target", target, *TRAINING]
    words += ["--sensitive", "town", "--out", str(folder / "out")]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main([*words, "--html", str(folder / "page.html")]) == 0
    return {
        "kept": (folder / "out" / "audit.json").read_text(encoding="utf-8"),
        "text": printed.getvalue(),
        "page": (folder / "page.html").read_text(encoding="utf-8"),
        "csv": read_tables(folder / "out"),
        "truth": {"town": figures_of(*trained_by_hand(target), 0.95, 20)},
        "level": "95",
    }


def by_call(confidence, folder):
    """Audit of three classifiers by two features, at another level of confidence."""
    table = people().dropna(subset="paid", ignore_index=True)
    X = network_inputs(table.drop(columns=["paid", "town"]), np.arange(len(table)))
    y = table["paid"].to_numpy().astype(str)
    groups = {"town": table["town"].fillna("nowhere"), "member": table["member"].astype(str)}
    strengths = {"all": 1.0, "weak": 0.003, "none": 1e-9}
    models = {name: LogisticRegression(C=C).fit(X, y) for name, C in strengths.items()}
    options = {"confidence": confidence, "min_group_size": 1}
    report = audit(models, X, y, sensitive_features=groups, **options)
    report.to_csv(folder)
    ways = {"town & member": groups["town"] + " & " + groups["member"]} | groups
    return {
        "kept": report.to_json(),
        "text": str(report),
        "page": report.to_html(),
        "csv": read_tables(folder),
        "truth": {
            name: figures_of(models, X, y, values.to_numpy(), confidence, 1)
            for name, values in ways.items()
        },
        "level": f"{100 * confidence:g}",
    }


@pytest.fixture(scope="module", params=["paid", "amount", 0.8, 0.99])
def audited(request, tmp_path_factory):
    """An audit in all its forms, and its figures by hand."""
    make = by_command if isinstance(request.param, str) else by_call
    forms = make(request.param, tmp_path_factory.mktemp("audit"))
    forms["markdown"] = AuditReport.from_json(forms["kept"]).to_markdown()
    forms["kept"], forms["page"] = json.loads(forms["kept"]), Page(forms["page"])
    return forms


def kept_table(audited, feature, name):
    """Records of a table in the report's JSON, by model and group."""
    kept = audited["kept"].get("features", {}).get(feature, audited["kept"])
    columns = [] if name in ("overall", "payers") else feature.split(" & ")
    more = ["by"] if name == "payers" else []
    return {
        (
            row["model"],
            *([" & ".join(row[c] for c in columns)] if columns else []),
            *(row[c] for c in more),
        ): row
        for row in kept[name]
    }


# ---- figures ---------------------------------------------------------------------------


def check_figures(kept, truth):
    """Every figure is the one by hand; limits that are drawn are near to those by hand."""
    for name, value in truth.items():
        measure = name.removesuffix("_low").removesuffix("_high")
        if name != measure and measure in DRAWN:
            width = truth[f"{measure}_high"] - truth[f"{measure}_low"]
            assert kept[name] == pytest.approx(value, abs=0.2 * width + 1e-6), name
        else:
            assert kept[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name


def test_groups(audited):
    for feature, truth in audited["truth"].items():
        kept = kept_table(audited, feature, "by_group")
        assert list(kept) == list(truth["by_group"])
        for label, figures in truth["by_group"].items():
            others = ("changed", "harmed", "helped", "loss error", "excessive_loss error")
            check_figures(kept[label], {k: v for k, v in figures.items() if k not in others})


def test_overall(audited):
    for feature, truth in audited["truth"].items():
        kept = kept_table(audited, feature, "overall")
        assert [name for (name,) in kept] == list(truth["overall"])
        for model, figures in truth["overall"].items():
            figures = {k: v for k, v in figures.items() if k != "loss error"}
            check_figures(kept[model,], figures)


def test_changed_predictions_and_who_pays(audited):
    for feature, truth in audited["truth"].items():
        dense, *pruned = truth["overall"]
        measures = {"decisions": "accuracy_drop", "loss": "excessive_loss"}
        for row in kept_table(audited, feature, "payers").values():
            groups = {g: f for (m, g), f in truth["by_group"].items() if m == row["model"]}
            groups = {g: f for g, f in groups.items() if f["rows"] >= truth["least"]}
            measure = measures[row["by"]]
            largest = max(figures[measure] for figures in groups.values())
            assert groups[row["group"]][measure] == pytest.approx(largest)
            assert row["value"] == pytest.approx(largest)
            assert row["rows"] == groups[row["group"]]["rows"]
        if "accuracy" not in truth["overall"][dense]:
            continue
        kept = kept_table(audited, feature, "changes")
        assert {model for model, _ in kept} == set(pruned)
        for label, row in kept.items():
            for name in ("rows", "changed", "harmed", "helped"):
                assert row[name] == truth["by_group"][label][name]


# ---- the forms, cell by cell -----------------------------------------------------------


def cells(row, formats):
    """Figures and limits of a record, as readers see them."""
    texts = []
    for name, (scale, digits) in formats.items():
        if name in row:
            ends = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
            value, low, high = (format(scale * v, digits) for v in ends)
            texts.append(f"{value} [{low}, {high}]")
    return texts


def group_rows(audited, feature):
    """Cells of the table of groups."""
    kept = kept_table(audited, feature, "by_group")
    return [
        [*label, str(row["rows"]), *cells(row, GROUP_CELLS)] for label, row in kept.items()
    ]


def overall_rows(audited, feature, formats=OVERALL_CELLS, sparsity=True):
    """Cells of the table of models."""
    rows = []
    for (model,), row in kept_table(audited, feature, "overall").items():
        share = "n/a" if row["sparsity"] is None else f"{row['sparsity']:.3g}"
        rows.append([model, *([share] if sparsity else []), *cells(row, formats)])
    return rows


def test_text(audited):
    feature = next(iter(audited["truth"]))
    assert text_rows(audited["text"], feature) == group_rows(audited, feature)
    seen = text_rows(audited["text"], "all groups")
    assert seen == overall_rows(audited, feature, sparsity=False)
    assert f"In brackets: {audited['level']}% intervals" in audited["text"]


def test_markdown(audited):
    text = re.sub(r"\\([][_])", r"\1", audited["markdown"]).replace("&amp;", "&")
    for feature in audited["truth"]:
        seen = markdown_rows(text, feature, f"| model | {feature} |")
        assert seen == group_rows(audited, feature)
        seen = markdown_rows(text, feature, "| model | sparsity |")
        assert [row[:-1] for row in seen] == overall_rows(audited, feature)
    assert f"{audited['level']} % intervals" in text


def test_tables_of_the_page(audited):
    page = audited["page"]
    for position, feature in enumerate(audited["truth"]):
        assert page.rows(f"Groups by {feature}") == group_rows(audited, feature)
        names = ("accuracy", "accuracy_spread", "loss", "fairness_violation")
        present = [n for n in names if n in kept_row(audited, feature)][:2]
        first = {name: OVERALL_CELLS[name] for name in present}
        seen = [row[:4] for row in page.rows("Models at a glance", position)]
        assert seen == overall_rows(audited, feature, first)
        if "accuracy" in present:
            kept = kept_table(audited, feature, "changes")
            counts = {
                (*label, *(str(row[k]) for k in ("rows", "changed", "harmed", "helped")))
                for label, row in kept.items()
            }
            seen = page.rows("Changed predictions by group", position)
            assert {tuple(row[:6]) for row in seen} == counts
            assert len(seen) == len(counts)
        level = f"with {audited['level']} % intervals over the held-out rows."
        assert f"Groups by {feature}, {level}" in page.captions


def kept_row(audited, feature):
    return next(iter(kept_table(audited, feature, "overall").values()))


def near(row, name):
    ends = [row[f"{name}{end}"] for end in ("", "_low", "_high")]
    return pytest.approx(ends, rel=1e-5, abs=1e-12)


def test_charts_of_the_page(audited):
    payload = audited["page"].payload
    models = [model["name"] for model in payload["models"]]
    assert [feature["name"] for feature in payload["features"]] == list(audited["truth"])
    assert payload["confidence"] == float(audited["level"]) / 100
    for shown in payload["features"]:
        kept = kept_table(audited, shown["name"], "by_group")
        assert sorted(shown["groups"]) == sorted({group for _, group in kept})
        assert [(models[r["model"]], r["group"]) for r in shown["byGroup"]] == list(kept)
        for seen, row in zip(shown["byGroup"], kept.values(), strict=True):
            assert seen["rows"] == row["rows"]
            measures = [name for name in row if f"{name}_low" in row]
            assert sorted(seen) == sorted(["model", "group", "rows", "worth", *measures])
            assert seen["worth"] == seen["rows"]  # rows without weights
            for name in measures:
                assert seen[name] == near(row, name)
        totals = kept_table(audited, shown["name"], "overall").values()
        for seen, row in zip(shown["overall"], totals, strict=True):
            assert {"loss", "fairness_violation"} <= set(seen)
            for name in seen:
                assert seen[name] == near(row, name)


def test_csv(audited):
    tables = {name: rows for name, rows in audited["kept"].items() if name in audited["csv"]}
    assert set(tables) == set(audited["csv"]) >= {"by_group", "overall", "payers"}
    for name, rows in tables.items():
        seen = audited["csv"][name]
        assert list(seen) == list(rows[0])
        assert len(seen) == len(rows)
        for column in seen:
            values = pd.Series([row[column] for row in rows])
            if seen[column].dtype.kind in "if":
                assert seen[column].to_numpy() == pytest.approx(
                    values.replace("", np.nan).astype(float).to_numpy(), rel=1e-12, nan_ok=True
                )
            else:
                assert seen[column].astype(str).tolist() == values.astype(str).tolist()
