"""Examples are cut where they should be, and labelled with what is in them."""

import dataclasses
import pickle

import numpy as np
import pytest

from rac_jax.data.labelled import LabelledVideo
from rac_jax.models.sight_sound import samplers as examples

LENGTH, COLUMNS = 256, 1024


def video(**changes) -> LabelledVideo:
    frames = np.zeros((LENGTH, 2, 2, 3), np.uint8)
    frames += np.arange(LENGTH, dtype=np.uint8)[:, None, None, None]
    columns = np.tile(np.arange(COLUMNS, dtype=np.float16), (257, 1))
    starts = np.arange(8) * 32.0
    whole = {
        "video_id": "v",
        "frames": frames,
        "fps": 25.0,
        "columns": columns,
        "count": 8.0,
        "cycles": np.stack([starts, starts + 32], axis=1).astype(np.float32),
        "label": "hop",
    }
    return LabelledVideo(**whole | changes)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("period", "rule", "stride"),
    [
        (8.0, "two_repetitions", 1),
        (32.0, "two_repetitions", 1),
        (33.0, "two_repetitions", 2),
        (100.0, "two_repetitions", 4),
        (1000.0, "two_repetitions", 8),
        (np.inf, "two_repetitions", 8),
        (29.0, "released", 1),
        (30.0, "released", 2),
        (62.0, "released", 3),
    ],
)
def test_the_positive_stride_is_the_smallest_that_covers_two(period, rule, stride):
    assert examples.positive_stride(period, 8, rule) == stride


def test_rules_are_listed():
    with pytest.raises(ValueError, match="positive: 'best' is not one of"):
        examples.positive_stride(3.0, 8, "best")


def test_a_clip_is_at_the_videos_stride_and_counts_what_it_covers():
    slow = video(count=4.0, cycles=None)  # 64 frames each: stride 2
    cut = examples.SightCut(size=2, largest=8)
    starts = set()
    for seed in range(20):
        example = cut(slow, rng(seed))
        shown = example["clip"][:, 0, 0, 0].astype(int)
        assert (np.diff(shown) == 2).all() and example["real"].all()
        assert example["count"] == pytest.approx(2.0)
        assert example["rate"].sum() == pytest.approx(2.0, rel=1e-5)
        starts.add(shown[0])
    assert len(starts) > 10 and max(starts) <= LENGTH - 128


def test_a_short_video_is_padded():
    short = video(frames=video().frames[:40], count=2.0, cycles=None)
    example = examples.SightCut(size=2, largest=8)(short, rng())
    assert example["real"].sum() == 40 and example["real"][:40].all()
    assert not example["clip"][40:].any()
    assert example["count"] == pytest.approx(2.0)


def test_labels_by_share_and_by_cycles():
    # All repetitions lie in the first half.
    starts = np.arange(8) * 16.0
    uneven = video(cycles=np.stack([starts, starts + 16], axis=1).astype(np.float32))
    late = {"stride": 1, "start": 192}
    by_share = examples.SightCut(2, 8, labels="share").at(uneven, **late)
    by_cycles = examples.SightCut(2, 8, labels="cycles").at(uneven, **late)
    assert by_share["count"] == pytest.approx(2.0)
    assert by_cycles["count"] == 0.0
    early = examples.SightCut(2, 8, labels="cycles").at(uneven, 1, 0)
    assert early["count"] == pytest.approx(4.0)


def test_strides_jitter_within_their_bounds():
    cut = examples.SightCut(size=2, largest=2, jitter=1)
    strides = set()
    for seed in range(20):
        shown = cut(video(), rng(seed))["clip"][:, 0, 0, 0].astype(int)
        strides.add(int(shown[1] - shown[0]))
    assert strides == {1, 2}


def test_action_labels_are_numbers_of_classes():
    cut = examples.SightCut(size=2, largest=8, classes=("chop", "hop"))
    assert cut(video(), rng())["label"] == 1
    assert cut(video(label="run"), rng())["label"] == -1


