"""Examples are cut where they should be, and labelled with what is in them."""

import dataclasses
import pickle
import subprocess
import sys

import numpy as np
import pytest

from rac_jax.data.labelled import LabelledVideo
from rac_jax.models.sight_sound import clips as clip_index
from rac_jax.models.sight_sound import samplers
from rac_jax.models.sight_sound.columns import SpectrogramReader
from rac_jax.ops.sound_format import COLUMNS_PER_S, HOP, RATE, WINDOW

LENGTH, COLUMNS = 256, 1024
FPS = COLUMNS_PER_S / 4  # 4 columns to a frame


class Ramp(SpectrogramReader):
    """A spectrogram whose columns hold their own number."""

    def read(self, positions):
        last = self.columns - 1
        there = (positions >= 0) & (positions <= last + 1)
        # One past the last column is blended with zero.
        past = np.clip(positions - last, 0, 1)
        return np.tile(np.minimum(positions, last) * (1 - past) * there, (257, 1))


@pytest.fixture
def ramp(monkeypatch):
    """Spectrograms whose columns hold their own number, in place of those of the sound."""
    monkeypatch.setattr(samplers, "SpectrogramReader", Ramp)


def video(**changes) -> LabelledVideo:
    frames = np.zeros((LENGTH, 2, 2, 3), np.uint8)
    frames += np.arange(LENGTH, dtype=np.uint8)[:, None, None, None]
    samples = WINDOW + (COLUMNS - 1) * HOP
    waveform = np.random.default_rng(1).normal(0, 0.1, samples).astype(np.float32)
    starts = np.arange(8) * 32.0
    whole = {
        "video_id": "v",
        "frames": frames,
        "fps": FPS,
        "waveform": waveform,
        "audio_rate": RATE,
        "count": 8.0,
        "cycles": np.stack([starts, starts + 32], axis=1).astype(np.float32),
        "label": "hop",
    }
    return LabelledVideo(**whole | changes)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_a_clip_is_at_the_videos_stride_and_counts_what_it_covers():
    slow = video(count=4.0, cycles=None)  # 64 frames each: stride 2
    sampler = samplers.SightSampler(size=2, largest=8)
    starts = set()
    for seed in range(20):
        example = sampler(slow, rng(seed))
        shown = example["clip"][:, 0, 0, 0].astype(int)
        assert (np.diff(shown) == 2).all() and example["real"].all()
        assert example["count"] == pytest.approx(2.0)
        assert example["rate"].sum() == pytest.approx(2.0, rel=1e-5)
        starts.add(shown[0])
    assert len(starts) > 10 and max(starts) <= LENGTH - 128


def test_a_short_video_is_padded():
    short = video(frames=video().frames[:40], count=2.0, cycles=None)
    example = samplers.SightSampler(size=2, largest=8)(short, rng())
    assert example["real"].sum() == 40 and example["real"][:40].all()
    assert not example["clip"][40:].any()
    assert example["count"] == pytest.approx(2.0)


def test_labels_by_share_and_by_cycles():
    # All repetitions lie in the first half.
    starts = np.arange(8) * 16.0
    uneven = video(cycles=np.stack([starts, starts + 16], axis=1).astype(np.float32))
    late = {"stride": 1, "start": 192}
    by_share = samplers.SightSampler(2, 8, labels="share").at(uneven, **late)
    by_cycles = samplers.SightSampler(2, 8, labels="cycles").at(uneven, **late)
    assert by_share["count"] == pytest.approx(2.0)
    assert by_cycles["count"] == 0.0
    early = samplers.SightSampler(2, 8, labels="cycles").at(uneven, 1, 0)
    assert early["count"] == pytest.approx(4.0)


def test_strides_jitter_within_their_bounds():
    sampler = samplers.SightSampler(size=2, largest=2, jitter=1)
    strides = set()
    for seed in range(20):
        shown = sampler(video(), rng(seed))["clip"][:, 0, 0, 0].astype(int)
        strides.add(int(shown[1] - shown[0]))
    assert strides == {1, 2}


def test_action_labels_are_numbers_of_classes():
    sampler = samplers.SightSampler(size=2, largest=8, classes=("chop", "hop"))
    assert sampler(video(), rng())["label"] == 1
    assert sampler(video(label="run"), rng())["label"] == -1


