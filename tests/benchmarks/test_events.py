"""Pointing is measured at what is found, and rules and the grid are the best of their kind."""

import dataclasses

import numpy as np

from benchmarks import events
from rac_jax.scenes import SceneContacts


def known(times, points, mask, frames=None):
    contacts = SceneContacts(
        np.asarray(times) / events.FPS, np.asarray(points, float), np.asarray(mask)
    )
    labels = np.asarray(times)[np.asarray(mask)].astype(int)
    return events.Known(frames, np.sort(labels), contacts)


def test_pointing_is_that_of_found_events():
    size = events.SIZE
    # Out of order, one of them not there.
    scene = known(
        [50, 10, 30], [[0, 0], [size / 2, 0], [size, size]], [True, True, False]
    )
    marks = events.Marks(
        np.asarray([11.0, 30.0, 48.0, 90.0]),
        np.ones(4),
        np.asarray([[0.55, 0.05], [1, 1], [0.9, 0.9], [0, 0]]),
    )
    # Two are found, one of them pointed at; the middle is far from both.
    assert events.pointing([scene], [marks]) == (0.5, 0.0, 2)
    (video,) = events.marked([scene], [marks])
    assert video.labels.tolist() == [10, 50]
    nothing = dataclasses.replace(scene, labels=np.zeros(0, int))
    assert events.marked([nothing], [marks]) == []


def test_a_line_has_a_cell_for_every_column():
    scene = known([10, 50], [[0, 0], [0, 0]], [True, True])
    marks = events.Marks(np.asarray([10.0, 51.0]), np.ones(2))
    silent = {"touching nothing": [marks], "camera": [marks, marks]}
    cells = events.line("x", events.marked([scene], [marks]), silent).split()
    assert cells[:5] == ["x", "1.000", "1.000", "1.000", "1.000"]
    # Two in eight seconds.
    assert cells[5:] == ["20", "20", "15.0", "15.0"]


def test_a_rule_has_the_best_threshold_and_the_grid_the_best_step():
    times = [25, 75, 125, 175]
    scene = known(times, [[0, 0]] * 4, [True] * 4, np.zeros(events.FRAMES))
    scenes = {"striking": [scene], "camera": [scene]}

    def change(frames):
        found = np.tile(np.arange(100.0), (len(frames), 1))
        found[times, 99] += 20
        found[[50, 100], 99] += 2
        return found

    threshold, marks = events.best_rule(scenes, change)
    assert marks["striking"][0].frames.tolist() == times and threshold > 0
    step, marks = events.blind(scenes)
    assert step == 50 and marks["camera"][0].frames.tolist() == times
