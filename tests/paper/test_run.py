"""A run keeps every cell, and goes on where it was cut short."""

import json
import re

import numpy as np
import pytest
import run
import torch
from sklearn.metrics import log_loss
from ways import Way, last

from sklearn_fairprune import GroupConstrainedPruner, PrunedClassifier

CELLS = [
    (Way("none", "none"), 0.9),
    (Way("equal_loss, both", "equal_loss, both", {"stage": "both"}), 0.9),
    (Way("on weights", "on weights", {"dual_lr": 0.1}, "weights", 1.0), 0.9),
    (Way("weights (1)", "weights", baseline="weights", strength=1.0), 0.9),
]


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Run a short plan on a few made-up digits; returns the path of the record."""
    rng = np.random.default_rng(0)
    label = np.tile(np.arange(10), 32)
    images = np.clip(rng.normal(25 * label[:, None, None, None], 30, (320, 32, 32, 3)), 0, 255)
    np.savez(
        tmp_path / "svhn_32_rgb_subset.npz",
        images=images.astype(np.uint8),
        label=label.astype(np.uint8),
        is_test=np.arange(320) >= 240,
        image_id=(np.arange(320) // 10).astype(np.int32),
    )
    monkeypatch.setenv("SKLEARN_FAIRPRUNE_DATA", str(tmp_path))
    monkeypatch.setattr(run, "plan", lambda sets: CELLS)
    monkeypatch.setattr(run, "DIAGNOSED_ROWS", {"svhn": 4})
    monkeypatch.setattr(run, "DIAGNOSED", ())
    monkeypatch.setattr(run, "DIAGNOSED_PRUNED", ())
    path = tmp_path / "out" / "svhn-0.json"

    def call(*arguments):
        folders = ["--out", str(tmp_path / "out"), "--memory", str(tmp_path / "memory")]
        settings = ["--tasks", "svhn", "--seeds", "0", "--epochs", "1", *folders, *arguments]
        run.main(settings)
        return path

    call.path = path
    return call


pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_a_run_keeps_every_cell_and_says_where_it_is(command, capsys):
    kept = json.loads(command().read_text(encoding="utf-8"))
    names = ["dense; 0", "none; 0.9", "dense, equal_loss, before; 0", "equal_loss, both; 0.9"]
    assert list(kept["cells"]) == [*names, "on weights; 0.9", "weights (1); 0.9"]
    for cell in kept["cells"].values():
        assert {len(cell[p]["loss"]) for p in ("train", "validation", "test")} == {10}
    assert sum(kept["about"]["rows"]["test"]) == 80
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(CELLS)
    assert printed[-1].startswith("svhn, seed 0: 4 of 4, 0 min left; weights (1); 0.9")


def test_last_layers_are_of_one_network(command, monkeypatch):
    ways = {way.name: way for way in last()}
    ways = [ways["last_layer (0.03)"], ways["balanced last layer (1)"]]
    monkeypatch.setattr(run, "plan", lambda sets: [(way, 0.5) for way in ways])
    fits, kept, fit, last_of = [], [], PrunedClassifier.fit, run.Run.last

    def count(self, *args, **kwargs):
        fits.append(self)
        return fit(self, *args, **kwargs)

    def look(self, way, clf):
        model = last_of(self, way, clf)
        kept.append((way, self.pruned, model))
        return model

    monkeypatch.setattr(PrunedClassifier, "fit", count)
    monkeypatch.setattr(run.Run, "last", look)
    command()
    assert len(fits) == 1
    assert len(kept) == 2
    for way, pruned, model in kept:
        inner = model if way.options is None else model.estimator_
        old, new = (p.estimator_.module_.state_dict() for p in (pruned, inner))
        moved = {name for name in old if not torch.equal(old[name], new[name])}
        assert moved <= {"output.weight", "output.bias"}
        assert moved or way.options is not None


@pytest.mark.slow
def test_networks_are_diagnosed_group_by_group(command, monkeypatch):
    monkeypatch.setattr(run, "plan", lambda sets: CELLS[:1])
    monkeypatch.setattr(run, "DIAGNOSED", ("none",))
    kept = json.loads(command().read_text(encoding="utf-8"))["diagnoses"]["dense, none"]
    assert {len(values) for values in kept.values()} == {10}
    assert kept.keys() == set(run.QUANTITIES)


def test_only_the_sparsity_of_the_fronts_is_diagnosed(command, monkeypatch):
    def accuracy(net, X, y, most, seed):
        return run.measure(net, X, y)["accuracy"]

    none = CELLS[0][0]
    monkeypatch.setattr(run, "plan", lambda sets: [(none, run.FRONT_SPARSITY), (none, 0.5)])
    monkeypatch.setattr(run, "DIAGNOSED_PRUNED", ("none",))
    monkeypatch.setattr(run, "quantities", accuracy)
    kept = json.loads(command().read_text(encoding="utf-8"))
    expected, other = (kept["cells"][f"none; {s}"]["train"]["accuracy"] for s in (0.9, 0.5))
    assert kept["diagnoses"] == {"pruned, none": expected}
    assert expected != other


def test_results_are_not_written_over(command):
    text = command().read_text(encoding="utf-8")
    with pytest.raises(SystemExit, match="--resume"):
        command()
    assert command.path.read_text(encoding="utf-8") == text


def test_resume_does_nothing_twice(command, monkeypatch):
    text = command().read_text(encoding="utf-8")
    monkeypatch.setattr(run.Run, "fit", lambda *cell: pytest.fail(f"fitted {cell} again"))
    assert command("--resume").read_text(encoding="utf-8") == text


@pytest.mark.slow
def test_a_run_cut_short_ends_like_one_that_was_not(command, monkeypatch):
    whole = json.loads(command().read_text(encoding="utf-8"))
    command.path.unlink()
    own, done = run.Run.fit, []

    def interrupted(self, way, sparsity):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(way)
        return own(self, way, sparsity)

    with monkeypatch.context() as patch:
        patch.setattr(run.Run, "fit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            command()
    assert len(json.loads(command.path.read_text(encoding="utf-8"))["cells"]) == 4
    again = json.loads(command("--resume").read_text(encoding="utf-8"))
    assert again == whole


def test_other_settings_are_not_mixed(command):
    command()
    with pytest.raises(SystemExit, match=r"epochs: 1 there, 2 now.*--out"):
        command("--resume", "--epochs", "2")


def test_unknown_names_are_told(command):
    with pytest.raises(SystemExit, match="--tasks: mnist is not among utkface_ethnicity"):
        command("--tasks", "mnist")
    with pytest.raises(SystemExit, match="--sets: all is not among main, beyond, front"):
        command("--sets", "all")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--seeds", "0,a", r"--seeds: must be integers such as 0,1,2, got '0,a'"),
        ("--epochs", "0", r"--epochs: must be an integer of at least 1, got '0'"),
        ("--rows", "-3", r"--rows"),
    ],
)
def test_numbers_are_checked_before_anything_is_read(command, capsys, option, value, message):
    with pytest.raises(SystemExit):
        command(option, value)
    assert re.search(message, capsys.readouterr().err)


def test_existing_results_are_told_before_anything_is_trained(command, monkeypatch):
    command()
    monkeypatch.setattr(run.Run, "fit", lambda *cell: pytest.fail(f"fitted {cell}"))
    with pytest.raises(SystemExit, match=r"svhn-0\.json exists"):
        command("--seeds", "1,0")


def test_a_missing_file_is_told_with_its_folder(command, tmp_path):
    with pytest.raises(SystemExit, match=r"cifar10_all_jpegbytes\.npz in .*FAIRPRUNE_DATA"):
        command("--tasks", "cifar10")


def test_no_file_at_all_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARN_FAIRPRUNE_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match=r"No task's file is in .*FAIRPRUNE_DATA"):
        run.main([])


def test_measure_by_hand():
    class Fixed:
        def predict_proba(self, X):
            return np.array([[0.8, 0.2], [0.4, 0.6], [0.7, 0.3], [0.9, 0.1], [0.0, 1.0]])

    found = run.measure(Fixed(), None, np.array([0, 0, 0, 1, 1]))
    assert found["accuracy"] == [0.66667, 0.5]
    losses = -np.log([0.8, 0.4, 0.7, 0.1, 1.0])
    assert found["loss"] == pytest.approx([losses[:3].mean(), losses[3:].mean()], abs=1e-5)
    assert found["classes_predicted"] == 2


def test_a_sure_mistake_has_a_finite_loss():
    class Sure:
        def predict_proba(self, X):
            return np.array([[0.0, 1.0], [0.0, 1.0]])

    assert np.isfinite(run.measure(Sure(), None, np.array([0, 1]))["loss"]).all()


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_training_rows_alone_decide_the_scale(command, part):
    X, y, data = run.prepare("svhn", 0, half_size=False, most=30)
    assert (X["train"].mean(), X["train"].std()) == pytest.approx((0, 1), abs=1e-3)
    assert len(X["train"]) == sum(data["rows"]["train"]) == 30
    assert data["rows"][part] == np.bincount(y[part], minlength=10).tolist()


def test_cells_hold_the_figures_of_their_models(command, monkeypatch):
    models, own = {}, run.Run.fit

    def fit(self, way, sparsity):
        models[run.key(way, sparsity)] = self, own(self, way, sparsity)
        return models[run.key(way, sparsity)][1]

    monkeypatch.setattr(run.Run, "fit", fit)
    cells = json.loads(command().read_text(encoding="utf-8"))["cells"]
    plain = models["none; 0.9"][1]
    dense = PrunedClassifier(**plain.get_params(deep=False) | {"sparsity": 0.0})
    task = models["none; 0.9"][0]
    models["dense; 0"] = task, dense.fit(task.X["train"], task.y["train"])
    for name, (task, model) in models.items():
        for part, y in task.y.items():
            sizes, probability = np.bincount(y), model.predict_proba(task.X[part])
            overall = np.average(cells[name][part]["accuracy"], weights=sizes)
            assert overall == pytest.approx(model.score(task.X[part], y), abs=1e-4)
            loss = np.average(cells[name][part]["loss"], weights=sizes)
            assert loss == pytest.approx(log_loss(y, probability, labels=range(10)), abs=1e-3)
        constrained = isinstance(model, GroupConstrainedPruner)
        pruner = model.estimator_ if constrained else model
        assert pruner.sparsity_ == pytest.approx(0 if name[:5] == "dense" else 0.9, abs=1e-3)


def test_a_baseline_gets_its_strength(command, monkeypatch):
    asked, own = [], run.BASELINES["weights"]

    def weights(clf, X, y, strength):
        asked.append(("weights", strength, clf.sparsity))
        return own(clf, X, y, strength)

    def balance(y, strength):
        asked.append(("balance", strength))
        return np.ones(len(y))

    monkeypatch.setattr(run, "BASELINES", {"weights": weights})
    monkeypatch.setattr(run, "balance", balance)
    monkeypatch.setattr(run, "plan", lambda sets: CELLS[2:])
    command()
    assert asked == [("balance", 1.0), ("weights", 1.0, 0.9)]


@pytest.mark.parametrize(
    ("arguments", "size"),
    [([], 24), (["--full-size"], 48), (["--network", "resnet18"], 48)],
)
def test_settings_reach_the_network_and_the_record(tmp_path, monkeypatch, arguments, size):
    monkeypatch.setenv("SKLEARN_FAIRPRUNE_DATA", str(tmp_path))
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "utkface_48_gray.npz",
        images=rng.integers(0, 256, (90, 48, 48), dtype=np.uint8),
        age=np.tile(np.array([5, 12, 17, 22, 27, 35, 45, 55, 65], dtype=np.uint8), 10),
    )
    settings = ["--epochs", "4", "--rows", "30", "--lr", "0.01", "--batch-size", "16"]
    options = run.make_parser().parse_args(
        [*settings, "--out", str(tmp_path), "--memory", str(tmp_path / "kept"), *arguments]
    )
    begun = run.start("utkface_age", 7, options)
    net, about = begun.clf.estimator, begun.head
    assert about["image"] == [1, size, size]
    assert sum(about["rows"]["train"]) == 30
    assert (net.max_epochs, net.lr, net.batch_size) == (4, 0.01, 16)
    assert (about["epochs"], about["lr"], about["batch_size"]) == (4, 0.01, 16)
    assert about["seed"] == begun.clf.random_state == 7
    assert begun.clf.memory == tmp_path / "kept"


@pytest.mark.parametrize(
    ("arguments", "most"),
    [
        ([], run.MOST_TRAINING_ROWS["cifar10"]),
        (["--rows", "50"], 50),
        (["--network", "resnet18"], None),
    ],
)
def test_only_the_small_network_gets_fewer_rows_unasked(
    tmp_path, monkeypatch, arguments, most
):
    asked = []

    def prepare(name, seed, *, half_size, most):
        asked.append(most)
        return {}, {}, {"image": [3, 8, 8], "groups": ["a", "b"]}

    monkeypatch.setattr(run, "prepare", prepare)
    options = run.make_parser().parse_args(["--out", str(tmp_path), *arguments])
    run.start("cifar10", 0, options)
    assert asked == [most]


def test_a_constraint_on_weights_of_strength_0_is_the_constraint_alone(tmp_path):
    y = np.repeat([0, 1], [50, 10])
    X = np.random.default_rng(0).normal(size=(60, 1, 8, 8)) + y[:, None, None, None]
    X = X.astype(np.float32)
    net = run.make_net("small", 1, 2, epochs=1, batch_size=20)
    clf = PrunedClassifier(net, finetune_epochs=1, random_state=0)
    one = run.Run(tmp_path / "record.json", {}, {"train": X}, {"train": y}, clf)

    def probability(*baseline):
        return one.fit(Way("", "", {"dual_lr": 0.1}, *baseline), 0.9).predict_proba(X)

    alone = probability()
    assert np.allclose(probability("weights", 0.0), alone, atol=1e-4)
    assert not np.allclose(probability("weights", 1.0), alone, atol=1e-2)
