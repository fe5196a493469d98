"""The classifier's loss and examples against what is known of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.data.labelled import LabelledVideo
from rac_jax.models.classifier import evaluation, examples, inputs, task
from rac_jax.ops.sound_format import BINS
from tests.models.classifier import tiny_run

pytestmark = pytest.mark.usefixtures("quick_compiling")
CLASSES = ("hop", "run", "swim")


def video(frames=20, label="run", waveform=None):
    """Frame t has value t everywhere."""
    values = np.arange(frames, dtype=np.uint8)[:, None, None, None]
    pixels = np.broadcast_to(values, (frames, 4, 4, 3))
    rate = 0 if waveform is None else 100
    return LabelledVideo("v", pixels, 25.0, waveform, rate, count=0.0, label=label)


def test_smoothed_labels_by_hand():
    found = task.smoothed(jnp.array([2, 0]), 4, 0.2)
    wanted = [[0.05, 0.05, 0.85, 0.05], [0.85, 0.05, 0.05, 0.05]]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_cross_entropy_by_hand():
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]))
    targets = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    mask = np.array([True, True, False])
    loss, metric = task.cross_entropy(jnp.asarray(logits), jnp.asarray(targets), mask)
    second = -(np.log(0.1) + np.log(0.8)) / 2
    assert float(loss) == pytest.approx((np.log(2) + second) / 2, rel=1e-5)
    assert float(metric.weight) == 2
    nothing, _ = task.cross_entropy(jnp.asarray(logits), jnp.asarray(targets), mask & 0)
    assert float(nothing) == 0


def test_what_is_frozen_stays(tmp_path):
    config = tiny_run.tiny_config({"classify.trained": ("head",)})
    run = tiny_run.run_of(config, tmp_path)
    one = task.ClassTask(run, tuple(config.classes))
    assert one.trained == ("head",)
    variables = run.family.initialise(run.network, jax.random.key(0))
    clips = jax.random.normal(jax.random.key(1), (2, 4, 16, 16, 3))
    batch = {
        "inputs": clips,
        "targets": jnp.eye(7)[:2],
        "label": jnp.arange(2),
        "mask": jnp.ones(2, bool),
    }

    def stats(one):
        key = jax.random.key(2)
        params, before = variables["params"], variables["batch_stats"]
        found = jax.jit(one.loss)(params, before, batch, key)
        moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), found[1][0], before)
        return max(jax.tree.leaves(moved))

    assert stats(one) == 0
    config.classify.trained = ()
    whole = task.ClassTask(run, tuple(config.classes))
    assert whole.trained == ("encoder", "head") and stats(whole) > 0


def test_clips_are_consecutive_frames_at_the_stride():
    sampler = examples.RandomClips(CLASSES, frames=4, stride=3, size=4)
    starts = set()
    for seed in range(60):
        example = sampler(video(), np.random.default_rng(seed))
        shown = example["clips"][:, 0, 0, 0].astype(int)
        assert np.diff(shown).tolist() == [3, 3, 3] and example["label"] == 1
        starts.add(int(shown[0]))
    # Every place at which the clip fits, and no other.
    assert starts == set(range(20 - 9))
    for name, blank in sampler.blank().items():
        assert blank.shape == np.shape(example[name])
        assert blank.dtype == example[name].dtype


def test_short_videos_begin_again():
    sampler = examples.RandomClips(CLASSES, frames=6, stride=2, size=4)
    shown = sampler(video(5), np.random.default_rng(0))["clips"][:, 0, 0, 0]
    assert shown.tolist() == [0, 2, 4, 1, 3, 0]
    sounds = examples.RandomSounds(CLASSES, samples=7)
    waveform = np.arange(3, dtype=np.float32)
    part = sounds(video(waveform=waveform), np.random.default_rng(0))["waveform"]
    assert part.tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_nothing_is_learned_from_silence():
    example = examples.RandomSounds(CLASSES, 5)(video(), np.random.default_rng(0))
    assert not example["mask"]


def test_a_label_that_is_no_class_is_named():
    with pytest.raises(ValueError, match="v: its label 'fly' is none of the 3 classes"):
        examples.RandomClips(CLASSES, 1, 1, 4)(video(label="fly"), None)


def test_views_lie_evenly_along_a_video():
    clips = examples.even_clips(video(), 3, frames=2, stride=3)
    assert clips[:, :, 0, 0, 0].tolist() == [[0, 3], [8, 11], [16, 19]]
    assert examples.even_clips(video(), 1, 2, 3)[:, 0, 0, 0, 0].tolist() == [8]
    sounds = examples.even_sounds(np.arange(10.0), 3, 4)
    assert sounds[:, 0].tolist() == [0, 3, 6] and sounds.dtype == np.float32


def test_silence_stays_silence():
    sounds = jnp.stack([jnp.zeros(2000), jnp.sin(jnp.arange(2000.0))])
    found = inputs.spectrograms(sounds, 22050)
    assert found.shape == (2, BINS, 10) and not found[0].any()
    np.testing.assert_allclose([found[1].mean(), found[1].std()], [0, 1], atol=1e-3)


def test_pixels_are_normalised():
    found = inputs.normalised(jnp.full((1, 1, 1, 1, 3), 255.0), "symmetric")
    np.testing.assert_allclose(found, np.ones((1, 1, 1, 1, 3)), rtol=1e-6)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(task, one prepared batch of scenes, the same batch of another key)."""
    config = tiny_run.tiny_config({"classify.augment.mixup": 0.4})
    run = tiny_run.run_of(config, tmp_path_factory.mktemp("run"))
    one = task.ClassTask(run, tuple(config.classes))
    prepare = jax.jit(one.prepare)
    rows = {"row": jnp.arange(4)}
    keys = jax.random.split(jax.random.key(0))
    return one, prepare(rows, keys[0]), prepare(rows, keys[1])


