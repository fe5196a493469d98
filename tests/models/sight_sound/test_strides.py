"""Which strides fit a video, against hand-computed values."""

import numpy as np
import pytest

from rac_jax.models.sight_sound.strides import (
    positive_stride,
    stride_deviation,
    stride_roles,
)


@pytest.mark.parametrize(
    ("period", "positive", "stride"),
    [
        (8.0, "two_repetitions", 1),
        (32.0, "two_repetitions", 1),
        (33.0, "two_repetitions", 2),
        (100.0, "two_repetitions", 4),
        (1000.0, "two_repetitions", 8),
        (np.inf, "two_repetitions", 8),
        (29.0, "released", 1),
        (30.0, "released", 2),
        (62.0, "released", 3),
        (np.inf, "released", 8),
    ],
)
def test_the_positive_stride_is_the_smallest_that_covers_two(period, positive, stride):
    assert positive_stride(period, 8, positive) == stride


def test_the_known_are_listed():
    with pytest.raises(ValueError, match="positive: 'best' is not one of"):
        positive_stride(3.0, 8, "best")
    with pytest.raises(ValueError, match="positive: 'best' is not one of"):
        stride_roles(np.ones((1, 2)), [3.0], (1, 2), 0.3, "best")


def test_stride_deviation_is_equation_9():
    deviation = stride_deviation(np.array([6.0, 9.0]), np.array([8.0, 8.0]))
    np.testing.assert_allclose(deviation, [0.25, -0.125])
    with pytest.raises(ValueError, match="shapes differ"):
        stride_deviation(np.ones(3), np.ones((3, 1)))


def test_roles_follow_section_3_3():
    # Clips of 64 frames at strides 1 to 4 cover 1, 2, 3, 4 repetitions; 2.5 and more; 0.4 to 1.6.
    periods = np.array([64.0, 25.6, 160.0])
    counts = np.array(
        # Stride 4 leaves out half; in the second video strides 3 and 4 leave out
        # 20 % (allowed) and 30 %; in the third none covers two: the last is positive.
        [[4.0, 10.0, 9.0, 5.0], [10.0, 9.0, 8.0, 7.0], [1.0, 2.0, 3.0, 4.0]]
    )
    positive, negatives = stride_roles(counts, periods, (1, 2, 3, 4), 0.29)
    np.testing.assert_array_equal(positive, [1, 0, 3])
    np.testing.assert_array_equal(
        negatives,
        [
            [True, False, False, True],
            [False, False, False, True],
            [True, True, True, False],
        ],
    )


def test_roles_of_videos_at_the_papers_threshold():
    # Periods of 20, 40 and 100 frames; clips of 64 frames at strides 1 to 4.
    counts = np.array([[10, 9, 6, 5], [2, 8, 7, 4], [1, 1, 2, 3.0]])
    periods = np.array([20.0, 40.0, 100.0])
    positive, negatives = stride_roles(counts, periods, (1, 2, 3, 4), 0.29)
    # 64 / 20 > 2 at once; 64 * 2 / 40 > 2 at stride 2; 64 * 4 / 100 > 2 at stride 4.
    assert positive.tolist() == [0, 1, 3]
    # δ = (10-9)/10, (10-6)/10, (10-5)/10 against 0.29; then stride 1 is too short and
    # (8-7)/8, (8-4)/8; then 1 to 3 are too short.
    found = [np.flatnonzero(row).tolist() for row in negatives]
    assert found == [[2, 3], [0, 3], [0, 1, 2]]


def test_the_released_choice_of_the_positive_stride():
    counts = np.full((2, 3), 5.0)
    periods = np.array([29.0, 62.0])  # (29 + 2) // 32 + 1 = 1, (62 + 2) // 32 + 1 = 3
    positive, negatives = stride_roles(counts, periods, (1, 2, 3), 0.29, "released")
    assert positive.tolist() == [0, 2]
    assert [np.flatnonzero(row).tolist() for row in negatives] == [[], [0, 1]]


def test_a_video_in_which_nothing_repeats_has_the_largest_stride():
    positive, negatives = stride_roles(np.zeros((1, 3)), [np.inf], (1, 2, 3), 0.29)
    assert positive.tolist() == [2]
    assert negatives.tolist() == [[True, True, False]]


def test_strides_may_have_gaps():
    # A period of 96 frames needs stride 3; the next there is, 4, is positive.
    positive, _ = stride_roles(np.full((1, 3), 9.0), [96.0], (1, 4, 8), 0.29)
    assert positive.tolist() == [1]


def test_counts_must_fit():
    with pytest.raises(ValueError, match="not of 1 videos at 3 strides"):
        stride_roles(np.ones((2, 3)), [3.0], (1, 2, 3), 0.3)


def test_released_pairs_deviate_either_way_or_are_far():
    counts = np.array(
        # Over-counts by 40 % at stride 2; loses 30 %; all within 30 %.
        [[10.0, 14.0, 10, 10, 10], [10.0, 10, 10, 10, 6.9], [10.0, 11, 9, 10, 12]]
    )
    rows = (1, 2, 3, 4, 5)
    roles = stride_roles(counts, [20.0] * 3, rows, 0.3, "released", pairs="released")
    np.testing.assert_array_equal(roles[0], [0, 0, 0])
    found = [list(np.flatnonzero(row)) for row in roles[1]]
    assert found == [[1], [4], [3, 4]]
    # The paper's: only what is lost counts, and a video may have none.
    signed = stride_roles(counts, [20.0] * 3, rows, 0.3, "released")[1]
    assert [list(np.flatnonzero(row)) for row in signed] == [[], [4], []]
    with pytest.raises(ValueError, match="pairs: 'x' is not one of paper, released"):
        stride_roles(counts, [20.0] * 3, rows, 0.3, pairs="x")
