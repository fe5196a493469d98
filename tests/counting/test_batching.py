"""Batching: fixed sizes, no clip twice, rows in the order they are asked for."""

import numpy as np
import pytest

from rac_jax.counting.batching import BatchEncoder, map_rows, plan_batches


@pytest.mark.parametrize(
    "items,sizes,plan",
    [
        (0, (4, 1), []),
        (1, (4, 1), [1]),
        (10, (4, 1), [4, 4, 1, 1]),
        (13, (32, 8, 2), [8, 2, 2, 2]),
        (3, (8, 2), [2, 2]),
        (70, (32, 8, 2), [32, 32, 2, 2, 2]),
    ],
)
def test_plan(items, sizes, plan):
    assert plan_batches(items, sizes) == plan
    padding = sum(plan) - items
    assert 0 <= padding < sizes[-1]


class Squares:
    """A stand-in for an encoder that remembers the batch sizes it was given."""

    def __init__(self):
        self.batches = []

    def __call__(self, values):
        self.batches.append(len(values))
        return {"square": values**2, "pair": np.stack([values, -values], axis=1)}


def one_array(items):
    return (np.array(items),)


@pytest.mark.parametrize("count", [1, 4, 9, 30])
def test_every_item_once_and_in_order(count):
    squares = Squares()
    encoder = BatchEncoder("test", squares, one_array, (4, 1))
    for value in range(count):
        encoder.add(value, float(value))
        encoder.add(value, 1e9)  # known by its key, so never computed
    keys = list(range(count))[::-1]
    rows = encoder.rows(keys)
    np.testing.assert_array_equal(rows["square"], np.array(keys, float) ** 2)
    np.testing.assert_array_equal(rows["pair"][:, 1], -np.array(keys, float))
    assert sum(squares.batches) == count == len(encoder)
    assert encoder.calls == len(squares.batches) == count // 4 + count % 4
    assert encoder.shapes == set(squares.batches) <= {4, 1}
    assert 0 in encoder
    assert count not in encoder


def test_rows_can_be_asked_for_while_items_still_come():
    encoder = BatchEncoder("test", Squares(), one_array, (8, 2))
    encoder.add("a", 3.0)
    assert encoder.rows(["a"])["square"] == [9.0]
    encoder.add("b", 4.0)
    np.testing.assert_array_equal(
        encoder.rows(["b", "a", "b"])["square"], [16.0, 9.0, 16.0]
    )


@pytest.mark.parametrize("before", [1, 4, 6, 20])
def test_a_copy_goes_on_by_itself(before):
    squares = Squares()
    encoder = BatchEncoder("test", squares, one_array, (4, 1))
    for value in range(before):
        encoder.add(value, float(value))
    twin = encoder.copy()
    calls = encoder.calls
    for value in range(before, before + 5):
        twin.add(value, -float(value))
    twin.rows(list(range(before + 5)))
    assert len(encoder) == before
    assert before not in encoder
    assert encoder.calls == calls
    # The one that was copied goes on in another direction, and both are right.
    encoder.add(before, 100.0)
    keys = list(range(before + 1))
    expected = np.array([*range(before), 100.0]) ** 2
    np.testing.assert_array_equal(encoder.rows(keys)["square"], expected)
    again = twin.rows(list(range(before + 5)))["square"]
    np.testing.assert_array_equal(again, np.arange(before + 5.0) ** 2)


@pytest.mark.parametrize("count", [1, 5, 64, 65])
def test_map_rows(count):
    sizes = []

    def function(a, b):
        sizes.append(len(a))
        return a + b["x"]

    a = np.arange(count, dtype=float)
    np.testing.assert_array_equal(map_rows(function, 64, a, {"x": 2 * a}), 3 * a)
    assert set(sizes) == {64}
