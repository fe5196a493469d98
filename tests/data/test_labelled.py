"""The record that training reads: its bytes, and its labels against counts done by hand."""

import json

import numpy as np
import pytest
import safetensors.numpy

from rac_jax.data import labelled
from rac_jax.data.annotations import Annotation
from rac_jax.data.labelled import LabelledVideo, VideoSummary, from_bytes, to_bytes


def video(frames: int = 100, **changes) -> LabelledVideo:
    rng = np.random.default_rng(0)
    known = {
        "video_id": "jump@1.000",
        "frames": rng.integers(0, 255, (frames, 4, 6, 3), np.uint8),
        "fps": 25.0,
        "count": 5.0,
    }
    return LabelledVideo(**known | changes)


def assert_same(first: LabelledVideo, second: LabelledVideo):
    for name in LabelledVideo.__dataclass_fields__:
        one, other = getattr(first, name), getattr(second, name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        else:
            assert type(one) is type(other)
            assert one == other


SOUND = {
    "waveform": np.sin(np.arange(900, dtype=np.float32)),
    "audio_rate": 22050,
}
CYCLES = np.array([[-5.0, 20.0], [40.0, 60.0], [90.0, 130.0]], np.float32)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        SOUND,
        {"events": np.array([0.0, 33.5, 100.0], np.float32)},
        {"events": np.zeros(0, np.float32), "phases": ("down", "up")},
        {"groups": {"place": "hall", "who": "ö"}},
        {"cycles": CYCLES},
        {"cycles": np.zeros((0, 2), np.float32), "count": 0.0},
        {"cycles": CYCLES, "turns": np.array([0.0, 45.0, 100.0], np.float32)},
        SOUND | {"waveform": SOUND["waveform"][::2], "audio_rate": 16000},
        {"cycles": CYCLES, "label": "naïve", "fps": 29.97},
        {"challenges": ("dark picture", "noise sound")},
    ],
)
def test_bytes_and_back(changes):
    whole = video(**changes)
    assert_same(whole, from_bytes(to_bytes(whole)))


def test_bytes_do_not_depend_on_the_byte_order_in_memory():
    swapped = video(cycles=CYCLES.astype(">f4"))
    assert to_bytes(swapped) == to_bytes(video(cycles=CYCLES))


def test_other_tools_read_the_bytes():
    arrays = safetensors.numpy.load(to_bytes(video(3, cycles=CYCLES, **SOUND)))
    np.testing.assert_array_equal(arrays["waveform"], SOUND["waveform"])
    assert sorted(arrays) == ["cycles", "fields", "frames", "waveform"]


def test_cut_bytes_are_refused():
    data = to_bytes(video(3, cycles=CYCLES, **SOUND))
    for length in [*range(0, 400, 3), len(data) - 1]:
        with pytest.raises(ValueError, match="not a record of a labelled video"):
            from_bytes(data[:length])
    with pytest.raises(ValueError, match="not a record of a labelled video"):
        from_bytes(data + b"\0")


def packed(**arrays) -> bytes:
    return safetensors.numpy.save(
        {name: np.frombuffer(text, np.uint8) for name, text in arrays.items()}
    )


@pytest.mark.parametrize(
    "data",
    [
        b"PNG and so on" * 9,
        packed(frames=b"no fields"),
        packed(fields=b"{"),
        packed(fields=b"[]"),
        packed(fields=b"\xff\xff"),
        packed(fields=b'{"schema": 2}'),
        packed(fields=b'{"schema": 2, "phases": [], "challenges": [], "size": 3}'),
    ],
)
def test_other_bytes_are_refused(data):
    with pytest.raises(ValueError, match="not a record of a labelled video"):
        from_bytes(data)


def test_another_schema_is_refused(monkeypatch):
    data = to_bytes(video(2))
    monkeypatch.setattr(labelled, "SCHEMA", labelled.SCHEMA + 1)
    with pytest.raises(ValueError, match="another schema"):
        from_bytes(data)


