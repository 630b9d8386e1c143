"""A run keeps every cell, and goes on where it was cut short."""

import json

import numpy as np
import pytest
import run
from ways import Way

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


def test_networks_are_diagnosed_group_by_group(command, monkeypatch):
    monkeypatch.setattr(run, "plan", lambda sets: CELLS[:1])
    monkeypatch.setattr(run, "DIAGNOSED", ("none",))
    kept = json.loads(command().read_text(encoding="utf-8"))["diagnoses"]["dense, none"]
    assert {len(values) for values in kept.values()} == {10}
    assert kept.keys() == set(run.QUANTITIES)


def test_results_are_not_written_over(command):
    text = command().read_text(encoding="utf-8")
    with pytest.raises(SystemExit, match="--resume"):
        command()
    assert command.path.read_text(encoding="utf-8") == text


def test_resume_does_nothing_twice(command, monkeypatch):
    text = command().read_text(encoding="utf-8")
    monkeypatch.setattr(run.Run, "fit", lambda *cell: pytest.fail(f"fitted {cell} again"))
    assert command("--resume").read_text(encoding="utf-8") == text


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


def test_a_missing_file_is_told_with_its_folder(command, tmp_path):
    with pytest.raises(SystemExit, match=r"cifar10_all_jpegbytes\.npz in .*FAIRPRUNE_DATA"):
        command("--tasks", "cifar10")


def test_measure_by_hand():
    class Fixed:
        def predict_proba(self, X):
            return np.array([[0.8, 0.2], [0.4, 0.6], [0.5, 0.5], [0.0, 1.0]])

    found = run.measure(Fixed(), None, np.array([0, 0, 1, 1]))
    assert found["accuracy"] == [0.5, 0.5]
    losses = -np.log([0.8, 0.4, 0.5, 1.0])
    assert found["loss"] == pytest.approx([losses[:2].mean(), losses[2:].mean()], abs=1e-5)
    assert found["classes_predicted"] == 2


def test_a_sure_mistake_has_a_finite_loss():
    class Sure:
        def predict_proba(self, X):
            return np.array([[0.0, 1.0], [0.0, 1.0]])

    assert np.isfinite(run.measure(Sure(), None, np.array([0, 1]))["loss"]).all()
