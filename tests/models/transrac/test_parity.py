"""TransRAC's network and its released procedure against PyTorch, and its file."""

import json
import re

import flax.traverse_util
import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.torch_reference import transrac as reference
from benchmarks.torch_reference.layers import randomise
from benchmarks.torch_reference.video_swin import VideoSwin
from rac_jax.counting.counter import Counter
from rac_jax.interop.torch_io import ConversionError
from rac_jax.models.transrac import FAMILY, conversion
from tests.encoders import layouts

FRAMES, SIZE = 16, 32


def randomised(network, seed=0):
    """Random weights, biases of relative positions among them."""
    network = randomise(network, seed)
    drawn = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if "bias_table" in name or "in_proj" in name:
                tensor.normal_(0, 0.1, generator=drawn)
            if name.endswith(("qkv.weight", "mlp.fc2.weight")):
                tensor.mul_(0.5)
    return network.eval()


def ours(network, **arguments):
    """Our network with the reference's weights."""
    module = FAMILY.network(**arguments)
    state = {
        name: tensor.numpy()
        for name, tensor in network.state_dict().items()
        if not name.endswith(("index", "num_batches_tracked"))
    }
    flat = conversion.arrays_of(module, state)
    return module, flax.traverse_util.unflatten_dict(flat, sep="/")


@pytest.fixture(scope="module")
def released():
    network = randomised(reference.narrow(FRAMES))
    with torch.no_grad():
        # Below 0 nothing would be counted.
        network.FC.layers[7].bias.fill_(3.0)
    return network, *ours(network, released=True, width=0.25, frames=FRAMES)


def clips(number=2, height=SIZE, width=40):
    rng = np.random.default_rng(1)
    steps = rng.uniform(-1, 1, (number, FRAMES, height, width, 3))
    return np.cumsum(0.2 * steps, axis=1).astype(np.float32)


def error(found, wanted):
    wanted = wanted.numpy()
    return float(np.linalg.norm(np.asarray(found) - wanted) / np.linalg.norm(wanted))


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compiling")
def test_the_released_network(released):
    network, module, variables = released
    x = clips()
    found = jax.jit(module.apply)(variables, x)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(x).permute(0, 4, 1, 2, 3))
    assert error(found.density, wanted) < 1e-4
    assert found.similarity.shape == (2, 12, FRAMES, FRAMES)
    np.testing.assert_allclose(np.sum(found.similarity, -1), 1.0, atol=1e-5)
    # The paper's text is another function of the same weights.
    plain = FAMILY.network(width=0.25, frames=FRAMES)
    other = jax.jit(plain.apply)(variables, x)
    assert error(other.density, wanted) > 1e-3


@pytest.mark.slow
def test_the_text_s_network_at_published_size():
    network = randomised(reference.TransRAC(VideoSwin(), divisor=None, early=0))
    module, variables = ours(network)
    rng = np.random.default_rng(1)
    x = np.cumsum(rng.uniform(-0.2, 0.2, (1, 64, 64, 64, 3)), 1).astype(np.float32)
    found = jax.jit(module.apply)(variables, x)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(x).permute(0, 4, 1, 2, 3))
    assert error(found.density, wanted) < 1e-4


@pytest.mark.usefixtures("quick_compiling")
def test_the_released_procedure_from_frames_to_count(released):
    network, module, variables = released
    config = {
        "name": "tiny",
        "family": "transrac",
        "preprocessing": {"size": SIZE},
        "protocol": "released",
    }
    counter = Counter(FAMILY, module, variables, config, batch_sizes=(1,))
    rng = np.random.default_rng(3)
    differ = []
    for frames in (3, FRAMES, FRAMES + 1, 131):
        pixels = rng.integers(0, 256, (frames, SIZE, SIZE, 3), np.uint8)
        wanted = max(0.0, reference.count(network, pixels))
        result = counter.count(pixels, fps=25.0)
        assert result.count == pytest.approx(wanted, abs=1e-3)
        assert result.rate.integral == pytest.approx(result.count, abs=1e-3)
        assert sum(result.density.values) == pytest.approx(result.count, abs=1e-3)
        # Frames that are not turned, and not the one before each.
        paper = counter.count(pixels, fps=25.0, protocol="paper")
        differ.append(abs(paper.count - result.count))
        assert wanted > 1
    assert max(differ) > 1e-2


def released_state(network):
    """The state dict as the release has it: "module." and every tensor."""
    return {f"module.{name}": t for name, t in network.state_dict().items()}


@pytest.mark.slow
def test_the_released_file_is_read_and_written_again(tmp_path):
    network = randomised(reference.TransRAC(VideoSwin()))
    path = tmp_path / "transrac.pt"
    torch.save({"epoch": 1, "state_dict": released_state(network)}, path)
    config, variables = conversion.read_torch(path)
    assert config["protocol"] == "released"
    module = FAMILY.network(**config["arguments"])
    back = conversion.to_torch(module, variables)["model.pt"]
    state = released_state(network)
    dropped = {name for name in state if re.search("index$|linear_v", name)}
    assert set(back) == set(state) - dropped
    for name, array in back.items():
        np.testing.assert_allclose(array, state[name].numpy(), atol=1e-6)
    for change, message in (
        ({"module.ln1.weight": torch.zeros(3)}, r"ln1.weight is \[3\], the model has"),
        ({"module.other": torch.zeros(3)}, "holds the tensor other"),
        (
            {"module." + conversion.POSITIONS: torch.zeros(64, 1, 512)},
            "other positions",
        ),
    ):
        torch.save(state | change, path)
        with pytest.raises(ConversionError, match=message):
            conversion.read_torch(path)


def test_the_public_layout_is_covered():
    path = layouts.PUBLIC / "transrac.json"
    if not path.is_file():
        pytest.skip("the public layouts are not at hand")
    public = json.loads(path.read_text(encoding="utf-8"))["tensors"]
    public = {name.removeprefix("module."): size for name, (size, _) in public.items()}
    table = conversion.transrac_table(FAMILY.network(released=True))
    names = layouts.names_of(table)
    # Query, key and value are one tensor there.
    joined = {
        re.sub(r"(self_attn\.)(query|key|value)\.", r"\1in_proj_", n) for n in names
    }
    joined |= set(table.unused) | {conversion.POSITIONS}
    assert joined == set(public)
    for name, size in names.items():
        if name in public:
            assert public[name] == size
