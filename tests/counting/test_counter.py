"""`Counter` on files and arrays, whatever the family: here baselines, and a tiny model with sound."""

import dataclasses

import numpy as np
import pytest

import rac_jax
from rac_jax import media
from rac_jax.counting.counter import Counter
from rac_jax.counting.estimator import Chunk, Partial, ReadAgain, SourceInfo
from rac_jax.counting.family import Family
from rac_jax.counting.needs import FrameNeeds, Needs, SoundNeeds
from rac_jax.counting.options import option
from rac_jax.counting.rate import Rate
from rac_jax.counting.result import Measurement
from rac_jax.counting.source import FileSource
from rac_jax.media import MediaError
from tests.conftest import knocks, moving_square


@dataclasses.dataclass(frozen=True)
class RecorderOptions:
    readings: int = option(1, "how often a video is read", least=1)
    sight: bool = option(True, "hear only")
    sound: bool = option(True, "see only")


@dataclasses.dataclass(frozen=True)
class RecorderState:
    info: SourceInfo
    left: int
    times_s: tuple[np.ndarray, ...] = ()
    samples: tuple[np.ndarray, ...] = ()


class Recorder(Family):
    """A family that counts nothing and remembers what it was fed; it is its own estimator."""

    name = "recorder"
    Options = RecorderOptions

    def __init__(self):
        self.started: list[SourceInfo] = []
        self.readings: list[RecorderState] = []

    def needs(self, config, options) -> Needs:
        return Needs(
            FrameNeeds(size=(16, 16)) if options.sight else None,
            SoundNeeds(22050) if options.sound else None,
        )

    def network(self, **arguments):
        raise NotImplementedError

    def example_inputs(self, network):
        raise NotImplementedError

    def estimator(self, network, variables, config, batch_sizes=None):
        return self

    def start(self, info, options):
        self.started.append(info)
        return RecorderState(info, options.readings)

    def feed(self, state, chunk: Chunk):
        state = dataclasses.replace(
            state,
            times_s=(*state.times_s, chunk.times_s),
            samples=(*state.samples, chunk.samples),
        )
        return state, Partial()

    def finish(self, state):
        self.readings.append(state)
        if state.left > 1:
            return ReadAgain(RecorderState(state.info, state.left - 1))
        times = np.concatenate(state.times_s or [np.zeros(0)])
        end_s = float(times[-1]) + 0.04 if len(times) else 0.0
        return Measurement(0.0, Rate(), end_s=end_s)


@pytest.fixture
def recorder():
    return Counter(Recorder(), None, {}, {"name": "recorder"})


@pytest.fixture(scope="module")
def tiny(tiny_model):
    return rac_jax.load(tiny_model, batch_sizes=(4, 1))


def heard(state) -> np.ndarray:
    return np.concatenate(state.samples)


def seen(state) -> np.ndarray:
    return np.concatenate(state.times_s)


def test_everything_is_fed_once(recorder, clip):
    result = recorder.count(clip)
    ((info,), (state,)) = recorder.family.started, recorder.family.readings
    assert info.name == result.file == str(clip)
    assert (info.start_s, info.has_picture, info.has_sound) == (0.0, True, True)
    assert info.fps == pytest.approx(25)
    np.testing.assert_allclose(seen(state), np.arange(100) / 25, atol=1e-3)
    assert len(heard(state)) == pytest.approx(4 * 22050, abs=2048)
    assert result.duration_s == pytest.approx(4.0, abs=0.1)
    assert (result.model, result.family) == ("recorder", "recorder")
    assert result.seconds > 0


def test_a_second_reading(recorder, clip):
    recorder.count(clip, readings=3)
    first, second, third = recorder.family.readings
    assert len(recorder.family.started) == 1
    for again in (second, third):
        np.testing.assert_array_equal(seen(again), seen(first))
        np.testing.assert_array_equal(heard(again), heard(first))


def test_what_is_not_needed_is_not_read(recorder, clip):
    recorder.count(clip, sound=False)
    recorder.count(clip, sight=False)
    deaf, blind = recorder.family.readings
    assert (deaf.info.has_picture, deaf.info.has_sound) == (True, False)
    assert not len(heard(deaf))
    assert (blind.info.has_picture, blind.info.has_sound) == (False, True)
    assert blind.info.fps == 0.0
    assert not len(seen(blind))


def test_array_and_file_agree(tiny, clip):
    """The same numbers from arrays as from the file, up to its lossy compression."""
    result = tiny.count(clip)
    video = media.read_video(clip, size=(32, 32))
    waveform = media.read_audio(clip)
    again = tiny.count(video.frames, fps=25, waveform=waveform, audio_rate=22050)
    assert again.details["stride"] == result.details["stride"]
    for one, other in zip(again.streams, result.streams, strict=True):
        assert one.count == pytest.approx(other.count, rel=1e-4)
        assert one.weight == pytest.approx(other.weight, abs=1e-4)


