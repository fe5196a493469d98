"""One suite over every model that ships, and every family that can be trained.

A new family passes it or says here, in a table, what it cannot promise.
"""

import json
import pathlib
from collections.abc import Iterator

import numpy as np
import pytest

import rac_jax
from rac_jax import media, models
from rac_jax.counting.estimator import Chunk, ReadAgain, SourceInfo
from rac_jax.counting.family import Family
from rac_jax.counting.model_config import ModelError, read_config, shipped_models
from rac_jax.counting.source import FileSource
from rac_jax.encoders import ENCODERS
from rac_jax.models import loading
from tests import own_process, tiny_configs

ROOT = pathlib.Path(__file__).parents[1]
SAMPLE = ROOT / "examples" / "sample.mp4"
# Counts of the shipped weights.
GOLDEN = json.loads((ROOT / "tests" / "golden" / "counts.json").read_text("utf-8"))

# Repetitions by which a count may change when time runs backwards. A network that was trained
# forwards only is no symmetric function of time.
REVERSAL = {"sight-sound-small": 2.0}
# Models that count something where nothing moves, and how much at most (README says so, too).
STILLNESS = {"sight-sound-small": 4.0}


# Encoders ship, too; they are what other models begin with or see by.
SHIPPED_ENCODERS = [
    name for name in shipped_models() if read_config(name)["family"] in ENCODERS
]
COUNTING = [name for name in shipped_models() if name not in SHIPPED_ENCODERS]


@pytest.fixture(scope="module", params=COUNTING)
def counter(request):
    return rac_jax.load(request.param)


def test_shipped_encoders_are_read_and_do_not_count():
    for name in SHIPPED_ENCODERS:
        _, variables, config = loading.load_model(name)
        assert config["name"] == name and variables["params"]
        with pytest.raises(ModelError, match="it does not count"):
            rac_jax.load(name)


def test_shipped_models_count_without_what_only_training_needs():
    lines = [
        "import sys",
        "for name in ('grain', 'optax', 'orbax', 'tensorflow_datasets'):",
        "    sys.modules[name] = None",
        "import rac_jax",
        f"for name in {COUNTING}:",
        "    rac_jax.load(name).estimator",
        "print('loaded')",
    ]
    assert own_process.output("\n".join(lines)).endswith("loaded\n")


@pytest.fixture(scope="module")
def sample() -> tuple[media.Video, np.ndarray]:
    """The sample's small frames, and its sound at 22050 samples per second."""
    return media.read_video(SAMPLE, size=(96, 128)), media.read_audio(SAMPLE)


def _checked(result: rac_jax.CountResult) -> rac_jax.CountResult:
    """A result that keeps what every result promises."""
    assert result.rate.integral == pytest.approx(result.count, abs=1e-3)
    for stream in result.streams:
        assert np.isfinite(stream.count)
        assert stream.weight is None or 0 <= stream.weight <= 1
    if result.sets is not None:
        total = sum(one.count for one in result.sets)
        assert total == pytest.approx(result.count, abs=1e-3)
    assert json.loads(result.to_json())["count"] == result.count
    assert result.confidence is None or 0 <= result.confidence <= 1
    return result


def _fed(counter, info: SourceInfo, chunks: list[Chunk], options=None):
    """The measurement of chunks, read as often as the estimator asks."""
    estimator = counter.estimator
    state = estimator.start(info, options or counter.options())
    while True:
        for chunk in chunks:
            state, _ = estimator.feed(state, chunk)
        found = estimator.finish(state)
        if not isinstance(found, ReadAgain):
            return found
        state = found.state


def _opened(counter) -> tuple[SourceInfo, list[Chunk]]:
    """The sample as this model wants it."""
    needs = counter.family.needs(counter.config, counter.options())
    source = FileSource(SAMPLE, needs)
    info = SourceInfo(
        source.name, 0.0, source.fps, source.has_picture, source.has_sound
    )
    return info, list(source.chunks())


def _cut_anew(chunks: list[Chunk], rng: np.random.Generator) -> Iterator[Chunk]:
    """The same frames and samples in other pieces, the sound up to two seconds off."""
    frames = np.concatenate([c.frames for c in chunks if len(c.times_s)])
    times = np.concatenate([c.times_s for c in chunks])
    samples = np.concatenate([c.samples for c in chunks])
    rate = len(samples) / times[-1] if len(samples) else 0.0
    seen = heard = 0
    while seen < len(times) or heard < len(samples):
        more = min(int(rng.integers(0, 60)), len(times) - seen)
        now_s = times[min(seen + more, len(times) - 1)] + rng.uniform(-2, 2)
        due = len(samples) if seen >= len(times) else int(now_s * rate)
        until = int(np.clip(due, heard, len(samples)))
        yield Chunk(
            frames[seen : seen + more],
            times[seen : seen + more],
            samples[heard:until],
        )
        seen, heard = seen + more, until


def test_the_sample_counts_what_it_did(counter):
    name = counter.config["name"]
    result = _checked(counter.count(SAMPLE))
    assert result.count == pytest.approx(GOLDEN[f"{name} sample"], abs=1e-3)
    assert (result.model, result.family) == (name, counter.family.name)


def test_any_chunking_gives_the_same(counter):
    info, chunks = _opened(counter)
    whole = _fed(counter, info, chunks)
    for seed in range(3):
        cut = list(_cut_anew(chunks, np.random.default_rng(seed)))
        other = _fed(counter, info, cut)
        assert other.count == pytest.approx(whole.count, abs=1e-4)
        assert len(other.sets or ()) == len(whole.sets or ())
        for mine, theirs in zip(other.streams, whole.streams, strict=True):
            assert mine.count == pytest.approx(theirs.count, abs=1e-4)


