"""The latest and the best checkpoint stay, and only the run's own is taken up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.train.checkpoints import CheckpointError, Checkpoints

IDENTITY = {"seed": 0, "sight.batch": 8}


def state(value):
    return {"w": jnp.full((3,), float(value)), "key": jax.random.key(value)}


def test_latest_and_best_are_kept(tmp_path):
    with Checkpoints(tmp_path, IDENTITY) as saved:
        assert saved.latest is None and saved.best is None
        for step, error in ((1, 0.5), (2, 0.2), (3, None), (4, 0.4), (5, None)):
            saved.save(step, state(step), error)
        saved.wait()
        assert saved.latest == 5 and saved.best == 2
    steps = sorted(int(p.name) for p in tmp_path.iterdir() if p.name.isdigit())
    assert steps == [2, 5]
    # Scores are remembered by the next process.
    with Checkpoints(tmp_path, IDENTITY) as saved:
        assert saved.best == 2
        saved.save(6, state(6), 0.3)
        saved.wait()
        assert saved.best == 2 and saved.latest == 6
        found, batches = saved.restore(6, state(0))
    assert batches == 6
    np.testing.assert_array_equal(found["w"], state(6)["w"])
    assert jax.random.key_data(found["key"]).tolist() == [0, 6]


def test_another_runs_checkpoint_is_refused(tmp_path):
    with Checkpoints(tmp_path, IDENTITY) as saved:
        saved.save(1, state(1))
        saved.wait()
    message = "was made with sight.batch = 8, this"
    with (
        Checkpoints(tmp_path, IDENTITY | {"sight.batch": 4}) as saved,
        pytest.raises(CheckpointError, match=message),
    ):
        saved.restore(1, state(0))


def test_another_models_checkpoint_is_refused(tmp_path):
    with Checkpoints(tmp_path, IDENTITY) as saved:
        saved.save(1, state(1))
        saved.wait()
        with pytest.raises(CheckpointError, match="1: does not fit this model"):
            saved.restore(1, {"other": jnp.zeros(2)})
