"""Images of the paper's tasks: read right, no copies, nothing on two sides of a split."""

import io

import numpy as np
import pytest
import tasks
from hypothesis import given
from hypothesis import strategies as st
from tasks import TASKS, Task, available, half, scaled, split, thinned, without_copies


@pytest.fixture
def files(tmp_path, monkeypatch):
    """An empty folder in the place of the data."""
    monkeypatch.setenv("SKLEARN_FAIRPRUNE_DATA", str(tmp_path))
    return tmp_path


def pictures(n, shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def save_faces(folder, ages=(3, 9, 10, 59, 60)):
    n = len(ages)
    np.savez(
        folder / "utkface_48_gray.npz",
        images=pictures(n, (48, 48)),
        age=np.array(ages, dtype=np.uint8),
        ethnicity=(np.arange(n) % 5).astype(np.uint8),
        ethnicity_names=np.array(["White", "Black", "Asian", "Indian", "Others"]),
    )


def numbers(n=200, seed=0):
    """A task like SVHN: own test rows, and photographs of two digits."""
    rng = np.random.default_rng(seed)
    together = np.arange(n) // 2
    names = tuple("0123456789")
    labels = rng.integers(0, 10, n)
    return Task(pictures(n, (3, 4, 4)), labels, names, together < n // 8, together)


def test_copies_that_agree_are_kept_once_and_others_not_at_all():
    images = np.array([1, 2, 1, 3, 2, 1, 4], dtype=np.uint8).reshape(7, 1, 1, 1)
    labels = np.array([0, 1, 0, 2, 0, 0, 2])
    assert without_copies(images, labels).tolist() == [0, 3, 6]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1)), min_size=1, max_size=20))
def test_what_is_left_has_one_label_an_image(rows):
    values, labels = np.array(rows).T
    kept = without_copies(values.astype(np.uint8).reshape(-1, 1, 1, 1), labels)
    sure = {v for v in values if len(set(labels[values == v])) == 1}
    assert sorted(values[kept]) == sorted(sure)
    assert kept.tolist() == sorted(kept)


@pytest.mark.parametrize("own_test", [True, False])
def test_parts_share_no_row_and_leave_none_out(own_test):
    task = numbers()
    if not own_test:
        task = Task(task.images, np.arange(200) % 10, task.names)
    parts = split(task, seed=3)
    rows = np.concatenate(list(parts.values()))
    assert sorted(rows) == list(range(200))
    assert list(parts) == ["train", "validation", "test"]
    assert len(parts["validation"]) == pytest.approx(40, abs=6)


def test_own_test_rows_are_the_test_part_and_photographs_stay_whole():
    task = numbers()
    for seed in range(5):
        parts = split(task, seed)
        assert parts["test"].tolist() == np.flatnonzero(task.is_test).tolist()
        sources = [set(task.together[rows]) for rows in parts.values()]
        assert not (
            sources[0] & sources[1] | sources[0] & sources[2] | sources[1] & sources[2]
        )


def test_classes_have_their_shares_in_every_part():
    labels = np.repeat([0, 1, 2], [120, 60, 20])
    for rows in split(Task(pictures(200, (1, 2, 2)), labels, ("a", "b", "c")), 0).values():
        assert np.bincount(labels[rows]) / len(rows) == pytest.approx(
            [0.6, 0.3, 0.1], abs=0.01
        )


@pytest.mark.parametrize("own_test", [True, False])
def test_the_seed_decides_the_split(own_test):
    faces = Task(pictures(100, (1, 2, 2)), np.arange(100) % 4, tuple("abcd"))
    task = numbers() if own_test else faces
    first, again, other = (split(task, seed) for seed in (0, 0, 1))
    for part in ("train", "validation") if own_test else first:
        assert first[part].tolist() == again[part].tolist()
        assert set(first[part]) != set(other[part])


def test_the_seed_decides_the_validation_rows_of_classes_too():
    own = np.arange(100) < 20
    task = Task(pictures(100, (1, 2, 2)), np.arange(100) % 4, tuple("abcd"), own)
    first, other = (set(split(task, seed)["validation"]) for seed in (0, 1))
    assert first != other


def test_half_is_the_mean_of_four_pixels():
    images = pictures(2, (3, 6, 4))
    small = half(images)
    assert small.shape == (2, 3, 3, 2)
    assert small.dtype == np.uint8
    assert abs(small[1, 2, 0, 1] - images[1, 2, :2, 2:].mean()) <= 0.5


def test_thinned_draws_without_repetition():
    task, rows = numbers(), np.arange(50, 150)
    drawn = thinned(task, rows, 20, seed=0)
    assert len(set(drawn)) == 20
    assert set(drawn) <= set(rows)
    assert thinned(task, rows, 20, seed=0).tolist() == drawn.tolist()
    assert set(thinned(task, rows, 20, seed=1)) != set(drawn)
    assert thinned(task, rows, None, 0) is rows
    assert thinned(task, rows, 100, 0) is rows


