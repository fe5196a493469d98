"""TA2Net's released modules against PyTorch, and their names."""

import flax.traverse_util
import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

import json
import re

from benchmarks.torch_reference import ta2net as reference
from benchmarks.torch_reference.layers import randomise
from rac_jax.interop.torch_io import ConversionError
from rac_jax.models.ta2net import FAMILY, conversion
from rac_jax.models.ta2net.kinematics import kinematics
from tests.encoders import layouts

FRAMES, BASE = 6, 8


def randomised(network):
    """Random weights, those of attention among them."""
    network = randomise(network)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if "in_proj" in name:
                tensor.normal_(0, 0.1)
    return network.eval()


@pytest.fixture(scope="module")
def network():
    return randomised(reference.TA2Net(BASE, FRAMES))


def state_of(network):
    return {
        name: tensor.numpy()
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def error(found, wanted):
    wanted = wanted.numpy()
    return float(np.linalg.norm(np.asarray(found) - wanted) / np.linalg.norm(wanted))


@pytest.mark.usefixtures("quick_compiling")
def test_modules_agree(network):
    arguments = {"width": BASE / 64, "frames": FRAMES, "pictures": True}
    module = FAMILY.network(released=True, **arguments)
    flat = conversion.arrays_of(module, state_of(network))
    variables = flax.traverse_util.unflatten_dict(flat, sep="/")
    rng = np.random.default_rng(0)
    clips = rng.uniform(-1, 1, (2, FRAMES, 48, 40, 3)).astype(np.float32)
    flow = rng.normal(size=(2, 2, FRAMES, 48, 40, 2)).astype(np.float32)
    found = jax.jit(module.apply)(variables, clips, tuple(flow))
    known = kinematics(*flow, pictures=True)

    def tensor(x):
        return torch.from_numpy(np.array(x)).movedim(-1, 2)

    with torch.inference_mode():
        logits, maps, motion, rest = network(
            tensor((clips + 1) / 2),
            (tensor(known.backward), tensor(known.forward)),
            (tensor(known.backward_inflection), tensor(known.forward_inflection)),
        )
    assert error(found.logits, logits) < 1e-4
    assert error(found.maps, maps) < 1e-4
    assert error(found.motion, motion) < 1e-4
    assert error(found.rest, rest) < 1e-4
    assert np.std(logits.numpy()) > 0.01
    # Written again, the same file.
    back = conversion.to_torch(module, variables)["model.pt"]
    dropped = {n for n in state_of(network) if re.search("layer4|linear_v", n)}
    kept = {n for n in back if not n.endswith("num_batches_tracked")}
    assert kept == set(state_of(network)) - dropped
    for name in kept:
        np.testing.assert_allclose(back[name], state_of(network)[name], atol=1e-6)


def test_misfits_are_named(network, tmp_path):
    state = state_of(network)
    path = tmp_path / "model.pt"
    torch.save({"state_dict": network.state_dict()}, path)
    # Of fewer frames than the release's.
    with pytest.raises(ConversionError, match=r"model.pt: .*other positions than"):
        conversion.read_torch(path)
    module = FAMILY.network(
        released=True, pictures=True, width=BASE / 64, frames=FRAMES
    )
    with pytest.raises(ValueError, match="lacks the tensor v2f.key_conv.bias"):
        conversion.arrays_of(
            module, {n: t for n, t in state.items() if n != "v2f.key_conv.bias"}
        )
    with pytest.raises(ValueError, match="only the released network"):
        conversion.to_torch(FAMILY.network(encoder="lean"), {})


def test_the_released_layout_is_covered():
    path = layouts.PUBLIC / "ta2net_released.json"
    if not path.is_file():
        pytest.skip("the layouts are not at hand")
    public = json.loads(path.read_text(encoding="utf-8"))["ta2net_released"]
    module = FAMILY.network(**conversion.config_of()["arguments"])
    table = conversion.ta2net_table(module)
    names = layouts.names_of(table)
    joined = {
        re.sub(r"(self_attn\.)(query|key|value)\.", r"\1in_proj_", n) for n in names
    }
    joined |= set(table.unused) | {conversion.DECODER + conversion.POSITIONS}
    assert joined == set(public)
    for name, size in names.items():
        if name in public:
            assert public[name] == size