@pytest.mark.parametrize("squeeze", ["two_repetitions", "random"])
def test_segments_of_sound_hold_two_repetitions(squeeze, ramp):
    slow = video(count=2.0, cycles=None)  # 512 columns each
    sampler = samplers.SoundSampler(squeeze=squeeze)
    lengths = []
    for seed in range(20):
        example = sampler(slow, rng(seed))
        assert example["spectrogram"].shape == (257, 500)
        assert example["count"] == pytest.approx(example["rate"].sum(), rel=1e-5)
        assert example["count"] >= 1.99
        lengths.append(float(np.ptp(example["spectrogram"][0].astype(float))))
    assert min(lengths) > 1000


def columns_and_counts(sampler, of, number=20):
    """[N, 2]: columns to a column of the segment, and the counts; each labelled by its rates."""
    found = []
    for seed in range(number):
        example = sampler(of, rng(seed))
        row = example["spectrogram"][0].astype(float)[: example["columns"]]
        step = (row[-1] - row[0]) / (len(row) - 1)
        assert example["count"] == pytest.approx(example["rate"].sum(), rel=1e-5)
        found.append((round(float(step), 1), float(example["count"])))
    return np.array(found)


def test_segments_of_fast_sound_are_native_or_squeezed(ramp):
    # A repetition is 128 columns long.
    sampler = samplers.SoundSampler(squeeze="random", highest=6.0)
    steps, counts = columns_and_counts(sampler, video()).T
    np.testing.assert_allclose(counts, steps * 500 / 128, rtol=0.06)
    assert counts.max() <= 6.01 and 1.0 in steps and len(set(steps)) > 2


def test_segments_of_fast_sound_stay_native_in_the_papers_reading(ramp):
    steps, counts = columns_and_counts(samplers.SoundSampler(), video()).T
    assert set(steps) == {1.0} and counts == pytest.approx(500 / 128, rel=1e-3)


def test_released_segments_are_the_whole_or_spans_of_about_one(ramp):
    sampler = samplers.SoundSampler(squeeze="released")
    # 8 repetitions are not over 8: all 1024 columns.
    steps, counts = columns_and_counts(sampler, video(cycles=None)).T
    assert steps == pytest.approx(2.0) and counts == pytest.approx(8.0, rel=1e-5)
    # 64 columns each, .8 to 1.2 segments of them.
    steps, counts = columns_and_counts(sampler, video(count=16.0, cycles=None)).T
    assert 0.8 <= steps.min() < 0.95 and 1.05 < steps.max() <= 1.2
    np.testing.assert_allclose(counts, steps * 500 / 64, rtol=0.07)


def test_a_short_released_spectrogram_may_have_a_part_of_itself_appended(ramp):
    short = video(
        frames=video().frames[:50],
        waveform=video().waveform[: WINDOW + 199 * HOP],
        count=2.0,
        cycles=None,
    )
    sampler = samplers.SoundSampler(squeeze="released")
    counts, jumps = [], []
    for seed in range(40):
        example = sampler(short, rng(seed))
        row = example["spectrogram"][0].astype(float)
        assert example["columns"] == 500 and row.max() <= 199
        # The numbers fall where the appended part begins.
        jumps.append(bool((np.diff(row) < -0.01).any()))
        counts.append(float(example["count"]))
    counts, jumps = np.array(counts), np.array(jumps)
    assert 4 <= jumps.sum() <= 22
    np.testing.assert_allclose(counts[~jumps], 2.0, rtol=1e-5)
    assert (counts[jumps] > 2.0).all() and counts.max() <= 4.0


SILENT = {"waveform": None, "audio_rate": 0}


def test_silence_is_no_example_of_sound():
    example = samplers.SoundSampler()(video(**SILENT), rng())
    assert not example["mask"] and not example["spectrogram"].any()