def test_scaled_by_its_own_figures_has_mean_0_and_scale_1():
    images = pictures(50, (1, 4, 4))
    X = scaled(images, images.mean(), images.std())
    assert X.dtype == np.float32
    assert (X.mean(), X.std()) == pytest.approx((0, 1), abs=1e-4)


def test_only_tasks_whose_file_is_there_are_available(files):
    assert available() == []
    save_faces(files)
    assert available() == ["utkface_ethnicity", "utkface_age"]


def test_ages_fall_into_nine_bins(files):
    save_faces(files, ages=(3, 9, 10, 14, 15, 29, 30, 59, 60, 116))
    task = TASKS["utkface_age"]()
    bins = [task.names[k] for k in task.labels]
    assert bins == [
        *["0-9", "0-9", "10-14", "10-14", "15-19"],
        *["25-29", "30-39", "50-59", "60+", "60+"],
    ]
    assert task.images.shape == (10, 1, 48, 48)


def test_faces_by_ethnicity(files):
    save_faces(files)
    task = TASKS["utkface_ethnicity"]()
    assert task.names == ("White", "Black", "Asian", "Indian", "Others")
    assert task.labels.tolist() == [0, 1, 2, 3, 4]


def test_copies_go_before_anything_is_split(files):
    save_faces(files, ages=(3, 9, 10, 59, 60))
    path = files / "utkface_48_gray.npz"
    with np.load(path) as kept:
        data = dict(kept)
    data["images"][1] = data["images"][0]  # 3 and 9 years are one bin, two ethnicities
    np.savez(path, **data)
    assert TASKS["utkface_age"]().labels.tolist() == [0, 1, 7, 8]
    assert TASKS["utkface_ethnicity"]().labels.tolist() == [2, 3, 4]


def save_numbers(folder, images):
    np.savez(
        folder / "svhn_32_rgb_subset.npz",
        images=images,
        label=np.array([0, 0, 2, 3, 4, 5], dtype=np.uint8),
        is_test=np.arange(6) > 3,
        image_id=np.array([0, 0, 1, 1, 2, 2], dtype=np.int32),
    )


def test_house_numbers_put_the_channels_first(files):
    images = pictures(6, (32, 32, 3))
    save_numbers(files, images)
    task = TASKS["svhn"]()
    assert (task.images[4, 2] == images[4, :, :, 2]).all()
    assert task.is_test.tolist() == [False] * 4 + [True] * 2
    assert task.together.tolist() == [0, 0, 1, 1, 2, 2]


def test_without_copies_house_numbers_keep_their_side_and_photograph(files):
    images = pictures(6, (32, 32, 3))
    images[1] = images[0]
    save_numbers(files, images)
    task = TASKS["svhn"]()
    assert task.labels.tolist() == [0, 2, 3, 4, 5]
    assert task.is_test.tolist() == [False] * 3 + [True] * 2
    assert task.together.tolist() == [0, 1, 1, 2, 2]


def jpeg(image_module, colour):
    """Bytes of a picture with a white strip at its left edge."""
    picture, buffer = image_module.new("RGB", (32, 32), colour), io.BytesIO()
    picture.paste((255, 255, 255), (0, 0, 8, 32))
    picture.save(buffer, "jpeg")
    return buffer.getvalue()


def save_photographs(folder, colours, labels, is_test):
    parts = [jpeg(pytest.importorskip("PIL.Image"), colour) for colour in colours]
    np.savez(
        folder / "cifar10_all_jpegbytes.npz",
        jpeg=np.frombuffer(b"".join(parts), dtype=np.uint8),
        offsets=np.cumsum([0, *map(len, parts)]),
        label=np.array(labels, dtype=np.uint8),
        is_test=np.array(is_test),
        class_names=np.array([f"class {k}" for k in range(10)]),
    )


def test_photographs_are_read_from_their_bytes(files):
    colours = ((250, 0, 0), (0, 250, 0), (0, 0, 250))
    save_photographs(files, colours, [2, 0, 1], [False, False, True])
    task = TASKS["cifar10"]()
    assert task.images.shape == (3, 3, 32, 32)
    assert (task.images[:, :, :, 0] > 200).all()
    assert task.images[:, :, :, 16:].min(axis=1).max() < 50
    assert task.images.mean(axis=(2, 3)).argmax(axis=1).tolist() == [0, 1, 2]
    assert task.labels.tolist() == [2, 0, 1]
    assert task.is_test.tolist() == [False, False, True]


def test_without_copies_photographs_keep_their_side(files):
    colours = ((250, 0, 0), (250, 0, 0), (0, 250, 0), (0, 0, 250))
    save_photographs(files, colours, [2, 2, 0, 1], [False, False, False, True])
    task = TASKS["cifar10"]()
    assert task.labels.tolist() == [2, 0, 1]
    assert task.is_test.tolist() == [False, False, True]


def test_every_task_has_a_file_and_a_title():
    assert set(TASKS) == set(tasks.FILES) == set(tasks.TITLES)
