"""Group codes: laws over containers, order, types; what cannot be a group."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from sklearn_fairprune.estimators.sensitive import (
    encode_groups,
    merge_names,
    sensitive_columns,
)

SEX = ["f", "m", "m", "f", "m", "f"]
AGE = [3, 20, 3, 20, 20, 20]
PAIRS = [("f", 3), ("f", 20), ("m", 3), ("m", 20)]
PAIR_CODES = [0, 3, 2, 1, 3, 1]


def day(n):
    return datetime.date(2024, 1, n)


ONE_COLUMN = {
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "object array": lambda v: np.array(v, dtype=object),
    "column": lambda v: np.array(v)[:, None],
    "series": lambda v: pd.Series(v, index=[9] * len(v)),
    "index": pd.Index,
    "categorical": pd.Categorical,
    "categorical series": lambda v: pd.Series(v).astype("category"),
    "frame": lambda v: pd.DataFrame({"g": v}),
    "polars": pl.Series,
    "polars frame": lambda v: pl.DataFrame({"g": v}),
    "dict": lambda v: {"g": v},
    "dict of series": lambda v: {"g": pd.Series(v, index=[9] * len(v))},
}
TWO_COLUMNS = {
    "list of tuples": lambda a, b: list(zip(a, b, strict=True)),
    "list of lists": lambda a, b: [list(p) for p in zip(a, b, strict=True)],
    "object array": lambda a, b: np.array(list(zip(a, b, strict=True)), dtype=object),
    "frame": lambda a, b: pd.DataFrame({"a": a, "b": b}, index=[9] * len(a)),
    "frame, numbered": lambda a, b: pd.DataFrame({0: a, 1: b}),
    "frame, no names": lambda a, b: pd.DataFrame({"": a, "b": b}),
    "frame, levels": lambda a, b: pd.DataFrame({("x", 1): a, ("x", 2): b}),
    "frame, 0 and '0'": lambda a, b: pd.DataFrame({0: a, "0": b}),
    "frame, confusing": lambda a, b: pd.DataFrame({"": a, "sensitive_feature_0": b}),
    "frame, twice": lambda a, b: pd.concat(
        [pd.Series(a), pd.Series(b)], axis=1, keys=["g", "g"]
    ),
    "categories": lambda a, b: pd.DataFrame({"a": pd.Categorical(a), "b": b}),
    "multi-index": lambda a, b: pd.MultiIndex.from_arrays([a, b]),
    "polars": lambda a, b: pl.DataFrame({"a": a, "b": b}),
    "dict": lambda a, b: {"a": a, "b": b},
    "dict of anything": lambda a, b: {"a": pd.Series(a), 7: pl.Series(b)},
}
VALUES = {
    "strings": ["b", "a", "a,b", "b"],
    "ints": [10, 9, -1, 9],
    "large ints": [2**62 + 1, 2**62, 5, 2**62],
    "numpy ints": list(np.array([2, 1, 3, 1])),
    "floats": [0.5, -1.0, 2.0, -1.0],
    "bools": [True, False, False, True],
    "mixed": ["a", 1, 2.5, 1],
    "dates": [day(2), day(1), day(3), day(1)],
    "timestamps": [pd.Timestamp(day(n)) for n in (2, 1, 3, 1)],
    "intervals": [pd.Interval(n, n + 1) for n in (2, 1, 3, 1)],
    "decimals": [Decimal("1.5"), Decimal("0.5"), Decimal(3), Decimal("0.5")],
    "unsigned and negative": [2**63, -1, 0, -1],
}


def meaning(groups):
    """Name of the group of each row."""
    return [groups.names[c] for c in groups.codes]


# ---- laws --------------------------------------------------------------------------


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_names_are_the_values_as_given(values):
    groups = encode_groups(values, 4)
    assert meaning(groups) == values
    assert groups.names.ndim == 1
    assert len(set(groups.names)) == len(groups.names)
    assert groups.codes.dtype == np.int64
    for given, kept in zip(values, meaning(groups), strict=True):
        assert isinstance(kept, str) == isinstance(given, str)
        assert isinstance(kept, (bool, np.bool_)) == isinstance(given, bool)


@pytest.mark.parametrize("values", [*VALUES.values(), [1, True, "1", 1.0]], ids=str)
@pytest.mark.parametrize("order", [[3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]], ids=str)
def test_permuting_rows_permutes_codes(values, order):
    groups, other = encode_groups(values, 4), encode_groups([values[k] for k in order], 4)
    np.testing.assert_array_equal(other.codes, groups.codes[order])
    assert [(type(n), n) for n in other.names] == [(type(n), n) for n in groups.names]


@pytest.mark.parametrize("order", [[5, 4, 3, 2, 1, 0], [2, 0, 5, 1, 4, 3]], ids=str)
def test_permuting_rows_permutes_codes_of_two_columns(order):
    frame = pd.DataFrame({"sex": SEX, "age": AGE})
    groups, other = encode_groups(frame, 6), encode_groups(frame.iloc[order], 6)
    np.testing.assert_array_equal(other.codes, groups.codes[order])
    assert other.names.tolist() == groups.names.tolist()


@pytest.mark.parametrize("container", ONE_COLUMN)
@pytest.mark.parametrize("values", [["f", "m", "f"], [2, 1, 2], [True, False, True]], ids=str)
def test_containers_of_one_column(container, values):
    groups = encode_groups(ONE_COLUMN[container](values), len(values))
    expected = np.unique(values, return_inverse=True)
    np.testing.assert_array_equal(groups.names, expected[0])
    np.testing.assert_array_equal(groups.codes, expected[1])
    assert groups.names.dtype.kind == expected[0].dtype.kind


@pytest.mark.parametrize("container", TWO_COLUMNS)
def test_containers_of_two_columns(container):
    data = TWO_COLUMNS[container](SEX, AGE)
    if container == "frame, twice":
        with pytest.raises(ValueError, match=r"sensitive_features.*'g'"):
            encode_groups(data, 6)
        return
    groups = encode_groups(data, 6)
    assert groups.names.tolist() == PAIRS
    assert groups.codes.tolist() == PAIR_CODES
    assert len(sensitive_columns(data)) == 2


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([2, 1, 2]),
        torch.tensor([2.0, 1.0, 2.0], requires_grad=True),
        torch.tensor([[2], [1], [2]]),
        torch.tensor([True, False, True]),
        np.array([2, 1, 2], dtype=np.uint8),
        np.array(["2020-02", "2020-01", "2020-02"], dtype="datetime64[M]"),
    ],
    ids=str,
)
def test_tensors_and_arrays(tensor):
    assert encode_groups(tensor, 3).codes.tolist() == [1, 0, 1]


def test_only_groups_that_occur_have_a_name():
    groups = encode_groups(pd.Categorical(["a", "b"], ["c", "b", "a"]), 2)
    assert groups.names.tolist() == ["a", "b"]
    pairs = encode_groups([("a", 1), ("b", 2)], 2)
    assert pairs.names.tolist() == [("a", 1), ("b", 2)]


def test_commas_and_spaces_merge_nothing():
    values = [("a,b", "c"), ("a", "b,c"), ("a", "c"), ("a ", "c"), ("", "a,c")]
    groups = encode_groups(values, 5)
    assert sorted(groups.codes) == [0, 1, 2, 3, 4]
    assert meaning(groups) == values


@pytest.mark.parametrize("wrap", [pd.Series, lambda v: {"g": v}])
def test_tuples_in_one_column_stay_one_name_each(wrap):
    values = [("f", "old"), ("m", "old"), ("f", "old")]
    groups = encode_groups(wrap(values), 3)
    assert groups.names.shape == (2,)
    assert groups.codes.tolist() == [0, 1, 0]


def test_names_do_not_matter():
    a = encode_groups({"sex": SEX, "age": AGE}, 6)
    b = encode_groups({"anything": SEX, 3: AGE}, 6)
    assert a.names.tolist() == b.names.tolist()
    np.testing.assert_array_equal(a.codes, b.codes)


@pytest.mark.parametrize("n", [1, 2, 50, 300])
def test_many_groups(n):
    values = np.random.default_rng(0).permutation(np.repeat(np.arange(n), 2))
    groups = encode_groups(values, 2 * n)
    np.testing.assert_array_equal(groups.names, np.arange(n))
    np.testing.assert_array_equal(groups.codes, values)


def test_two_columns_with_many_values_each():
    a, b = np.divmod(np.random.default_rng(0).permutation(400), 20)
    groups = encode_groups(np.stack([a, b], axis=1), 400)
    assert len(groups.names) == 400
    np.testing.assert_array_equal(groups.codes, 20 * a + b)


@pytest.mark.parametrize(
    ("names", "more", "union"),
    [
        (["a", "c"], ["b", "c"], ["a", "b", "c"]),
        ([1, 2], [0], [0, 1, 2]),
        ([("a", 1), ("b", 0)], [("a", 0), ("a", 1)], [("a", 0), ("a", 1), ("b", 0)]),
        (["a"], [1], ["a", 1]),
    ],
    ids=str,
)
def test_union_of_names(names, more, union):
    columns = [encode_groups(v, len(v)).names for v in (names, more)]
    merged = merge_names(*columns)
    assert merged.ndim == 1
    assert set(merged.tolist()) == set(union)
    assert merged.tolist() == merge_names(*columns[::-1]).tolist()


# ---- nothing to encode -------------------------------------------------------------

EMPTY = {
    "list": [],
    "array": np.zeros(0),
    "two columns": np.zeros((0, 2)),
    "frame": pd.DataFrame({"a": [], "b": []}),
    "polars": pl.Series([]),
    "dict": {"a": [], "b": []},
}


@pytest.mark.parametrize("values", EMPTY.values(), ids=EMPTY)
def test_no_rows(values):
    groups = encode_groups(values, 0)
    assert groups.codes.shape == (0,)
    assert groups.codes.dtype == np.int64
    with pytest.raises(ValueError, match=r"one entry per row.* 0 .*5 rows"):
        encode_groups(values, 5)


@pytest.mark.parametrize("values", [np.zeros((3, 0)), pd.DataFrame(index=range(3)), {}])
def test_no_columns(values):
    with pytest.raises(ValueError, match="sensitive_features has no columns"):
        encode_groups(values, 3)


# ---- what cannot be a group --------------------------------------------------------

MISSING = {
    "None": [None, "a", None],
    "nan": [np.nan, 1.0, np.nan],
    "nan among strings": ["a", float("nan"), float("nan")],
    "NA": [pd.NA, "a", pd.NA],
    "NaT": [pd.NaT, pd.Timestamp(0), pd.NaT],
    "datetime64": np.array(["NaT", "2020", "NaT"], dtype="datetime64[D]"),
    "float array": np.array([np.nan, 1, np.nan]),
    "series": pd.Series([None, "a", None]),
    "Int64": pd.Series([None, 1, None], dtype="Int64"),
    "categorical": pd.Categorical([None, "a", None]),
    "polars": pl.Series([None, "a", None]),
    "polars nan": pl.Series([float("nan"), 1.0, float("nan")]),
    "torch": torch.tensor([torch.nan, 1.0, torch.nan]),
    "second column": [("a", None), ("a", 1), ("b", None)],
}


@pytest.mark.parametrize("values", MISSING.values(), ids=MISSING)
def test_missing_values_are_counted(values):
    with pytest.raises(ValueError, match=r"sensitive_features.*missing in 2 of 3 rows"):
        encode_groups(values, 3)


def test_message_names_the_column():
    frame = pd.DataFrame({"sex": ["f", "m", "f"], "age": [1, None, 3]})
    with pytest.raises(ValueError, match="'age' is missing in 1 of 3 rows"):
        encode_groups(frame, 3)


@pytest.mark.parametrize("container", ONE_COLUMN)
def test_wrong_length(container):
    with pytest.raises(ValueError, match=r"sensitive_features.* has 3 and X has 10 rows"):
        encode_groups(ONE_COLUMN[container](["f", "m", "f"]), 10)


@pytest.mark.parametrize(
    "values",
    ["sex", b"sex", 3, np.array("f"), np.zeros((3, 1, 1)), pl.LazyFrame({"g": [1, 2, 3]})],
    ids=lambda v: type(v).__name__,
)
def test_what_is_no_column(values):
    with pytest.raises((ValueError, TypeError), match="sensitive_features must"):
        encode_groups(values, 3)


@pytest.mark.parametrize("values", [[{}, {}, {}], {"g": [[1], [1], [2]]}], ids=str)
def test_values_that_cannot_name_a_group(values):
    with pytest.raises((ValueError, TypeError), match="sensitive_features"):
        encode_groups(values, 3)
