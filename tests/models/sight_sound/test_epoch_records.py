"""Predictions of good epochs, and what is said where there is none."""

import pytest

from rac_jax.models.sight_sound import epoch_records
from rac_jax.train.stage_files import StageFileError


def epochs(folder):
    for epoch, error, count in ((1, 0.9, 9.0), (2, 0.3, 4.0), (3, 0.35, 7.0)):
        epoch_records.write_epoch(folder, epoch, error, {"v": count, "w": 2 * count})


def test_empirical_predictions_are_means_over_good_epochs(tmp_path):
    epochs(tmp_path)
    mean, chosen = epoch_records.empirical_predictions(tmp_path, 0.36)
    assert chosen == [2, 3] and mean == {"v": 5.5, "w": 11.0}
    mean, chosen = epoch_records.empirical_predictions(tmp_path, 0.35)
    assert chosen == [2] and mean == {"v": 4.0, "w": 8.0}


def test_each_video_has_the_mean_of_the_good_epochs_that_counted_it(tmp_path):
    counted = [{"v": 4.0}, {"v": 6.0, "w": 2.0}, {"v": 9.0, "w": 9.0, "x": 7.0}]
    for epoch, (error, predictions) in enumerate(zip((0.2, 0.1, 0.9), counted), 1):
        epoch_records.write_epoch(tmp_path, epoch, error, predictions)
    mean, chosen = epoch_records.empirical_predictions(tmp_path, 0.3)
    # The last epoch, which was no good one, speaks for the video that only it has counted.
    assert chosen == [1, 2] and mean == {"v": 5.0, "w": 2.0, "x": 7.0}


def test_without_a_good_epoch_the_lowest_errors_are_told(tmp_path):
    epochs(tmp_path)
    with pytest.raises(
        StageFileError, match=r"under 0.2 \(the lowest: 0.300, 0.350, 0.900\)"
    ):
        epoch_records.empirical_predictions(tmp_path, 0.2)
