"""Our released protocol against PyTorch running the released procedure, from files to counts."""

import json

import numpy as np
import pytest

import rac_jax
from benchmarks.torch_reference import release
from benchmarks.torch_reference.released_procedure import ReleasedProcedure
from rac_jax import media
from rac_jax.cli import main as cli
from rac_jax.media import encode
from tests.conftest import knocks, moving_square

SMALL = 32  # pixels; the networks are convolutional, and this keeps the test short


@pytest.fixture(scope="module")
def networks():
    return release.Release(seed=3).eval()


@pytest.fixture(scope="module")
def converted(networks, tmp_path_factory):
    """The released files, converted by the command a user would run."""
    files = release.save(networks, tmp_path_factory.mktemp("release"))
    out = tmp_path_factory.mktemp("converted") / "model"
    arguments = ["convert", "sight-sound-release", "--out", str(out)]
    for option, file in (
        ("--sight", "visual_checkpoint.pt"),
        ("--sound", "audio_checkpoint.pt"),
        ("--stride", "sr_checkpoint.pt"),
        ("--reliability", "conf_checkpoint.pt"),
    ):
        arguments += [option, str(files[file])]
    assert cli.main(arguments) == 0
    return out


def compare(networks, counter, path, size):
    """Both sides on one file; returns the number of random pairs."""
    video = media.read_video(path, size=(size, size), interpolation="bilinear")
    waveform = media.read_audio(path)
    theirs = ReleasedProcedure(networks, video.frames, waveform).count()
    ours = counter.count(path)
    details, (sight, sound) = ours.details, ours.streams
    assert details["protocol"] == "released"
    assert details["stride"] == theirs.stride
    np.testing.assert_allclose(
        list(details["stride_scores"].values()),
        theirs.stride_scores,
        rtol=1e-3,
        atol=1e-4,
    )
    assert sight.count == pytest.approx(theirs.sight, abs=1e-3)
    assert sound.count == pytest.approx(theirs.sound, abs=1e-3)
    if not theirs.random_pairs:
        assert sight.weight == pytest.approx(theirs.sight_weight, abs=1e-4)
        assert ours.count == pytest.approx(theirs.count, abs=2e-3)
    return theirs.random_pairs


def test_whole_procedure(networks, converted, tmp_path):
    config = json.loads((converted / "config.json").read_text())
    config["preprocessing"]["size"] = SMALL
    (converted / "config.json").write_text(json.dumps(config))
    counter = rac_jax.load(converted)
    random_pairs = []
    # Under one window, and several with a padded last one.
    for frames in (50, 230):
        path = tmp_path / f"{frames}.mp4"
        sound = knocks(frames / 25, period_s=0.23)
        encode.write_video(path, moving_square(frames), 25, sound, 22050)
        random_pairs.append(compare(networks, counter, path, SMALL))
    assert 0 in random_pairs  # so that the reliability was compared at least once


@pytest.mark.slow
def test_whole_procedure_at_full_size(networks, converted, tmp_path):
    config = json.loads((converted / "config.json").read_text())
    config["preprocessing"]["size"] = 112
    (converted / "config.json").write_text(json.dumps(config))
    path = tmp_path / "full.mp4"
    video = moving_square(200, 144, 176)
    encode.write_video(path, video, 25, knocks(8.0, period_s=0.4), 22050)
    compare(networks, rac_jax.load(converted), path, 112)
