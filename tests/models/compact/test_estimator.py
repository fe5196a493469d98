"""The compact counter: counts that must not change, and the laws of its estimator."""

import dataclasses
import pathlib

import jax
import numpy as np
import pytest

import rac_jax
from rac_jax.counting import weights
from rac_jax.counting.estimator import Chunk, SourceInfo
from rac_jax.counting.model_config import ModelError
from rac_jax.counting.result import Measurement
from rac_jax.media import MediaError, to_grey
from rac_jax.models.compact import FAMILY, CompactOptions, decision, returns
from rac_jax.models.compact.decoder import Decoded, PeriodSet
from rac_jax.models.compact.grid import STEP_FRAMES
from rac_jax.models.compact.posteriors import stack_posteriors
from tests.conftest import knocks, moving_square

SAMPLE = pathlib.Path(__file__).parents[3] / "examples" / "sample.mp4"
SIZE = 16
CONFIG = {
    "name": "tiny-compact",
    "family": "compact",
    "arguments": {"sight_features": ["pixels"]},
    "preprocessing": {"size": SIZE},
    # Lets everything through: the weights have learned nothing.
    "decoding": {"score": 0.0, "least_count": 0.0, "nothing": 0.0},
    "confidence": {
        "positive_score": [0.0, 1.0],
        "positive": [0.2, 0.8],
        "negative_score": [0.0, 1.0],
        "negative": [0.5, 0.5],
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    network = FAMILY.network(sight_features=("pixels",))
    variables = FAMILY.initialise(network, jax.random.key(0))
    path = tmp_path_factory.mktemp("models") / "compact"
    return weights.save_model(path, CONFIG, variables, half=True)


@pytest.fixture(scope="module")
def counter(folder):
    return rac_jax.load(folder, batch_sizes=(4,))


@pytest.fixture(scope="module")
def result(counter, clip):
    return counter.count(clip)


# Counts of the shipped weights on the sample, as they always were.
@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 6.916717),
        ({"stride": 2}, 6.977008),
        ({"sound": False}, 6.916060),
        ({"sight": False}, 7.029766),
    ],
)
def test_golden_counts_of_the_sample(shipped, options, count):
    assert shipped.count(SAMPLE, **options).count == pytest.approx(count, abs=1e-4)


@pytest.fixture(scope="module")
def shipped():
    return rac_jax.load("compact")


def repeated(frames, cadence):
    """Frames as a container shows them: each so many times in turn."""
    times = np.resize(cadence, len(frames))
    return np.repeat(frames, times, axis=0)


@pytest.mark.parametrize("cadence", [[1, 2], [1, 1, 1, 2], [1, 1, 1, 1, 1, 2], [2, 3]])
def test_repeated_frames_are_not_looked_at(counter, cadence):
    """What is seen of a video is the same whether a container repeats frames or not."""
    # A texture that drifts, as seen by a moving camera.
    texture = np.random.default_rng(0).integers(0, 255, (SIZE, 200, 1), np.uint8)
    frames = np.stack([texture[:, t : t + SIZE] for t in range(109)])
    # It ends with the first showing of its last frame, since the last frame is always kept.
    shown = repeated(frames, cadence)[: None if cadence[0] == 1 else -1]
    estimator, looks = counter.estimator, []
    for one in (frames, shown):
        info = SourceInfo("drift", 0.0, 25.0, has_picture=True, has_sound=False)
        state = estimator.start(info, CompactOptions())
        times_s = np.arange(len(one)) / 25
        state, _ = estimator.feed(state, Chunk(one, times_s, np.zeros(0, np.float32)))
        looks.append(estimator.posteriors(state))
    assert len(looks[1].times_s) == 109
    for stride, rows in looks[0].sight.items():
        np.testing.assert_allclose(looks[1].sight[stride], rows, atol=1e-3)


def test_result_adds_up(result, clip):
    assert result.file == str(clip)
    assert (result.model, result.family) == ("tiny-compact", "compact")
    assert result.duration_s == pytest.approx(4.0, abs=0.1)
    for name in ("sight", "sound"):
        stream = result.stream(name)
        assert stream.count == pytest.approx(sum(w.count for w in stream.windows))
        assert stream.count > 0
    assert set(result.details["stride_scores"]) == {"1", "2", "3", "4", "6", "8"}
    assert str(result.details["stride"]) in result.details["stride_scores"]
    reliability = result.details["reliability"]
    assert 0 < reliability < 1
    assert result.stream("sound").weight == reliability
    assert result.stream("sight").weight == pytest.approx(1 - reliability)
    assert result.count == pytest.approx(sum(one.count for one in result.sets))
    assert result.rate.integral == pytest.approx(result.count)
    assert 0.2 <= result.confidence <= 0.8
    for one in result.sets:
        edges = np.array(one.cycles)
        assert one.start_s == edges[0, 0] and one.end_s == edges[-1, 1]
        assert len(edges) == max(1, int(one.count + 0.5))
        np.testing.assert_allclose(edges[1:, 0], edges[:-1, 1])
        assert (np.diff(edges, axis=1) > 0).all()
        assert 0 <= one.start_s and one.end_s <= 4.1
    assert result.details["cost"]["sight"]["compiled"] == 1


