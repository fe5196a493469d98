"""Where an event is: at what turns round, among what the map shows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.models.ta2net.places import AHEAD, map_centres, turning_places

FRAMES, SIDE = 9, 16


def flow_of(turns):
    """Forward and backward flow in which pixels (frame, row, column) come down and go up again."""
    forward = np.zeros((1, FRAMES, SIDE, SIDE, 2), np.float32)
    forward[..., 0] = 0.1  # the camera moves on all the time
    backward = -forward
    for frame, row, column in turns:
        forward[0, frame, row, column] = [0, -3]
        backward[0, frame, row, column] = [0, -3]
    return jnp.asarray(forward), jnp.asarray(backward)


def test_it_is_where_motion_turns_at_that_time():
    # One turns once, another all the time.
    turns = [(4, 12, 3), *((frame, 2, 13) for frame in range(FRAMES))]
    maps = jnp.ones((1, FRAMES, 2, 2))
    found = np.asarray(jax.jit(turning_places)(maps, *flow_of(turns)))[0]

    def at(column, row):
        # What it meets lies below.
        return (np.asarray([column, row]) + 0.5) / SIDE + [0, AHEAD]

    wanted = at(3, 12)
    # Its neighbours are looked at, too.
    np.testing.assert_allclose(found[4:6], np.broadcast_to(wanted, (2, 2)), atol=0.01)
    np.testing.assert_allclose(found[3], wanted, atol=AHEAD + 0.01)
    # Of two that turn at once the one that the map shows.
    flow = flow_of([(4, 12, 3), (4, 2, 13)])
    corner = maps.at[..., 1, 0].set(0.1)
    found = np.asarray(jax.jit(turning_places)(corner, *flow))[0, 4]
    np.testing.assert_allclose(found, at(13, 2), atol=0.01)


def test_the_map_alone_has_a_middle():
    maps = np.full((2, 4, 8), 0.1, np.float32)
    maps[0, 1, 6] = 1.0
    found = np.asarray(map_centres(jnp.asarray(maps)))
    assert found[0] == pytest.approx([6.5 / 8, 1.5 / 4], abs=0.01)
    assert found[1] == pytest.approx([0.5, 0.5], abs=1e-6)
