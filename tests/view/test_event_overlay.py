"""Marks of events: where, how clear, and for how long."""

import dataclasses

import numpy as np

from rac_jax import media
from rac_jax.media import encode
from rac_jax.view.cues import Cue
from rac_jax.view.event_overlay import FLASH_S, draw_mark, overlay_events
from tests.results import evenly


def drawn(cue, age, shape=(40, 60, 3)):
    frame = np.zeros(shape, np.uint8)
    draw_mark(frame, cue, age)
    return frame.max(-1).astype(int)


def test_a_ring_lies_around_the_place():
    found = drawn(Cue(1.0, 1.0, (0.5, 0.25)), 0.0)
    rows, columns = np.nonzero(found)
    # Pixel centres are half a pixel further than their numbers.
    assert abs(rows.mean() + 0.5 - 10) < 0.1 and abs(columns.mean() + 0.5 - 30) < 0.1
    assert found[10, 30] == 0 and 150 < found.max() <= 255
    # It grows and fades, and a weak cue is faint.
    later = drawn(Cue(1.0, 1.0, (0.5, 0.25)), 0.5)
    assert np.ptp(np.nonzero(later)[0]) > np.ptp(rows) and later.max() < found.max()
    weak = drawn(Cue(1.0, 0.3, (0.5, 0.25)), 0.0)
    assert 0 < weak.max() < 0.4 * found.max()
    # At a corner it is cut.
    assert drawn(Cue(1.0, 1.0, (0.0, 1.0)), 0.0)[-4:, :4].max() > 100


def test_without_a_place_it_is_the_border():
    found = drawn(Cue(1.0), 0.0)
    assert found[0].min() == found[:, -1].min() == 255 and found[2:-2, 2:-2].max() == 0


def test_marks_come_with_their_frames_and_go(tmp_path):
    path, out = tmp_path / "a.mp4", tmp_path / "b.mp4"
    encode.write_video(path, np.full((20, 48, 64, 3), 40, np.uint8), 10)
    result = dataclasses.replace(evenly(2.0, 2.0), file=str(path))
    overlay_events(result, [Cue(0.5), Cue(1.5, 0.8, (0.5, 0.5))], out)
    frames = media.read_video(out).frames.astype(int)
    assert frames.shape == (20, 48, 64, 3)
    changed = np.flatnonzero((np.abs(frames - 40) > 25).any((1, 2, 3)))
    length = round(FLASH_S * 10)
    wanted = [*range(5, 5 + length), *range(15, 15 + length)]
    # The last frame of a mark has nearly faded.
    assert set(changed) <= set(wanted) and {5, 6, 15, 16} <= set(changed)