@pytest.mark.parametrize(
    "first,last,expected",
    [
        (0, 100, 5.0),
        (0, 20, 1.0),
        (30, 50, 1.0),
        (30, 35, 0.25),
        (-50, 20, 1.0),
        (90, 400, 0.5),
        (100, 200, 0.0),
        (-30, -10, 0.0),
        (50, 50, 0.0),
    ],
)
def test_share_of_the_count(first, last, expected):
    assert video().repetitions(first, last) == pytest.approx(expected)


@pytest.mark.parametrize(
    "first,last,expected",
    [
        (0, 100, 0.8 + 1 + 0.25),  # of the first 20 in 25 frames, of the last 10 in 40
        (-5, 20, 0.8),
        (40, 60, 1.0),
        (45, 50, 0.25),
        (20, 40, 0.0),
        (10, 50, 0.4 + 0.5),
        (90, 130, 0.25),
        (100, 130, 0.0),
        (-5, 0, 0.0),
    ],
)
def test_cycles_between_moments(first, last, expected):
    counted = video(cycles=CYCLES).repetitions(first, last, "cycles")
    assert counted == pytest.approx(expected)


def test_cycles_that_overlap_and_none_at_all():
    both = np.array([[0, 50], [25, 75]], np.float32)
    assert video(cycles=both).repetitions(25, 50, "cycles") == pytest.approx(1.0)
    none = np.zeros((0, 2), np.float32)
    assert video(cycles=none).repetitions(0, 100, "cycles") == 0


@pytest.mark.parametrize("labels", labelled.LABELS)
def test_progress_starts_at_zero_and_never_falls(labels):
    done = video(cycles=CYCLES).progress(np.linspace(-10, 110, 500), labels)
    assert done.dtype == np.float64
    assert done[0] == 0
    assert np.all(np.diff(done) >= 0)


def test_parts_add_up_to_the_whole():
    whole = video(cycles=CYCLES)
    for labels in labelled.LABELS:
        parts = [whole.repetitions(a, a + 13, labels) for a in range(0, 104, 13)]
        assert sum(parts) == pytest.approx(whole.repetitions(0, 100, labels))


def test_cycles_that_are_not_there():
    with pytest.raises(ValueError, match="jump@1.000: has no cycles; use labels = 's"):
        video().repetitions(0, 10, "cycles")
    with pytest.raises(ValueError, match="labels: 'density' is not one of share, cyc"):
        video().repetitions(0, 10, "density")


def test_period():
    assert video().period == 20.0
    assert video(count=0.5).period == 200.0
    assert video(count=0.0).period == float("inf")


def test_annotated_puts_times_on_the_clock_of_the_frames():
    annotation = Annotation(
        video_id="jump",
        path="jump.mp4",
        count=3,
        label="jumping",
        challenges=("dark",),
        cycles_s=np.array([[1.0, 2.0], [2.5, 4.0]]),
        turns_s=np.array([1.5, 3.0]),
        events_s=np.array([1.2, 1.5, 4.0, 11.5, 11.6]),
        phases=("down", "up"),
        groups={"place": "hall"},
    )
    frames = video().frames
    made = labelled.annotated(annotation, frames, 10.0, 1.5, *SOUND.values())
    assert (made.video_id, made.count, made.fps) == ("jump@1.500", 3, 10.0)
    assert (made.label, made.challenges) == ("jumping", ("dark",))
    assert (made.phases, made.groups) == (("down", "up"), {"place": "hall"})
    assert made.waveform is SOUND["waveform"] and made.audio_rate == 22050
    assert made.cycles.dtype == made.events.dtype == np.float32
    np.testing.assert_allclose(made.cycles, [[-5, 5], [10, 25]])
    np.testing.assert_allclose(made.turns, [0, 15])
    # The part has 100 frames: the first and the last event are not in it.
    np.testing.assert_allclose(made.events, [0, 25, 100])
    bare = labelled.annotated(
        Annotation(video_id="a", path="a.mp4", count=1), frames, 10.0, 0.0, None, 22050
    )
    assert (bare.waveform, bare.audio_rate) == (None, 0)
    assert (bare.cycles, bare.events, bare.groups) == (None, None, {})


