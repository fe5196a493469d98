"""The compact counter's machinery with weights drawn at random, and its laws."""

import jax
import numpy as np
import pytest
from conftest import knocks, moving_square

import rac_jax
from rac_jax.counting import compact, weights
from rac_jax.data.media import MediaError
from rac_jax.models import registry

CONFIG = {
    "name": "tiny-compact",
    "family": "compact",
    "arguments": {},
    "preprocessing": {"size": 16},
    "strides": [1, 2, 4],
    # Lets everything through: the weights have learned nothing.
    "rule": {"score": 0.0, "least": 0.0},
    "reliability": {"bias": 0.0, "sight": -1.0, "sound": 1.0},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model = registry.build_model("compact")
    variables = registry.init_variables(model, jax.random.key(0))
    # Every frame is held periodic.
    for stream in ("sight_pixels", "sound_stream"):
        output = variables["params"][stream]["head"]["output"]
        output["bias"] = output["bias"].at[-1].set(5.0)
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
    assert set(result.sight.stride_scores) == {1, 2, 4}
    assert 0 < result.reliability < 1
    mixed = result.sight.count * (1 - result.reliability)
    mixed += result.sound.count * result.reliability
    assert result.count == pytest.approx(mixed, rel=1e-5)
    assert result.encoders["sight"]["compiled"] == 1


def test_array_and_file_agree(counter, clip, result):
    """The same numbers from arrays as from the file, up to its lossy compression."""
    from rac_jax.data import media

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
    with pytest.raises(ValueError, match="at least 1"):
        counter.count(clip, stride=0)
    with pytest.raises(MediaError, match="no frames"):
        counter.count(clip, start_s=3000.0, sound=False)


def test_a_config_without_a_rule_is_refused():
    model = registry.build_model("compact")
    with pytest.raises(weights.ModelError, match="lacks rule"):
        compact.CompactCounter(model, {}, {"name": "x", "strides": [1]})


def test_reliability_rises_with_the_sound():
    given = {"bias": 0.0, "sight": -8.0, "sound": 8.0}
    assert compact.reliability(given, 0.9, 0.1) < 0.01
    assert compact.reliability(given, 0.1, 0.9) > 0.99
    assert compact.reliability(given, 0.5, 0.5) == pytest.approx(0.5)