def test_an_array_of_another_sound_rate(recorder):
    recorder.count(None, waveform=knocks(2.0, rate=8000), audio_rate=8000)
    (state,) = recorder.family.readings
    assert len(heard(state)) == pytest.approx(44100, abs=50)


def test_a_part_of_a_file(recorder, clip):
    part = recorder.count(clip, start_s=1.0, end_s=3.0)
    (state,) = recorder.family.readings
    assert (part.start_s, state.info.start_s) == (1.0, 1.0)
    assert part.duration_s == pytest.approx(2.0, abs=0.05)
    assert seen(state)[0] == pytest.approx(1.0, abs=0.05)
    assert len(heard(state)) == pytest.approx(2 * 22050, abs=2048)


def test_a_picture_that_has_no_frames_in_the_part_is_none(recorder, tmp_path):
    """The sound goes on for two seconds more."""
    from rac_jax.media import encode

    path = tmp_path / "long.mp4"
    encode.write_video(path, moving_square(50), 25, knocks(4.0), 22050)
    result = recorder.count(path, start_s=2.5)
    assert [info.has_picture for info in recorder.family.started] == [True, False]
    assert result.duration_s == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize("protocol", ["paper", "released"])
def test_a_file_that_is_being_read_already(tiny, clip, protocol):
    needs = tiny.family.needs(tiny.config, tiny.options(protocol=protocol))
    part = {"start_s": 1.0, "end_s": 3.0}
    source = FileSource(clip, needs, **part)
    source.begin()
    begun = tiny.count(source, protocol=protocol)
    assert begun.start_s == 1.0
    plain = tiny.count(clip, protocol=protocol, **part)
    assert begun.to_dict() | {"seconds": 0} == plain.to_dict() | {"seconds": 0}
    # Read a second time from its start.
    again = tiny.count(source, protocol=protocol, **part)
    assert again.count == plain.count
    with pytest.raises(ValueError, match="an open file has its own"):
        tiny.count(source, protocol=protocol, end_s=2.0)
    with pytest.raises(ValueError, match="are for arrays"):
        tiny.count(source, protocol=protocol, fps=25.0)


def test_a_file_for_another_model(recorder, clip):
    source = FileSource(clip, Needs(FrameNeeds(size=(17, 17)), None))
    with pytest.raises(ValueError, match=r"clip\.mp4: was opened for another model"):
        recorder.count(source)


@pytest.mark.parametrize(
    "options,message",
    [
        ({"start_s": -1.0}, "start_s: must be at least 0"),
        ({"start_s": float("nan")}, "start_s: must be at least 0"),
        ({"start_s": 2.0, "end_s": 1.0}, "end_s: must be after start_s"),
        ({"fps": 25.0}, "are for arrays"),
        ({"audio_rate": 22050}, "are for arrays"),
        ({"readings": 0}, "readings: must be at least 1, not 0"),
        (
            {"stride": 2},
            r"stride: is no option of recorder \(it has: readings, sight, sound\)",
        ),
    ],
)
def test_bad_arguments(recorder, clip, options, message):
    with pytest.raises(ValueError, match=message):
        recorder.count(clip, **options)


def test_a_family_without_options_refuses_all(clip):
    with pytest.raises(ValueError, match=r"sight: is no option of .* \(it has: none\)"):
        rac_jax.load("self-similarity").count(clip, sight=False)


def test_a_part_of_an_array_is_cut_by_its_owner(recorder):
    with pytest.raises(ValueError, match="are for files; cut the array"):
        recorder.count(moving_square(3), start_s=1.0)
    with pytest.raises(MediaError, match="<array>: has no picture and no sound"):
        recorder.count(None)


def test_nothing_to_count_by(recorder, silent_clip):
    with pytest.raises(MediaError, match=r"silent\.mp4: has no sound to count by"):
        recorder.count(silent_clip, sight=False)
    with pytest.raises(MediaError, match="has no picture to count by"):
        recorder.count(None, waveform=knocks(1.0), audio_rate=22050, sound=False)
    with pytest.raises(MediaError, match="has no frames in the part to count"):
        recorder.count(silent_clip, start_s=100.0)


def test_an_estimator_can_be_fed_by_hand(recorder):
    estimator = recorder.estimator
    info = SourceInfo("by hand", 0.0, 25.0, True, False)
    state = estimator.start(info, recorder.options())
    chunk = Chunk(np.zeros((2, 16, 16, 3), np.uint8), np.zeros(2), np.zeros(0))
    state, partial = estimator.feed(state, chunk)
    assert partial.count is None
    assert estimator.finish(state).count == 0.0
