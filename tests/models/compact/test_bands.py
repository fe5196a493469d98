"""Sound on the grid of frames, against sums over finely repeated columns."""

import numpy as np
import pytest

from rac_jax.models.compact import bands
from rac_jax.ops import sound_format


def test_positions_are_those_of_the_spectrogram():
    middle = (3 * sound_format.HOP + sound_format.WINDOW / 2) / sound_format.RATE
    assert bands.column_positions(middle) == pytest.approx(3.5)


def test_sub_frames_divide_frames_of_any_length():
    edges = bands.sub_frame_edges(np.array([0.0, 1.0, 3.0]))
    np.testing.assert_allclose(edges, [0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0])


def test_averages_by_brute_force():
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(20, 3))
    edges = np.round(np.sort(rng.uniform(0, 20, 9)), 2)
    got = bands.average_columns(columns, edges)
    fine = np.repeat(columns, 100, axis=0)  # a hundredth of a column each
    for row, a, b in zip(got, edges, edges[1:], strict=False):
        want = fine[round(100 * a) : round(100 * b)].mean(axis=0)
        np.testing.assert_allclose(row, want, atol=1e-5)


def test_no_sound_is_the_mean_of_the_rest():
    columns = np.arange(8.0).reshape(4, 2)
    got = bands.average_columns(columns, np.array([-2.0, -1.0, 2.0, 4.0, 9.0]))
    np.testing.assert_allclose(got[1], [1, 2])
    np.testing.assert_allclose(got[2], [5, 6])
    np.testing.assert_allclose(got[[0, 3]], [[3, 4], [3, 4]])


@pytest.mark.parametrize("columns", [0, 1])
def test_nothing_at_all(columns):
    got = bands.average_columns(np.ones((columns, 2)), np.array([50.0, 51.0, 52.0]))
    np.testing.assert_array_equal(got, np.zeros((2, 2)))
