"""Listen to Look's networks against PyTorch, and the released layouts."""

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.torch_reference import listen_to_look as reference
from benchmarks.torch_reference.layers import randomise
from rac_jax.interop.tables import TableError
from rac_jax.models.listen_to_look import conversion
from rac_jax.models.listen_to_look.skimming import Skimming, thinned
from rac_jax.models.listen_to_look.student import AudioNet, ImageNet, Student
from tests.encoders import layouts

pytestmark = pytest.mark.usefixtures("quick_compiling")

BASE = 8  # channels of the narrow ResNets, an eighth
VIDEOS, MOMENTS, STEPS = 3, 9, 4


def state_of(network):
    return {
        name: tensor.detach().numpy() for name, tensor in network.state_dict().items()
    }


def near(found, wanted, tolerance=1e-5):
    wanted = wanted.detach().numpy()
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(found, wanted, atol=tolerance * scale)


def test_the_image_network():
    network = randomise(reference.VisualNet(BASE))
    ours = ImageNet(units=None, width=BASE / 64)
    variables = conversion.read_image(ours, state_of(network))
    frames = np.random.default_rng(0).normal(0, 1, (2, 33, 40, 3)).astype(np.float32)
    found = jax.jit(ours.apply)(variables, frames)
    near(found, network(torch.from_numpy(frames).permute(0, 3, 1, 2)))
    back = conversion.write_image(ours, variables)
    assert layouts.layout(back) == layouts.layout(network.state_dict())
    with pytest.raises(TableError, match="lacks the tensor feature_extraction"):
        conversion.read_image(ours, {})


def test_the_audio_network_as_released_and_as_printed():
    network = randomise(reference.AudioNet(BASE))
    state = state_of(network)
    ours = AudioNet(units=None, width=BASE / 64)
    variables = conversion.read_audio(ours, state)
    patches = np.random.default_rng(0).normal(0, 1, (2, 101, 40)).astype(np.float32)
    theirs = torch.from_numpy(patches)[:, None]
    near(jax.jit(ours.apply)(variables, patches), network(theirs))
    back = conversion.write_audio(ours, variables)
    assert set(back) == set(state)
    with pytest.raises(TableError, match="differ, they are one tensor"):
        conversion.read_audio(ours, state | {"conv1.weight": state["conv1.weight"] + 1})
    # As printed: the mean over time alone, then a linear layer.
    printed = AudioNet(units=5, width=BASE / 64)
    torch.manual_seed(0)
    linear = torch.nn.Linear(3 * 8 * BASE, 5)
    out = {
        "kernel": linear.weight.detach().numpy().T,
        "bias": linear.bias.detach().numpy(),
    }
    params = {"trunk": variables["params"]["trunk"], "out": out}
    found = jax.jit(printed.apply)(variables | {"params": params}, patches)
    wanted = reference.pooled_over_time(network.feature_extraction(theirs), linear)
    near(found, wanted)


def skimmers(banks=2, normalised=True):
    sizes = {"classes": 6, "features": 8, "hidden": 16, "keys": 12, "fused": 10}
    network = reference.Skimming(**sizes, banks=banks, normalised=normalised)
    network = randomise(network)
    sizes["fusion_hidden"] = 16
    ours = Skimming(**sizes, banks=banks, normalised=normalised)
    return network, ours, conversion.read_skimming(ours, state_of(network))


def features(banks=2):
    rng = np.random.default_rng(2)
    shape = (VIDEOS, MOMENTS, 8)
    found = tuple(rng.normal(0, 2, shape).astype(np.float32) for _ in range(banks))
    valid = np.arange(MOMENTS)[None] < np.array([MOMENTS, 6, STEPS])[:, None]
    # What pads the shorter videos must not be seen.
    padding = np.float32(100) * ~valid[..., None]
    return tuple(bank + padding for bank in found), valid


def compare(network, ours, variables, banks, indexing="soft", start=None):
    values, valid = features(banks)
    found = jax.jit(
        lambda variables, values, valid: ours.apply(
            variables, values, valid, steps=STEPS, indexing=indexing, start=start
        )
    )(variables, values, valid)
    given = None if start is None else torch.from_numpy(start)
    with torch.inference_mode():
        logits, states, indices = network(
            [torch.from_numpy(value) for value in values],
            torch.from_numpy(valid),
            STEPS,
            indexing,
            given,
        )
    np.testing.assert_array_equal(found.indices, indices.numpy())
    near(found.logits, logits)
    near(found.state_logits, states)
    return found


