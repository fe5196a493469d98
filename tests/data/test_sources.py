"""Labelled parts are decoded with the sound of their own time, from files and from TFDS."""

import numpy as np
import pytest

from rac_jax import media
from rac_jax.data.annotations import Annotation
from rac_jax.data.sources import FeatureSource, MediaSource
from rac_jax.media import encode
from rac_jax.media.container import MediaError
from tests.media import media_factory

FRAMES, RATE = 100, 22050


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Four seconds whose frames carry their number, silent but for the third second."""
    path = tmp_path_factory.mktemp("sources") / "clip.mp4"
    waveform = np.random.default_rng(0).normal(size=4 * RATE).astype(np.float32) * 0.1
    waveform[: 2 * RATE] = 0
    waveform[3 * RATE :] = 0
    frames = media_factory.coded_frames(FRAMES)
    encode.write_video(path, frames, 25, waveform, RATE)
    return path


def one(path, size=48, **changes):
    fields = {"video_id": "clip", "path": str(path), "count": 4.0}
    return MediaSource([Annotation(**fields | changes)], size, RATE)


def test_the_whole_file(clip):
    source = one(clip, label="hop")
    video = source[0]
    assert video.frames.shape == (FRAMES, 48, 48, 3) and video.fps == 25
    assert media_factory.read_codes(video.frames) == list(range(FRAMES))
    assert (video.video_id, video.count, video.label) == ("clip@0.000", 4.0, "hop")
    assert video.waveform.shape == (4 * RATE,) and video.waveform.dtype == np.float32
    assert video.audio_rate == RATE
    assert len(source) == 1 and source.name(0) == str(clip)


@pytest.mark.parametrize("interpolation", ["area", "bilinear"])
def test_frames_are_resized_as_they_will_be_counted(interpolation, clip):
    annotation = Annotation(video_id="clip", path=str(clip), count=4.0, end_s=0.5)
    found = MediaSource([annotation], 20, RATE, interpolation)[0].frames
    expected = media.read_video(
        clip, size=(20, 20), interpolation=interpolation, end_s=0.5
    )
    np.testing.assert_array_equal(found, expected.frames)
    other = {"area": "bilinear", "bilinear": "area"}[interpolation]
    assert (MediaSource([annotation], 20, RATE, other)[0].frames != found).any()


def test_black_bars_keep_the_aspect_ratio(tmp_path):
    path = tmp_path / "wide.mp4"
    encode.write_video(path, np.full((3, 32, 64, 3), 200, np.uint8), 25)
    annotation = Annotation(video_id="wide", path=str(path), count=0.0)
    frames = MediaSource([annotation], 16, RATE, pad=True)[0].frames
    assert frames.shape == (3, 16, 16, 3)
    assert (frames[:, :4] == 0).all() and (frames[:, 12:] == 0).all()
    assert (frames[:, 4:12] > 180).all()
    assert (MediaSource([annotation], 16, RATE)[0].frames > 180).all()


def test_a_part_has_its_own_frames_sound_cycles_and_events(clip):
    cycles = np.array([[1.0, 2.0], [2.0, 3.0]])
    events = np.array([0.5, 2.0, 2.5, 3.5])
    known = {"phases": ("down", "up"), "groups": {"place": "hall"}}
    source = one(
        clip, start_s=1.0, end_s=3.0, cycles_s=cycles, events_s=events, **known
    )
    video = source[0]
    assert media_factory.read_codes(video.frames) == list(range(25, 75))
    np.testing.assert_allclose(video.cycles, [[0, 25], [25, 50]])
    np.testing.assert_allclose(video.events, [25, 37.5])
    assert (video.phases, video.groups) == (known["phases"], known["groups"])
    # The first second of it is silent, the other is not.
    assert video.waveform.shape == (2 * RATE,)
    loud = np.abs(video.waveform).reshape(100, -1).max(axis=1)  # per 20 ms
    assert loud[:45].max() < 0.01 < loud[55:95].min()
    assert source.name(0) == f"{clip} from 1 to 3 s"


def test_silence_is_no_sound(clip):
    video = one(clip, start_s=0.0, end_s=1.5)[0]
    assert (video.waveform, video.audio_rate) == (None, 0)


def test_the_sound_beside_a_silent_video(tmp_path):
    path = tmp_path / "mute.mp4"
    encode.write_video(path, media_factory.coded_frames(50), 25)
    assert one(path)[0].waveform is None
    waveform = np.random.default_rng(0).normal(size=RATE).astype(np.float32) * 0.1
    media_factory.make_wav(tmp_path / "mute.wav", waveform, RATE)
    heard = one(path)[0].waveform
    # The sound ends after one of two seconds: the rest is zeros.
    assert heard.shape == (2 * RATE,)
    np.testing.assert_allclose(heard[:RATE], waveform, atol=1e-4)
    assert not heard[RATE:].any()


def test_faint_noise_is_a_sound_and_dither_is_none(tmp_path):
    path = tmp_path / "mute.mp4"
    encode.write_video(path, media_factory.coded_frames(25), 25)
    noise = np.random.default_rng(0).normal(size=RATE)
    media_factory.make_wav(tmp_path / "mute.wav", 3e-5 * noise, RATE)
    assert one(path)[0].waveform is None
    media_factory.make_wav(tmp_path / "mute.wav", 3e-4 * noise, RATE)
    assert one(path)[0].waveform is not None


def test_the_sound_has_the_wanted_rate(clip):
    annotation = Annotation(video_id="clip", path=str(clip), count=4.0, start_s=2.0)
    video = MediaSource([annotation], 48, 16000)[0]
    assert video.audio_rate == 16000 and video.waveform.shape == (2 * 16000,)
    assert np.abs(video.waveform[:16000]).max() > 0.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start_s": 9.0}, "has no frames after 9 s"),
        ({"start_s": 9.0, "end_s": 10.0}, "has no frames from 9 to 10 s"),
    ],
)
def test_what_cannot_be_decoded_is_named(clip, changes, message):
    with pytest.raises(MediaError, match=message):
        one(clip, **changes)[0]
    with pytest.raises(MediaError, match="none.mp4"):
        one("none.mp4")[0]
    with pytest.raises(IndexError, match="video 1 of 1"):
        one(clip)[1]


def test_examples_with_bytes_or_paths_are_videos(clip):
    examples = [
        {"video": clip.read_bytes(), "count": 4, "label": b"hop", "video_id": b"x"},
        {"path": str(clip).encode(), "count": np.float32(2), "start_s": 1.0},
        {
            "path": str(clip),
            "count": 2,
            "end_s": float("nan"),
            "cycles_s": [],
            "events_s": [1.0, 2.5],
        },
    ]
    source = FeatureSource(examples, 48, RATE)
    first, second, third = (source[index] for index in range(3))
    np.testing.assert_array_equal(first.frames, one(clip)[0].frames)
    assert (first.video_id, first.label, first.count) == ("x@0.000", "hop", 4.0)
    assert len(second.frames) == 75 and second.count == 2.0
    assert third.cycles.shape == (0, 2) and len(third.frames) == FRAMES
    np.testing.assert_allclose(third.events, [25, 62.5])
    assert first.events is None and first.audio_rate == RATE


def test_a_data_set_of_classes_has_no_counts(clip):
    source = FeatureSource([{"path": str(clip), "label": b"hop"}], 48, RATE)
    assert (source[0].label, source[0].count) == ("hop", 0.0)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ({"count": 1}, "example 0: has no field 'video' or 'path', it has: count"),
        ({"path": "a.mp4"}, "example 0: has no field 'count', it has: path"),
        ({"path": "a.mp4", "count": "x"}, "example 0: count 'x' is not a number"),
        ({"path": "a.mp4", "count": -1}, "example 0: count -1.0 must be at least 0"),
        (
            {"path": "a.mp4", "count": 1, "cycles_s": [1.0, 2.0]},
            r"example 0: cycles_s must be \[K, 2\], not \[2\]",
        ),
        (
            {"path": "a.mp4", "count": 1, "events_s": [[1.0, 2.0]]},
            r"example 0: events_s must be \[E\], not \[1, 2\]",
        ),
        ({"video": b"nothing", "count": 1}, "example 0: "),
    ],
)
def test_wrong_examples_are_named(example, message):
    with pytest.raises(ValueError, match=message):
        FeatureSource([example], 48, RATE)[0]


def test_a_prepared_tfds_data_set(clip, tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")

    class TinyRepetitions(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = tmp_path  # this file is no package

        def _info(self):
            features = {
                "video": tfds.features.Tensor(shape=(), dtype=np.object_),
                "count": np.float32,
                "events_s": tfds.features.Tensor(shape=(None,), dtype=np.float64),
            }
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for index in range(2):
                yield (
                    index,
                    {
                        "video": clip.read_bytes(),
                        "count": 3.0 + index,
                        "events_s": [1.0, 3.0],
                    },
                )

    builder = TinyRepetitions(data_dir=str(tmp_path), file_format="array_record")
    builder.download_and_prepare()
    source = FeatureSource(builder.as_data_source("train"), 48, RATE)
    assert len(source) == 2
    counts = sorted(source[index].count for index in range(2))
    assert counts == [3.0, 4.0] and len(source[0].frames) == FRAMES
    np.testing.assert_allclose(source[0].events, [25, 75])
