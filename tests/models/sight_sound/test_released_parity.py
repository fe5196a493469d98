"""Our released protocol against PyTorch running the released procedure."""

import flax.traverse_util
import numpy as np
import pytest
import torch

import rac_jax
from benchmarks.torch_reference import release
from benchmarks.torch_reference.released_procedure import ReleasedProcedure
from rac_jax import media
from rac_jax.cli import main as cli
from rac_jax.counting.counter import Counter
from rac_jax.interop.torch_io import LEAD
from rac_jax.media import encode
from rac_jax.models.sight_sound import FAMILY, conversion
from rac_jax.models.sight_sound.preprocessing import preprocessing
from tests.conftest import knocks, moving_square

# Pixels of the tiny networks; both sides are convolutional.
SMALL = 32
RATE = 22050
# Channels of the first stage: a sixteenth of the published networks.
BASE, WIDTH = 4, 1 / 16
# Lengths of videos, in frames: of themselves, and beside the span of a window.
LENGTHS = (20, 60, 1000)
BESIDE = (-1, 0, 1)
GRID = [
    (stride, frames)
    for stride in (1, 2, 3, 4, 5)
    for frames in (*LENGTHS, *(64 * stride + more for more in BESIDE))
]
# One of each way through the procedure: short, complete, two windows, more.
FEW = [(2, 20), (2, 128), (2, 129), (2, 300)]

pytestmark = pytest.mark.usefixtures("quick_compiling", "one_thread")


@pytest.fixture(scope="module")
def one_thread():
    """Layers this small are slower on threads that wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tiny():
    """Narrow released networks, and a counter that has their weights."""
    networks = release.Release(seed=5, base=BASE, middle=4).eval()
    arguments = conversion.RELEASE_ARGUMENTS | {
        "sight_width": WIDTH,
        "sound_width": WIDTH,
    }
    network = FAMILY.network(**arguments)
    files, flat = release.checkpoints(networks), {}
    for (file, key), table in conversion.release_tables(network).items():
        state = files[file][key].items()
        flat |= table.to_jax({n.removeprefix(LEAD): t.numpy() for n, t in state})
    config = {
        "name": "tiny-release",
        "family": FAMILY.name,
        "arguments": arguments,
        "preprocessing": preprocessing(SMALL),
        "protocol": "released",
        "max_stride": 5,
    }
    variables = flax.traverse_util.unflatten_dict(flat, sep="/")
    return networks, Counter(FAMILY, network, variables, config, batch_sizes=(1,))


def compare(networks, ours, frames, waveform, stride=None):
    """A result of ours beside the reference's answer."""
    theirs = ReleasedProcedure(networks, frames, waveform, stride).count()
    details = ours.details
    assert details["protocol"] == "released"
    assert details["stride"] == theirs.stride
    scores = list(details["stride_scores"].values())
    np.testing.assert_allclose(scores, theirs.stride_scores, rtol=1e-3, atol=1e-4)
    assert ours.stream("sight").count == pytest.approx(theirs.sight, abs=1e-3)
    assert ours.count == pytest.approx(theirs.count, abs=1e-3)
    if waveform is None:
        assert ours.stream("sound") is None
        assert details["reliability"] is None
        return theirs
    assert ours.stream("sound").count == pytest.approx(theirs.sound, abs=1e-3)
    weight = ours.stream("sight").weight
    assert weight == pytest.approx(theirs.sight_weight, abs=1e-4)
    return theirs


def count_both(tiny, frames, seconds, stride):
    """Both sides on a moving square, with knocks if seconds are given."""
    networks, counter = tiny
    video, sound, waveform = moving_square(frames, SMALL, SMALL), {}, None
    if seconds is not None:
        waveform = knocks(seconds, period_s=0.23)
        sound = {"waveform": waveform, "audio_rate": RATE}
    ours = counter.count(video, fps=25, stride=stride, **sound)
    return compare(networks, ours, video, waveform, stride)


@pytest.mark.parametrize("stride,frames", FEW)
def test_a_given_stride(tiny, stride, frames):
    count_both(tiny, frames, frames / 25, stride)


@pytest.mark.parametrize("frames,heard", [(129, False), (330, True)])
def test_the_stride_of_the_highest_score(tiny, frames, heard):
    count_both(tiny, frames, frames / 25 if heard else None, None)


@pytest.mark.slow
@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("stride,frames", GRID)
def test_every_length_at_every_stride(tiny, stride, frames, heard):
    count_both(tiny, frames, frames / 25 if heard else None, stride)


@pytest.mark.slow
@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("frames", sorted({frames for _, frames in GRID}))
def test_the_chosen_stride_at_every_length(tiny, frames, heard):
    count_both(tiny, frames, frames / 25 if heard else None, None)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.5, 3.6, 3.7, 7.3, 60.0])
def test_sound_of_another_length(tiny, seconds):
    """Padded, just one segment, just two, squeezed or not, more segments than clips."""
    count_both(tiny, 150, seconds, 1)


@pytest.mark.slow
def test_files_at_full_size(tmp_path):
    """The four files through the command a user would run, and a video file at 112 pixels."""
    networks = release.Release(seed=3).eval()
    files = release.save(networks, tmp_path)
    arguments = ["convert", "sight-sound-release", "--out", str(tmp_path / "model")]
    for option, file in (
        ("--sight", "visual_checkpoint.pt"),
        ("--sound", "audio_checkpoint.pt"),
        ("--stride", "sr_checkpoint.pt"),
        ("--reliability", "conf_checkpoint.pt"),
    ):
        arguments += [option, str(files[file])]
    assert cli.main(arguments) == 0
    path = tmp_path / "full.mp4"
    video = moving_square(200, 144, 176)
    encode.write_video(path, video, 25, knocks(8.0, period_s=0.4), RATE)
    read = media.read_video(path, size=(112, 112), interpolation="bilinear")
    ours = rac_jax.load(tmp_path / "model").count(path)
    compare(networks, ours, read.frames, media.read_audio(path))
