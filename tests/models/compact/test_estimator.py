"""The compact counter's machinery with weights drawn at random, and its laws."""

import dataclasses

import jax
import numpy as np
import pytest

import rac_jax
from rac_jax.counting import weights
from rac_jax.counting.result import RepetitionSet
from rac_jax.counting.source import ArraySource
from rac_jax.media import MediaError
from rac_jax.models import registry
from rac_jax.models.compact import decoder as sets
from rac_jax.models.compact import estimator as compact
from rac_jax.models.sight_sound.soundtrack import Soundtrack
from rac_jax.view import annotate
from tests.conftest import knocks, moving_square

CONFIG = {
    "name": "tiny-compact",
    "family": "compact",
    "arguments": {"sight_features": ["pixels"]},
    "preprocessing": {"size": 16},
    # Lets everything through: the weights have learned nothing.
    "rule": {"score": 0.0, "least": 0.0, "nothing": 0.0},
    "confidence": {
        "positive_score": [0.0, 1.0],
        "positive": [0.2, 0.8],
        "negative_score": [0.0, 1.0],
        "negative": [0.5, 0.5],
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model = registry.build_model("compact", sight_features=("pixels",))
    variables = registry.init_variables(model, jax.random.key(0))
    path = tmp_path_factory.mktemp("models") / "compact"
    return weights.save_model(path, CONFIG, variables, half=True)


@pytest.fixture(scope="module")
def counter(folder):
    return rac_jax.load(folder, batch_sizes=(4,))


@pytest.fixture(scope="module")
def result(counter, clip):
    return counter.count(clip)


def test_the_family_chooses_the_counter(counter):
    assert isinstance(counter, compact.CompactCounter)


def test_result_adds_up(result, clip):
    assert result.file == str(clip)
    assert (result.model, result.protocol) == ("tiny-compact", "compact")
    assert result.duration_s == pytest.approx(4.0, abs=0.1)
    for stream in (result.sight, result.sound):
        assert stream.count == pytest.approx(sum(w.count for w in stream.windows))
        assert stream.count > 0
    assert set(result.sight.stride_scores) == {1, 2, 3, 4, 6, 8}
    assert 0 < result.reliability < 1
    assert result.count == pytest.approx(sum(one.count for one in result.sets))
    assert 0.2 <= result.confidence <= 0.8
    for one in result.sets:
        edges = np.array(one.cycles)
        assert one.start_s == edges[0, 0] and one.end_s == edges[-1, 1]
        assert len(edges) == max(1, int(one.count + 0.5))
        np.testing.assert_allclose(edges[1:, 0], edges[:-1, 1])
        assert (np.diff(edges, axis=1) > 0).all()
        assert 0 <= one.start_s and one.end_s <= 4.1
    assert result.encoders["sight"]["compiled"] == 1


def test_array_and_file_agree(counter, clip, result):
    """The same numbers from arrays as from the file, up to its lossy compression."""
    from rac_jax import media

    video = media.read_video(clip, size=(16, 16))
    again = counter.count(
        video.frames, fps=25, waveform=media.read_audio(clip), audio_rate=22050
    )
    assert again.sight.count == pytest.approx(result.sight.count, rel=1e-3)
    assert again.sound.count == pytest.approx(result.sound.count, rel=1e-3)


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
    assert seen.sound is None and heard.sight is None and seen.reliability is None
    assert seen.count == pytest.approx(result.sight.count)
    assert heard.count > 0


def test_batches_do_not_matter(folder, clip, result):
    again = rac_jax.load(folder, batch_sizes=(3, 1)).count(clip)
    assert again.sight.count == pytest.approx(result.sight.count, rel=1e-4)


def test_strides_can_be_given(counter, clip):
    assert counter.count(clip, stride=3).sight.stride == 3
    assert set(counter.count(clip, max_stride=2).sight.stride_scores) == {1, 2}


def test_mistakes(counter, clip):
    with pytest.raises(ValueError, match="not for models of the family compact"):
        counter.count(clip, protocol="released")
    with pytest.raises(ValueError, match="stride: 5 is not one of"):
        counter.count(clip, stride=5)
    with pytest.raises(ValueError, match="max_stride: must be at least 1"):
        counter.count(clip, max_stride=0)
    with pytest.raises(MediaError, match="no frames"):
        counter.count(clip, start_s=3000.0, sound=False)


def test_a_config_without_a_rule_is_refused():
    model = registry.build_model("compact")
    with pytest.raises(weights.ModelError, match="lacks rule"):
        compact.CompactCounter(model, {}, {"name": "x", "confidence": {}})


def test_confidence_is_read_off_the_table():
    table = CONFIG["confidence"]
    found = sets.Tally(3.0, ("one",), np.zeros(4), 0.5)
    assert compact.confidence(table, found) == pytest.approx(0.5)
    nothing = sets.Tally(0.0, (), np.zeros(4), 0.9)
    assert compact.confidence(table, nothing) == pytest.approx(0.5)


def test_long_videos_are_read_in_blocks_that_agree(counter, monkeypatch):
    """The reader's blocks, with their margins, give what one block of everything gives."""
    rng = np.random.default_rng(0)
    line = rng.dirichlet(np.ones(29), 3000).astype(np.float16)
    lines = compact.Lines(
        {s: line[: 3000 // s] for s in (1, 2, 4)}, None, np.arange(3000.0), 3000.0, {}
    )
    blocks = counter.networks.read(lines)
    monkeypatch.setattr(compact, "BLOCK_INSTANTS", 10_000)
    whole = counter.networks.read(lines)
    assert blocks.fused.shape == (750, 55)
    np.testing.assert_allclose(blocks.fused, whole.fused, atol=1e-5)


def test_the_running_count_rises_by_the_cycles(result):
    """It is the fused count at the end, and passes each set's count at the set's end."""
    times = np.linspace(-1, 6, 200)
    counts = annotate.running_count(result, times)
    assert (np.diff(counts) >= 0).all() and counts[0] == 0
    assert counts[-1] == pytest.approx(result.count)
    done = 0.0
    for one in result.sets:
        done += one.count
        at_end = annotate.running_count(result, np.array([one.end_s]))
        assert at_end[0] == pytest.approx(done)


def test_sets_are_said(result):
    two = dataclasses.replace(
        result,
        sets=(
            RepetitionSet(0.0, 1.0, 2.0, ((0.0, 0.5), (0.5, 1.0))),
            RepetitionSet(3.0, 4.0, 1.2, ((3.0, 4.0),)),
        ),
    )
    assert str(two).endswith("in 2 sets: 2.0 at 0.0-1.0 s, 1.2 at 3.0-4.0 s")
    assert two.to_dict()["sets"][0]["cycles"] == ((0.0, 0.5), (0.5, 1.0))
    assert "confidence" in str(two)


def test_the_plot_shows_the_cycles(result, tmp_path):
    figure = result.plot(tmp_path / "plot.png")
    ticks = [
        line
        for axes in figure.axes
        for line in axes.lines
        if line.get_marker() == "|" and len(line.get_xdata()) > 1
    ]
    assert len(ticks) == len(result.sets)
    assert next(iter(ticks[0].get_xdata())) == pytest.approx(result.sets[0].start_s)


@pytest.mark.parametrize(("fps", "kept"), [(30.0, 90), (60.0, 90), (120.0, 60)])
def test_fast_pictures_are_thinned(counter, fps, kept):
    """At 60 frames/s every second frame is seen, so that slow motion stays in reach."""
    frames = moving_square(round(kept * np.ceil(fps / 45)))
    source = ArraySource(frames, fps=fps, waveform=None, audio_rate=None, size=16)
    with Soundtrack(()) as track:
        lines = counter.lines(
            source, track, strides=(1,), use_sight=True, progress=lambda n: None
        )
    assert len(lines.times) == kept
    np.testing.assert_allclose(np.diff(lines.times), np.ceil(fps / 45) / fps)
    assert lines.end_s == pytest.approx(len(frames) / fps)
