"""The four tasks of the paper's experiments: images whose label is also the group.

UTKFace by ethnicity (5) and by age (9 bins), CIFAR-10 and SVHN, read from the folder in
the environment variable SKLEARN_FAIRPRUNE_DATA (../shared/data without it); none of them is
part of the package. Before anything is split, copies of an image are dropped: all of them
where their labels disagree, all but one where they agree.
"""

import io
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, train_test_split

ROOT = Path(__file__).parents[2]
AGE_EDGES = (10, 15, 20, 25, 30, 40, 50, 60)
AGE_NAMES = ("0-9", "10-14", "15-19", "20-24", "25-29", "30-39", "40-49", "50-59", "60+")
FILES = {
    "utkface_ethnicity": "utkface_48_gray.npz",
    "utkface_age": "utkface_48_gray.npz",
    "cifar10": "cifar10_all_jpegbytes.npz",
    "svhn": "svhn_32_rgb_subset.npz",
}
TITLES = {
    "utkface_ethnicity": "UTKFace, ethnicity",
    "utkface_age": "UTKFace, age",
    "cifar10": "CIFAR-10",
    "svhn": "SVHN (part)",
}


@dataclass(frozen=True)
class Task:
    """Images, labels and what a split must respect.

    Parameters
    ----------
    images : uint8 ndarray of shape (n, channels, height, width)
    labels : int64 ndarray of shape (n,)
        The class of each image, which is its group.
    names : tuple of str
        Of the classes.
    is_test : bool ndarray of shape (n,), default=None
        The data's own test rows, if it has any.
    together : ndarray of shape (n,), default=None
        Rows of equal value stay on one side of every split.
    """

    images: np.ndarray
    labels: np.ndarray
    names: tuple
    is_test: np.ndarray | None = None
    together: np.ndarray | None = None


def folder():
    """Where the data files are looked for."""
    default = ROOT.parent / "shared" / "data"
    return Path(os.environ.get("SKLEARN_FAIRPRUNE_DATA", default))


def available():
    """Names of the tasks whose file can be read here."""
    return [name for name, file in FILES.items() if (folder() / file).is_file()]


def without_copies(images, labels):
    """Row numbers to keep: no image twice, none whose copies have another label."""
    flat = np.ascontiguousarray(images).reshape(len(images), -1)
    whole = flat.view(np.dtype((np.void, flat.shape[1])))[:, 0]
    _, first, code = np.unique(whole, return_index=True, return_inverse=True)
    disagrees = np.zeros(len(first), dtype=bool)
    np.logical_or.at(disagrees, code, labels != labels[first[code]])
    return np.sort(first[~disagrees])


def half(images):
    """Means of 2 x 2 pixels of images of shape (n, channels, height, width)."""
    n, channels, height, width = images.shape
    blocks = images.reshape(n, channels, height // 2, 2, width // 2, 2)
    return np.rint(blocks.mean(axis=(3, 5), dtype=np.float32)).astype(np.uint8)


def utkface(label):
    """Faces, 48 x 48 gray, labelled by "ethnicity" or by "age"."""
    with np.load(folder() / FILES["utkface_ethnicity"]) as file:
        images = file["images"][:, None]
        if label == "age":
            labels, names = np.digitize(file["age"], AGE_EDGES), AGE_NAMES
        else:
            labels, names = file["ethnicity"], tuple(file["ethnicity_names"].tolist())
    kept = without_copies(images, labels)
    return Task(images[kept], labels[kept].astype(np.int64), names)


def cifar10():
    """Colour photographs, 32 x 32, ten classes of equal size."""
    from PIL import Image

    with np.load(folder() / FILES["cifar10"]) as file:
        jpeg, offsets, labels = file["jpeg"].tobytes(), file["offsets"], file["label"]
        is_test, names = file["is_test"], tuple(file["class_names"].tolist())
    images = np.empty((len(labels), 3, 32, 32), dtype=np.uint8)
    for row, (begin, end) in enumerate(pairwise(offsets)):
        images[row] = np.asarray(Image.open(io.BytesIO(jpeg[begin:end]))).transpose(2, 0, 1)
    kept = without_copies(images, labels)
    return Task(images[kept], labels[kept].astype(np.int64), names, is_test[kept])


def svhn():
    """House numbers, 32 x 32 in colour; several digits come from one photograph."""
    with np.load(folder() / FILES["svhn"]) as file:
        images = file["images"].transpose(0, 3, 1, 2)
        labels, is_test, source = file["label"], file["is_test"], file["image_id"]
    kept = without_copies(images, labels)
    names = tuple(str(k) for k in range(10))
    labels = labels[kept].astype(np.int64)
    return Task(np.ascontiguousarray(images[kept]), labels, names, is_test[kept], source[kept])


TASKS = {
    "utkface_ethnicity": lambda: utkface("ethnicity"),
    "utkface_age": lambda: utkface("age"),
    "cifar10": cifar10,
    "svhn": svhn,
}


def divide(task, rows, share, seed):
    """Split some rows in two: by photograph if there are any, else by class."""
    if task.together is None:
        labels = task.labels[rows]
        return train_test_split(rows, test_size=share, stratify=labels, random_state=seed)
    splitter = GroupShuffleSplit(1, test_size=share, random_state=seed)
    first, second = next(splitter.split(rows, groups=task.together[rows]))
    return rows[first], rows[second]


def split(task, seed, share=0.2):
    """Row numbers of the three parts, which the seed alone decides.

    The data's own test rows are the test part; without them it is `share` of all rows. The
    validation part is as large a part of all rows as `share`, of those that are left.

    Returns
    -------
    parts : dict of str to ndarray
        "train", "validation" and "test".
    """
    rows = np.arange(len(task.labels))
    if task.is_test is not None:
        rest, test = rows[~task.is_test], rows[task.is_test]
    else:
        rest, test = divide(task, rows, share, seed)
    train, validation = divide(task, rest, share / (1 - share), seed)
    return {"train": train, "validation": validation, "test": test}


def thinned(task, rows, most, seed):
    """At most `most` of some rows, drawn at random; all of them for None."""
    if most is None or len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def scaled(images, mean, scale):
    """Images as float32 with mean 0 and scale 1, by the training rows' own figures."""
    return (images.astype(np.float32) - np.float32(mean)) / np.float32(scale)