@pytest.mark.parametrize("indexing", ["soft", "hard", "visual"])
def test_skimming_of_two_banks(indexing):
    network, ours, variables = skimmers()
    found = compare(network, ours, variables, 2, indexing)
    # The shortest video has as many moments as there are steps: each is read once by each bank.
    assert found.indices.shape == (VIDEOS, STEPS, 2)
    for place in range(2):
        assert sorted(np.asarray(found.indices)[2, :, place]) == list(range(STEPS))
    np.testing.assert_allclose(found.attention.sum(-1), 1.0, atol=1e-6)
    assert not np.asarray(found.weights)[1, :, :, 6:].any()


def test_skimming_with_a_moment_masked_at_the_start_and_plain_weights():
    network, ours, variables = skimmers(normalised=False)
    # Its shortest video would have nothing left for the last step.
    start = np.array([4, 0, 7])
    found = compare(network, ours, variables, 2, start=start)
    assert not (np.asarray(found.indices)[:2] == start[:2, None, None]).any()
    back = conversion.write_skimming(ours, variables)
    assert layouts.layout(back) == layouts.layout(network.state_dict())


def test_skimming_of_one_bank_and_early_stops():
    network, ours, variables = skimmers(banks=1)
    found = compare(network, ours, variables, 1)
    values, valid = features(1)
    short = ours.apply(variables, values, valid, steps=2)
    np.testing.assert_allclose(short.logits, found.step_logits[:, 1], atol=1e-5)
    back = conversion.write_skimming(ours, variables)
    for name, tensor in state_of(network).items():
        np.testing.assert_allclose(back[name], tensor, atol=1e-6, err_msg=name)
    with pytest.raises(ValueError, match="'visual' is not one of soft, hard"):
        ours.apply(variables, values, valid, indexing="visual")


def test_thinning_interpolates():
    line = np.arange(7, dtype=np.float32).reshape(1, 7, 1)
    # What lies on a line stays there; behind the last that is kept it is repeated.
    np.testing.assert_allclose(thinned(line, 3), line, atol=1e-6)
    np.testing.assert_allclose(
        thinned(line, 4)[0, :, 0], [0, 1, 2, 3, 4, 4, 4], atol=1e-6
    )
    assert thinned(line, 1) is line


def test_the_released_layouts_are_covered():
    public = layouts.published()
    if public is None:
        pytest.skip("the public layouts are not at hand")
    image = public["l2l_visualnet"]
    assert layouts.names_of(conversion.image_table(ImageNet(units=None))) == image
    audio = dict(public["l2l_audionet"])
    assert audio.pop("conv1.weight") == audio["feature_extraction.0.weight"]
    found = layouts.names_of(conversion.audio_table(AudioNet(units=None)))
    assert found | {"freq_conv1x1.weight": [1, 3, 1, 1]} == audio
    two = Skimming(classes=200, normalised=True)
    one = Skimming(classes=200, banks=1, features=2048, normalised=True)
    for network, name in (
        (two, "l2l_skimming_activitynet"),
        (one, "l2l_single_modality_2048"),
    ):
        wanted = public[name]
        found = layouts.names_of(conversion.skimming_table(network))
        assert set(found) == set(wanted)
        # The same numbers; 1 x 1 convolutions and matrices of the LSTM lie otherwise.
        for tensor, size in found.items():
            plain = [n for n in wanted[tensor] if n != 1]
            assert plain in (size, size[::-1])


def test_the_student_s_widths():
    frames, patches = np.zeros((1, 112, 112, 3)), np.zeros((1, 101, 40))
    for released, each in ((False, 256), (True, 512)):
        student = Student(classes=7, released=released)
        found, _ = jax.eval_shape(
            student.init_with_output, jax.random.key(0), frames, patches
        )
        assert found.image.shape == found.audio.shape == (1, each)
        assert found.descriptor.shape == (1, 512)
        assert found.logits.shape == (1, 7)