def test_sound_goes_by_time_where_it_ends_before_the_picture():
    # The second half of the picture is silent: what is cut is labelled by when it is heard.
    half = video(waveform=video().waveform[: WINDOW + (COLUMNS // 2 - 1) * HOP])
    example = samplers.SoundSampler()(half, rng())
    assert example["columns"] == 500
    assert example["count"] == pytest.approx(500 / 128, rel=1e-3)


@pytest.mark.parametrize(
    ("first", "last", "begin", "end"),
    [(16, 116, 64, 464), (16, 144, 64, 576), (3, 3, 12, 13)],
)
def test_the_sound_under_a_clip_is_its_span_of_time(first, last, begin, end):
    # 4 columns to a frame: 100 frames are 400 columns, 128 are squeezed into 500.
    found = samplers.sound_positions(first, last, FPS, COLUMNS)
    expected = clip_index.span_columns(begin, end, COLUMNS)
    np.testing.assert_array_equal(found, expected)


def test_a_shorter_sound_does_not_stretch_what_is_under_a_clip():
    # By share of the frames, the sound of the second half would lie under the first clip.
    clip = np.arange(64, 320)
    for available in (COLUMNS, COLUMNS // 2):
        found = samplers.sound_positions(16, 80, FPS, available)
        np.testing.assert_array_equal(found[:256], clip)
        assert (found[256:] == clip_index.PADDING).all()


def test_spectrograms_are_those_of_the_waveform():
    sampler = samplers.ReliabilitySampler(2, "share", {"v": 1}, {"v": 1.0}, {"v": 1.0})
    example = sampler(video(), rng())
    start = int(example["clip"][0, 0, 0, 0])
    under = samplers.sound_positions(start, start + 64, FPS, COLUMNS)
    expected = SpectrogramReader(video().waveform).read(under)
    np.testing.assert_array_equal(example["spectrogram"], expected.astype(np.float16))
    assert not sampler(video(**SILENT), rng())["spectrogram"].any()


def test_sound_of_another_rate_is_refused():
    with pytest.raises(ValueError, match="v: its sound has 16000 samples per second"):
        samplers.SoundSampler()(video(audio_rate=16000), rng())


def test_workers_need_no_jax():
    code = (
        "import sys; import rac_jax.models.sight_sound.samplers; "
        "sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_pair_of_strides_has_the_sound_of_each(ramp):
    sampler = samplers.StrideSampler(2, (1, 2, 4), {"v": 0}, {"v": [2]})
    pair = sampler(video(), rng())
    shown = pair["clip"][:, :, 0, 0, 0].astype(int)
    assert (np.diff(shown[0]) == 1).all() and (np.diff(shown[1]) == 4).all()
    first = pair["spectrogram"][:, 0, 0].astype(float)
    np.testing.assert_allclose(first, 4.0 * shown[:, 0], atol=1.0)
    assert not sampler.__class__(2, (1, 2), {"v": 0}, {"v": []})(video(), rng())["mask"]


def test_released_pairs_start_at_one_frame():
    sampler = samplers.StrideSampler(2, (1, 2), {"v": 0}, {"v": [1]}, one_start=True)
    starts = set()
    for seed in range(10):
        first, second = sampler(video(), rng(seed))["clip"][:, 0, 0, 0, 0]
        assert first == second <= LENGTH - 2 * 64
        starts.add(int(first))
    assert len(starts) > 3


def test_released_reliability_has_random_strides_and_the_whole_sound(ramp):
    sampler = samplers.ReliabilitySampler(
        *(2, "share", {"v": 1}, {"v": 7.5}, {"v": 3.0}),
        random_strides=3,
        whole_sound=True,
    )
    strides = set()
    for seed in range(20):
        example = sampler(video(), rng(seed))
        strides.add(int(np.diff(example["clip"][:2, 0, 0, 0].astype(int))[0]))
        row = example["spectrogram"][0].astype(float)
        assert row[0] < 2 and row[-1] > COLUMNS - 3 and example["columns"] == 500
    assert strides == {1, 2, 3}


def test_reliability_examples_carry_both_counts():
    sampler = samplers.ReliabilitySampler(2, "share", {"v": 1}, {"v": 7.5}, {"v": 3.0})
    example = sampler(video(), rng())
    assert (example["sight"], example["sound"], example["count"]) == (7.5, 3.0, 8.0)
    assert example["clip_count"] == pytest.approx(2.0)
    assert not sampler(video(count=0.0), rng())["mask"]


SAMPLERS = [
    samplers.SightSampler(2, 8),
    samplers.SoundSampler(),
    samplers.StrideSampler(2, (1, 2), {"v": 0}, {"v": [1]}),
    samplers.ReliabilitySampler(2, "cycles", {"v": 1}, {"v": 1.0}, {"v": 1.0}),
]


@pytest.mark.parametrize(
    "sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__
)
def test_blanks_look_like_examples_and_they_travel(sampler):
    example, blank = sampler(video(), rng()), sampler.blank()
    assert example.keys() == blank.keys()
    for name, value in example.items():
        assert np.shape(value) == np.shape(blank[name]), name
        assert np.asarray(value).dtype == np.asarray(blank[name]).dtype, name
    again = pickle.loads(pickle.dumps(sampler))
    assert dataclasses.asdict(again) == dataclasses.asdict(sampler)
    for name, value in again(video(), rng()).items():
        np.testing.assert_array_equal(value, example[name])