@pytest.mark.parametrize(
    ("cycles", "message"),
    [
        ([], r"cycles must be \[K, 2\], not \[0\]"),
        ([[1.0, 2.0, 3.0]], r"cycles must be \[K, 2\], not \[1, 3\]"),
        ([[5.0, 5.0]], "a cycle does not end after its start"),
        ([[5.0, 4.0]], "a cycle does not end after its start"),
        ([[np.nan, 4.0]], "a cycle does not end after its start"),
        ([[5.0, 9.0], [1.0, 5.0]], "jump@1.000: cycles are out of order"),
    ],
)
def test_wrong_cycles_are_refused(cycles, message):
    with pytest.raises(ValueError, match=message):
        video(cycles=np.array(cycles, np.float32))


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([1.0], r"turns must be one for each of its cycles, not \[1\]"),
        ([0.0, 45.0, 140.0], "jump@1.000: a cycle turns round outside of itself"),
    ],
)
def test_wrong_turns_are_refused(turns, message):
    with pytest.raises(ValueError, match=message):
        video(cycles=CYCLES, turns=np.array(turns, np.float32))
    with pytest.raises(ValueError, match="turns must be one for each"):
        video(turns=np.array(turns, np.float32))


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([[1.0, 2.0]], r"events must be \[E\], not \[1, 2\]"),
        ([-0.5], "an event lies outside of the 100 frames"),
        ([5.0, 100.5], "an event lies outside of the 100 frames"),
        ([np.nan], "an event lies outside of the 100 frames"),
        ([5.0, 4.0], "jump@1.000: events are out of order"),
    ],
)
def test_wrong_events_are_refused(events, message):
    with pytest.raises(ValueError, match=message):
        video(events=np.array(events, np.float32))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"audio_rate": 22050}, "has no waveform, but an audio_rate of 22050"),
        (SOUND | {"audio_rate": 0}, "a waveform needs an audio_rate, not 0"),
        (SOUND | {"waveform": np.zeros((2, 9))}, r"must be \[S\], not \[2, 9\]"),
        (SOUND | {"waveform": np.zeros(0)}, r"waveform must be \[S\], not \[0\]"),
    ],
)
def test_wrong_sound_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        video(**changes)


def noise(deviation: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, deviation, 4 * 22050).astype(np.float32)


def click() -> np.ndarray:
    waveform = np.zeros(4 * 22050, np.float32)
    waveform[1000] = 0.002
    return waveform


@pytest.mark.parametrize(
    ("waveform", "silent"),
    [
        (np.zeros(0, np.float32), True),
        (np.zeros(9, np.float32), True),
        (np.full(22050, 0.2, np.float32), True),  # a constant offset is not heard
        (noise(1 / 2**15), True),  # dither of 16 bits
        (noise(5e-5), True),
        (noise(2e-4), False),  # the faintest recorder
        (noise(0.01), False),
        (click(), False),
    ],
)
def test_silence_is_digital(waveform, silent):
    assert labelled.is_silent(waveform) is silent


def test_summaries_know_a_video_without_its_arrays():
    known = {"label": "hop", "challenges": ("dark",), "groups": {"place": "hall"}}
    found = labelled.summarise(video(cycles=CYCLES, **known, **SOUND))
    assert found == VideoSummary(
        video_id="jump@1.000",
        frames=100,
        fps=25.0,
        samples=900,
        audio_rate=22050,
        count=5.0,
        period=pytest.approx(85 / 3),
        **known,
    )
    assert found.has_sound and not labelled.summarise(video()).has_sound


@pytest.mark.parametrize("count", [0.0, 2.5])
def test_summaries_survive_json(count):
    found = labelled.summarise(video(count=count, groups={"a": "b"}))
    text = json.dumps(found.to_json(), allow_nan=False)
    assert VideoSummary.from_json(json.loads(text)) == found


@pytest.mark.parametrize("change", [{"size": 1}, {"period": ...}, {"groups": 3}])
def test_wrong_summaries_are_refused(change):
    values = labelled.summarise(video()).to_json() | change
    values = {name: value for name, value in values.items() if value is not ...}
    with pytest.raises(ValueError, match="not the summary of a video"):
        VideoSummary.from_json(values)


def test_a_video_has_frames():
    with pytest.raises(ValueError, match="has no frames"):
        video(frames=0)