def test_scenes_are_rendered_cropped_and_mixed(made):
    one, batch, other = made
    assert batch["inputs"].shape == (4, 4, 16, 16, 3)
    assert batch["mask"].all() and batch["targets"].shape == (4, 7)
    np.testing.assert_allclose(batch["targets"].sum(1), 1.0, rtol=1e-5)
    # The row's own class has the larger share, also where it is mixed.
    assert (batch["targets"].argmax(1) == batch["label"]).all()
    assert not np.allclose(batch["inputs"], other["inputs"])
    assert one.trained == ("encoder", "head")


def test_the_loss_is_that_of_the_network_and_leaves_masked_rows_out(made):
    one, batch, _ = made
    family, network = one.run.family, one.run.network
    variables = family.initialise(network, jax.random.key(0))
    # At first all logits are near 0, and every class as likely.
    program = jax.jit(one.loss)
    arguments = (variables["params"], variables["batch_stats"])
    loss, (stats, metrics) = program(*arguments, batch, jax.random.key(1))
    assert float(loss) == pytest.approx(np.log(7), abs=0.05)
    assert set(metrics) == {"top1", "top5"} and float(metrics["top1"].weight) == 4
    assert jax.tree.structure(stats) == jax.tree.structure(variables["batch_stats"])
    masked = batch | {"mask": jnp.array([True, False, True, False])}
    assert (
        float(program(*arguments, masked, jax.random.key(1))[1][1]["top5"].weight) == 2
    )


def test_whole_videos_are_the_mean_of_their_views(tmp_path):
    config = tiny_run.tiny_config({"model.classes": 3})
    config.classes = CLASSES
    run = tiny_run.run_of(config, tmp_path)
    run.sources["test"] = tiny_run.NumberedVideos(("run", "hop"))
    variables = run.family.initialise(run.network, jax.random.key(0))
    variables["params"]["head"]["bias"] = jnp.array([0.0, 1.0, 0.0])
    found = evaluation.probabilities(run, variables, "test", 2, 1)
    first, last = (
        jax.nn.softmax(
            run.network.apply(
                variables,
                inputs.normalised(jnp.full((1, 4, 16, 16, 3), v) + step, "symmetric"),
            ).logits
        )
        for v, step in ((0.0, STEPS), (5.0, STEPS))
    )
    np.testing.assert_allclose(found[0], ((first + last) / 2)[0], atol=2e-3)
    scores, rows = evaluation.scored(run, CLASSES, variables, "test", 2, 1)
    assert scores["n"] == 2 and scores["top1"] == 0.5
    assert [row["predicted"] for row in rows] == ["run", "run"]
    assert rows[0]["probability"] == pytest.approx(found[0].max(), abs=1e-4)


STEPS = 2.0 * jnp.arange(4).reshape(1, 4, 1, 1, 1)