def test_the_state_is_a_value(counter):
    """Feeding one state twice gives the same: nothing of the first time is left in it."""
    info, chunks = _opened(counter)
    half, estimator = len(chunks) // 2, counter.estimator
    before = estimator.start(info, counter.options())
    for chunk in chunks[:half]:
        before, _ = estimator.feed(before, chunk)
    found = []
    for _ in range(2):
        state = before
        for chunk in chunks[half:]:
            state, _ = estimator.feed(state, chunk)
        end = estimator.finish(state)
        if isinstance(end, ReadAgain):
            pytest.skip("read twice: test_any_chunking covers it")
        found.append(end)
    assert found[0].count == found[1].count
    assert found[0].sets == found[1].sets


def test_silence_is_no_sound(counter, sample):
    video, waveform = sample
    silent = counter.count(
        video.frames, fps=video.fps, waveform=0 * waveform, audio_rate=22050
    )
    alone = counter.count(video.frames, fps=video.fps)
    assert _checked(silent).count == pytest.approx(alone.count, abs=1e-3)
    assert _checked(alone).stream("sound") is None


def test_stillness(counter, sample):
    video, _ = sample
    still = np.repeat(video.frames[:1], 150, axis=0)
    result = _checked(counter.count(still, fps=25.0))
    assert result.count <= STILLNESS.get(counter.config["name"], 0.0)


def test_no_picture(counter, sample):
    _, waveform = sample
    if counter.family.needs(counter.config, counter.options()).sound is None:
        with pytest.raises(rac_jax.MediaError, match="has no picture to count by"):
            counter.count(None, waveform=waveform, audio_rate=22050)
        return
    result = _checked(counter.count(None, waveform=waveform, audio_rate=22050))
    assert result.stream("sight") is None
    assert result.duration_s == pytest.approx(len(waveform) / 22050, abs=0.1)


def test_one_frame(counter, sample):
    video, _ = sample
    result = _checked(counter.count(video.frames[:1], fps=25.0))
    assert result.duration_s == pytest.approx(1 / 25, abs=1e-6)


def test_backwards(counter, sample):
    video, waveform = sample
    sound = {"audio_rate": 22050, "fps": video.fps}
    there = counter.count(video.frames, waveform=waveform, **sound)
    back = counter.count(video.frames[::-1], waveform=waveform[::-1], **sound)
    room = REVERSAL.get(counter.config["name"], 1.0)
    assert _checked(back).count == pytest.approx(there.count, abs=room)


def test_unknown_options_are_refused_by_name(counter):
    with pytest.raises(ValueError, match="no_such_thing: is no option of"):
        counter.count(SAMPLE, no_such_thing=1)


def test_nothing_to_count_by(counter):
    with pytest.raises(rac_jax.MediaError, match="has no picture"):
        counter.count(None)


@pytest.mark.slow
def test_twenty_scenes_count_what_they_did():
    import jax

    from rac_jax.scenes import SceneConfig, render_scene

    config = SceneConfig(
        frames=240,
        height=64,
        width=64,
        fps=25.0,
        period=(8.0, 70.0),
        max_cycles=40,
        still=0.15,
        pause=0.3,
        one_damaged=0.5,
    )
    render = jax.jit(lambda key: render_scene(key, config).replace(mask=None))
    keys = [jax.random.fold_in(jax.random.key(7), index) for index in range(20)]
    scenes = [jax.device_get(render(key)) for key in keys]
    for model, options in (
        ("compact", {}),
        ("compact", {"sound": False}),
        ("compact", {"sight": False}),
        ("sight-sound-small", {}),
        ("sight-sound-small", {"protocol": "released"}),
    ):
        counter = rac_jax.load(model)
        counts = [
            counter.count(
                np.asarray(scene.frames),
                fps=25.0,
                waveform=np.asarray(scene.waveform),
                audio_rate=22050,
                **options,
            ).count
            for scene in scenes
        ]
        wanted = GOLDEN[f"{model} {options} scenes"]
        np.testing.assert_allclose(counts, wanted, atol=1e-3)


def _trainable() -> list[str]:
    return [name for name in models.FAMILIES if models.find_family(name).recipe()]


def test_every_trainable_family_has_a_tiny_config():
    assert sorted(_trainable()) == sorted(tiny_configs.TINY)


def _counts(name: str) -> bool:
    return isinstance(models.find_family(name), Family)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in sorted(tiny_configs.TINY) if _counts(n)])
def test_two_steps_export_load(name, tmp_path):
    """Training counts as counting does, and what it exports counts as it did in training."""
    from rac_jax import train

    family = models.find_family(name)
    trained = train.train(family, tiny_configs.TINY[name](), tmp_path)
    rows = trained.report["videos"]
    assert rows
    # The run's own measurement is that of the counter on the same videos.
    ours = trained.counter()
    exported = rac_jax.load(trained.export)
    for index, row in enumerate(rows[:3]):
        video = tiny_configs.measured_video(trained.run, index)
        arrays = {
            "fps": video.fps,
            "waveform": video.waveform,
            "audio_rate": video.audio_rate or None,
        }
        result = _checked(ours.count(video.frames, **arrays))
        # What a family of several streams calls fused is the only one of others.
        counted = row["fused" if "fused" in row else "sight"]
        assert result.count == pytest.approx(counted, abs=1e-3)
        # Exports are stored in half precision.
        again = exported.count(video.frames, **arrays)
        assert again.count == pytest.approx(result.count, rel=0.05, abs=0.5)
    assert exported.config["training"]["seed"] == 0