def test_array_and_file_agree(counter, clip, result):
    """The same numbers from arrays as from the file, up to its lossy compression."""
    from rac_jax import media

    video = media.read_video(clip, size=(SIZE, SIZE))
    again = counter.count(
        video.frames, fps=25, waveform=media.read_audio(clip), audio_rate=22050
    )
    for name in ("sight", "sound"):
        expected = pytest.approx(result.stream(name).count, rel=1e-3)
        assert again.stream(name).count == expected


@pytest.mark.parametrize("frames", [1, 2, 63, 65, 200])
def test_any_length(counter, frames):
    result = counter.count(
        moving_square(frames),
        fps=25,
        waveform=knocks(frames / 25),
        audio_rate=22050,
    )
    assert np.isfinite(result.count)
    assert result.duration_s == pytest.approx(frames / 25, abs=0.05)


def test_sight_alone_and_sound_alone(counter, clip, result):
    seen, heard = counter.count(clip, sound=False), counter.count(clip, sight=False)
    assert [one.name for one in seen.streams] == ["sight"]
    assert [one.name for one in heard.streams] == ["sound"]
    assert seen.streams[0].weight == heard.streams[0].weight == 1.0
    assert seen.details["reliability"] is None is heard.details["reliability"]
    assert seen.count == pytest.approx(result.stream("sight").count)
    assert heard.count > 0


def test_batches_do_not_matter(folder, clip, result):
    again = rac_jax.load(folder, batch_sizes=(3, 1)).count(clip)
    expected = pytest.approx(result.stream("sight").count, rel=1e-4)
    assert again.stream("sight").count == expected


def test_strides_can_be_given(counter, clip):
    given = counter.count(clip, stride=3)
    assert given.details["stride"] == 3
    assert given.details["stride_scores"] == {} and given.panel is None
    found = counter.count(clip, max_stride=2)
    assert set(found.details["stride_scores"]) == {"1", "2"}


def test_mistakes(counter, clip):
    with pytest.raises(ValueError, match="protocol: is no option of tiny-compact"):
        counter.count(clip, protocol="released")
    with pytest.raises(ValueError, match="stride: 5 is not one of"):
        counter.count(clip, stride=5)
    with pytest.raises(ValueError, match="max_stride: must be at least 1"):
        counter.count(clip, max_stride=0)
    with pytest.raises(ValueError, match="sight, sound: at least one of them"):
        counter.count(clip, sight=False, sound=False)
    with pytest.raises(MediaError, match="no frames"):
        counter.count(clip, start_s=3000.0, sound=False)


def test_a_config_without_decoding_is_refused(tmp_path):
    config = {name: value for name, value in CONFIG.items() if name != "decoding"}
    weights.save_model(tmp_path / "model", config, {"params": {}, "batch_stats": {}})
    with pytest.raises(ModelError, match="lacks decoding"):
        rac_jax.load(tmp_path / "model")


def test_confidence_is_read_off_the_table():
    table = CONFIG["confidence"]
    found = Decoded(3.0, ("one",), np.zeros(4), 0.5)
    assert decision.confidence(table, found) == pytest.approx(0.5)
    nothing = Decoded(0.0, (), np.zeros(4), 0.9)
    assert decision.confidence(table, nothing) == pytest.approx(0.5)