def test_segments_of_sound_hold_two_repetitions():
    slow = video(count=2.0, cycles=None)  # 512 columns each
    cut = examples.SoundCut()
    lengths = []
    for seed in range(20):
        example = cut(slow, rng(seed))
        assert example["spectrogram"].shape == (257, 500)
        assert example["count"] == pytest.approx(example["rate"].sum(), rel=1e-5)
        assert example["count"] >= 1.99
        lengths.append(float(np.ptp(example["spectrogram"][0].astype(float))))
    assert min(lengths) > 1000


def test_segments_of_fast_sound_are_native_or_squeezed():
    steps = set()
    for seed in range(20):
        example = examples.SoundCut(highest=6.0)(video(), rng(seed))
        row = example["spectrogram"][0].astype(float)[: example["columns"]]
        step = (row[-1] - row[0]) / (len(row) - 1)
        covered = step * 500 / 128  # a repetition is 128 columns long
        assert example["count"] == pytest.approx(covered, rel=0.02)
        assert example["count"] <= 6.01
        steps.add(round(float(step), 1))
    assert 1.0 in steps and len(steps) > 2


def test_silence_is_no_example_of_sound():
    example = examples.SoundCut()(video(columns=None), rng())
    assert not example["mask"] and not example["spectrogram"].any()


def test_the_sound_under_a_clip_is_its_span_of_time():
    # 4 columns to a frame: 100 frames are 400 columns, 128 are squeezed into 500.
    under = examples.sound_under(video(), 16, 116)[0].astype(float)
    np.testing.assert_array_equal(under[:400], np.arange(64, 464))
    assert not under[400:].any()
    squeezed = examples.sound_under(video(), 16, 144)[0].astype(float)
    expected = 64 + (np.arange(500) + 0.5) * 512 / 500 - 0.5
    # float16 holds these columns to a quarter.
    np.testing.assert_allclose(squeezed, np.clip(expected, 64, 575), atol=0.3)
    assert not examples.sound_under(video(columns=None), 0, 64).any()


def test_columns_outside_are_zero():
    columns = np.array([[1.0, 2.0, 4.0]], np.float16)
    positions = np.array([0.0, 0.5, 1.25, 2.0, 2.5, 3.0, -1.0])
    gathered = examples.gather_columns(columns, positions)
    np.testing.assert_allclose(gathered[0], [1, 1.5, 2.5, 4, 2, 0, 0])


def test_a_pair_of_strides_has_the_sound_of_each():
    cut = examples.StrideCut(2, (1, 2, 4), {"v": 0}, {"v": [2]})
    pair = cut(video(), rng())
    shown = pair["clip"][:, :, 0, 0, 0].astype(int)
    assert (np.diff(shown[0]) == 1).all() and (np.diff(shown[1]) == 4).all()
    first = pair["spectrogram"][:, 0, 0].astype(float)
    np.testing.assert_allclose(first, 4.0 * shown[:, 0], atol=1.0)
    assert not cut.__class__(2, (1, 2), {"v": 0}, {"v": []})(video(), rng())["mask"]


def test_reliability_examples_carry_both_counts():
    cut = examples.ReliabilityCut(2, "share", {"v": 1}, {"v": 7.5}, {"v": 3.0})
    example = cut(video(), rng())
    assert (example["sight"], example["sound"], example["count"]) == (7.5, 3.0, 8.0)
    assert example["clip_count"] == pytest.approx(2.0)
    assert not cut(video(count=0.0), rng())["mask"]


CUTS = [
    examples.SightCut(2, 8),
    examples.SoundCut(),
    examples.StrideCut(2, (1, 2), {"v": 0}, {"v": [1]}),
    examples.ReliabilityCut(2, "cycles", {"v": 1}, {"v": 1.0}, {"v": 1.0}),
]


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: type(cut).__name__)
def test_blanks_look_like_examples_and_cuts_travel(cut):
    example, blank = cut(video(), rng()), cut.blank()
    assert example.keys() == blank.keys()
    for name, value in example.items():
        assert np.shape(value) == np.shape(blank[name]), name
        assert np.asarray(value).dtype == np.asarray(blank[name]).dtype, name
    again = pickle.loads(pickle.dumps(cut))
    assert dataclasses.asdict(again) == dataclasses.asdict(cut)
    for name, value in again(video(), rng()).items():
        np.testing.assert_array_equal(value, example[name])
