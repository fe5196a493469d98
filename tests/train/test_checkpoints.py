"""The latest and the best checkpoint stay, and only the run's own is taken up."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.train import checkpoints
from rac_jax.train.checkpoints import CheckpointError, Checkpoints

IDENTITY = {"seed": 0, "sight.batch": 8}


def state(value):
    return {"w": jnp.full((3,), float(value)), "key": jax.random.key(value)}


def test_latest_and_best_are_kept(tmp_path):
    with Checkpoints(tmp_path, IDENTITY, keep=1) as saved:
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
        found, batches = saved.restore_latest(state(0))
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
        saved.restore_latest(state(0))


def test_another_models_checkpoint_is_refused(tmp_path):
    with Checkpoints(tmp_path, IDENTITY) as saved:
        saved.save(1, state(1))
        saved.wait()
        with pytest.raises(CheckpointError, match="1: does not fit this model"):
            saved.restore_latest({"other": jnp.zeros(2)})


def damage_file(name, change):
    """Applies a change to the bytes of one file of a checkpoint; None deletes it."""

    def apply(place):
        for file in sorted(place.glob(name)):
            content = change and change(file.read_bytes())
            if content is None:
                file.unlink()
            else:
                file.write_bytes(content)

    return apply


def cut(content):
    return content[: len(content) // 2]


def garbage(content):
    return bytes(255 - b for b in content)


FILES = ("meta/metadata", "data/metadata", "metrics/metrics", "_CHECKPOINT_METADATA")
STATE = ("state/_METADATA", "state/manifest.ocdbt", "state/d/*")
CHANGES = {"gone": None, "empty": lambda content: b"", "cut": cut, "garbage": garbage}
WAYS = {
    f"{name} {how}": damage_file(name, change)
    for name in (*FILES, *STATE)
    for how, change in CHANGES.items()
} | {
    f"{name} gone": (lambda place, name=name: shutil.rmtree(place / name))
    for name in ("meta", "data", "state", "state/d")
}


# Where reading an array fails orbax leaves tasks of an event loop that is closed.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize("way", WAYS)
def test_a_damaged_newest_one_is_set_aside(tmp_path, caplog, way):
    folder = tmp_path / "checkpoints"
    with Checkpoints(folder, IDENTITY) as saved:
        for step in (1, 2):
            saved.save(step, state(step), 0.5)
            saved.wait()
    WAYS[way](folder / "2")
    with Checkpoints(folder, IDENTITY) as saved:
        found, batches = saved.restore_latest(state(0))
        assert batches == 1
        np.testing.assert_array_equal(found["w"], state(1)["w"])
        # What was set aside is out of the way of the next one.
        saved.save(2, state(2), 0.4)
        saved.wait()
        assert saved.latest == 2
    assert f"{folder / '2'}: is damaged (" in caplog.text
    assert (tmp_path / "damaged_checkpoints" / "2").is_dir()


def test_nothing_is_left_of_a_single_damaged_one(tmp_path):
    folder = tmp_path / "checkpoints"
    for _ in range(2):
        with Checkpoints(folder, IDENTITY) as saved:
            saved.save(1, state(1))
            saved.wait()
        (folder / "1" / "meta" / "metadata").write_text("[]")
        with Checkpoints(folder, IDENTITY) as saved:
            assert saved.restore_latest(state(0)) is None
    kept = sorted(p.name for p in (tmp_path / "damaged_checkpoints").iterdir())
    assert kept == ["1", "1-1"]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            'OUT_OF_RANGE: "b.__lock": Failed to write 7 bytes to file 9: '
            + "File too large [os_error_code='27']",
            "File too large",
        ),
        ("x\n No space left on device", "No space left on device"),
        ("something\nelse", "something else"),
    ],
)
def test_why_a_checkpoint_cannot_be_written_in_a_few_words(text, cause):
    assert checkpoints._cause(ValueError(text)) == cause


def test_a_checkpoint_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    with Checkpoints(tmp_path / "c", {}) as saved:

        def refuse(*_, **__):
            raise ValueError(
                "Failed to write 1 bytes to file 2: No space left [os_error_code=28]"
            )

        monkeypatch.setattr(saved._manager, "save", refuse)
        with pytest.raises(
            CheckpointError,
            match=r"c: a checkpoint cannot be written .No space left.; the last whole one",
        ):
            saved.save(1, {})