def test_long_videos_are_decoded_in_blocks_that_agree(counter, monkeypatch):
    """Blocks, with their margins, give what one block of everything gives."""
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.ones(29), 3000).astype(np.float16)
    strides = {s: rows[: 3000 // s] for s in (1, 2, 4)}

    def steps(first, number):
        return stack_posteriors(strides, first, number)

    networks = counter.estimator.networks
    blocks = networks.decode(750, steps, None)
    monkeypatch.setattr(decision, "BLOCK_STEPS", 10_000)
    whole = networks.decode(750, steps, None)
    assert blocks.fused.shape == (750, 55)
    np.testing.assert_allclose(blocks.fused, whole.fused, atol=1e-5)


@pytest.mark.parametrize(("fps", "seen"), [(30.0, 90), (60.0, 90), (120.0, 60)])
def test_fast_pictures_are_thinned(counter, fps, seen):
    """At 60 frames/s every second frame is seen, so that slow motion stays in reach."""
    every = int(np.ceil(fps / 45))
    frames = moving_square(round(seen * every))
    fast = counter.count(frames, fps=fps)
    thinned = counter.count(frames[::every], fps=fps / every)
    assert fast.count == pytest.approx(thinned.count)
    assert fast.duration_s == pytest.approx(len(frames) / fps)


# What follows feeds the estimator itself.

FRAMES = to_grey(moving_square(230, SIZE, 24))[:, :, :SIZE, None]
TIMES_S = 2.0 + np.arange(230) / 25
SAMPLES = knocks(9.2)
NO_FRAMES = (np.zeros((0, 0, 0, 0), np.uint8), np.zeros(0))
NO_SAMPLES = np.zeros(0, np.float32)


def info(picture: bool = True, sound: bool = True) -> SourceInfo:
    return SourceInfo("fed by hand", 2.0, 25.0 if picture else 0.0, picture, sound)


def feed(counter, state, chunks) -> Measurement:
    for chunk in chunks:
        state, _ = counter.estimator.feed(state, chunk)
    return counter.estimator.finish(state)


def cut(frame_cuts, sample_cuts, order=None) -> list[Chunk]:
    """Frames and samples in parts; `order` is of "frames" and "samples", alternating if None."""
    pictures = zip(np.split(FRAMES, frame_cuts), np.split(TIMES_S, frame_cuts))
    seen = [Chunk(*part, NO_SAMPLES) for part in pictures]
    heard = [Chunk(*NO_FRAMES, part) for part in np.split(SAMPLES, sample_cuts)]
    if order == "frames":
        return seen + heard
    if order == "samples":
        return heard + seen
    return [chunk for pair in zip(seen, heard, strict=True) for chunk in pair]


@pytest.fixture(scope="module")
def fed_at_once(counter):
    chunk = Chunk(FRAMES, TIMES_S, SAMPLES)
    return feed(counter, counter.estimator.start(info(), CompactOptions()), [chunk])


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("order", [None, "frames", "samples"])
def test_chunks_do_not_matter(counter, fed_at_once, seed, order):
    """Bit for bit: with the sound along, behind and ahead of the picture."""
    rng = np.random.default_rng(seed)
    frame_cuts = np.sort(rng.integers(0, len(FRAMES), 12))
    sample_cuts = np.sort(rng.integers(0, len(SAMPLES), 12))
    start = counter.estimator.start(info(), CompactOptions())
    found = feed(counter, start, cut(frame_cuts, sample_cuts, order))
    assert found == fed_at_once


@pytest.mark.parametrize("chunk", [1, 1000, 30_000])
def test_chunks_of_sound_alone_do_not_matter(counter, chunk):
    samples = SAMPLES[:40_000] if chunk == 1000 else SAMPLES
    samples = SAMPLES[:700] if chunk == 1 else samples

    def counted(cuts):
        parts = [Chunk(*NO_FRAMES, part) for part in np.split(samples, cuts)]
        start = counter.estimator.start(info(picture=False), CompactOptions())
        return feed(counter, start, parts)

    once = counted([])
    assert counted(np.arange(chunk, len(samples), chunk)) == once
    assert once.end_s == 0.0 and [one.name for one in once.streams] == ["sound"]


def test_a_state_is_a_value(counter, fed_at_once):
    """A state can be gone on from in two ways, and finished twice."""
    chunks = cut([50, 120], [60_000, 90_000])
    state = counter.estimator.start(info(), CompactOptions())
    states = [state]
    for chunk in chunks:
        # Something else first, of which nothing may be left in the state.
        other = Chunk(
            255 - FRAMES[:70],
            states[-1].info.start_s + 50 + TIMES_S[:70],
            SAMPLES[::-1],
        )
        counter.estimator.feed(states[-1], other)
        counter.estimator.finish(states[-1])
        state, _ = counter.estimator.feed(states[-1], chunk)
        states.append(state)
    first = counter.estimator.finish(states[-1])
    assert first == counter.estimator.finish(states[-1]) == fed_at_once
    # And from the middle again.
    assert feed(counter, states[2], chunks[2:]) == fed_at_once


def test_digital_silence_is_no_sound(counter):
    silence = np.zeros(len(SAMPLES), np.float32)
    chunk = Chunk(FRAMES, TIMES_S, silence)
    silent = feed(counter, counter.estimator.start(info(), CompactOptions()), [chunk])
    chunk = Chunk(FRAMES, TIMES_S, NO_SAMPLES)
    without = counter.estimator.start(info(sound=False), CompactOptions())
    assert silent == feed(counter, without, [chunk])
    assert [one.name for one in silent.streams] == ["sight"]
    assert "sound" not in silent.details["cost"]


def test_silence_alone_is_listened_to(counter):
    start = counter.estimator.start(info(picture=False), CompactOptions())
    chunk = Chunk(*NO_FRAMES, np.zeros(50_000, np.float32))
    found = feed(counter, start, [chunk])
    assert np.isfinite(found.count)
    assert [one.name for one in found.streams] == ["sound"]


def test_long_silence_is_not_held(counter, monkeypatch):
    """What is not held while all is silent changes nothing of what is heard later."""
    samples = np.append(np.zeros(60_000, np.float32), SAMPLES[:142_860])
    start = counter.estimator.start(info(), CompactOptions())
    chunks = [
        Chunk(FRAMES[i : i + 10], TIMES_S[i : i + 10], samples[882 * i :][:8820])
        for i in range(0, 230, 10)
    ]
    waiting = feed(counter, start, chunks)
    monkeypatch.setattr("rac_jax.models.compact.estimator.SILENT_COLUMNS", 0)
    assert feed(counter, start, chunks) == waiting


def test_memory_is_bounded(counter):
    """A minute of sound beside the picture: of both only what windows may need is held."""
    state = counter.estimator.start(info(), CompactOptions(max_stride=3))
    for place in range(15):
        times_s = TIMES_S[:100] + 4.0 * place
        chunk = Chunk(FRAMES[:100], times_s, SAMPLES[:88_200])
        state, _ = counter.estimator.feed(state, chunk)
    assert state.columns.available > 7000
    # 103 strided frames of 3, a window and a block.
    assert state.columns.held < 140 * (103 * 3 / 25 + 4) + 512
    assert len(state.unheard) < 20
    assert all(not window.frames.size for window in state.unheard)


def test_nothing_at_all(counter):
    found = counter.estimator.finish(counter.estimator.start(info(), CompactOptions()))
    assert found.count == 0 and found.streams == ()


def test_the_panel_shows_every_stride(result):
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    result.panel(axes, result)
    lengths = [bar.get_width() for bar in axes.patches]
    assert lengths == list(result.details["stride_scores"].values())
    assert "temporal stride (frames)" in axes.get_ylabel()


def test_the_reliability_is_of_where_repetitions_are(counter):
    """Elsewhere it has no say in the count."""
    rng = np.random.default_rng(1)
    rows = rng.dirichlet(np.ones(29), 200).astype(np.float16)

    def steps(first, number):
        return stack_posteriors({1: rows}, first, number)

    estimator = counter.estimator
    found = estimator.decide(200, steps, steps, None)
    weights_of = estimator.networks.decode(50, steps, steps).reliability
    inside = found.fused.rate[::STEP_FRAMES] > 0
    chosen = weights_of[inside] if inside.any() else weights_of
    assert found.reliability == pytest.approx(float(chosen.mean()))


def test_options_are_those_of_the_family():
    names = [field.name for field in dataclasses.fields(CompactOptions)]
    assert names == ["stride", "max_stride", "sight", "sound"]
    assert CompactOptions(max_stride=5).strides == (1, 2, 3, 4)


def test_needs_follow_the_options():
    def needs(**options):
        return FAMILY.needs(CONFIG, CompactOptions(**options))

    assert needs().frames.size == (SIZE, SIZE) and needs().frames.colour == "grey"
    assert needs().frames.most_fps == 45.0 and needs().sound.rate == 22050
    assert needs(sight=False).frames is None and needs(sound=False).sound is None


@pytest.mark.parametrize(("trust", "left"), [(0.2, 1), (0.8, 2)])
def test_sets_whose_picture_does_not_return_are_left_out_unless_they_are_heard(
    trust, left
):
    def one(first, end):
        return PeriodSet(first, end, 8.0, 0.9, np.linspace(first, end, 9))

    rate = np.zeros(100)
    rate[0:40] = rate[50:90] = 1 / 5
    found = Decoded(16.0, (one(0, 40), one(50, 90)), rate, 0.9)
    # In the first set the picture is back after five frames, in the second it moves on.
    lags = np.arange(1, returns.LAGS + 1)
    back = np.minimum(lags % 5, 5 - lags % 5)
    changes = np.stack([np.where(t < 45, back, lags) for t in range(100)])
    kept = decision._returning(found, changes, np.full(25, trust))
    assert len(kept.sets) == left and kept.count == 8.0 * left
    assert kept.sets[0] is found.sets[0]
    assert (kept.rate[50:90] > 0).all() == (left == 2)
    assert found.rate is rate and rate[60] > 0
