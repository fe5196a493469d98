"""GMFlow against a PyTorch reference that loops over pixels, and its published layouts."""

import flax.traverse_util
import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.torch_reference import gmflow as reference
from benchmarks.torch_reference.layers import randomise
from rac_jax.encoders import Encoder
from rac_jax.encoders.conversion import encoder_table, read_backbone, to_torch
from rac_jax.encoders.gmflow import GMFlow
from rac_jax.interop.torch_io import ConversionError
from tests.encoders import layouts

pytestmark = pytest.mark.usefixtures("quick_compiling")

NARROW = {"width": 0.25, "blocks": 2}
THEIRS = {
    "wide": (16, 24, 32),
    "blocks": 2,
    "hidden": 64,
    "sizes": (64, 48, 32, 16),
}
# Settings and the size of clips; the first is no multiple of what the network needs.
CASES = {
    "one scale": ({"scales": 1}, (3, 28, 41)),
    "two scales": ({"scales": 2}, (2, 32, 64)),
    "refined": ({"scales": 2, "refinements": 2}, (2, 32, 64)),
}
PUBLISHED = {
    "gmflow": {"scales": 1},
    "unimatch_gmflow_scale1": {"scales": 1},
    "gmflow_with_refine": {"scales": 2},
    "unimatch_gmflow_scale2": {"scales": 2},
    "unimatch_gmflow_scale2_regrefine6": {"scales": 2, "refinements": 6},
}


def draw(**arguments):
    """A reference network whose every tensor is random."""
    torch.manual_seed(0)
    network = randomise(reference.GMFlow(**arguments))
    reference.soften(network)
    if arguments["scales"] == 2:
        with torch.no_grad():
            network.backbone.trident_conv.weight.normal_(0, 0.05)
    return network


def state_of(network):
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def ours_of(network, module):
    """Our variables of a reference network."""
    flat = encoder_table("gmflow", module).to_jax(state_of(network))
    return flax.traverse_util.unflatten_dict(flat, sep="/")


def filled(frames, unit):
    """Frames [T, H, W, 3] with their edges repeated up to multiples, and what was added."""
    borders = [(0, 0)]
    for size in frames.shape[1:3]:
        more = -size % unit
        borders.append((more // 2, more - more // 2))
    return np.pad(frames, (*borders, (0, 0)), mode="edge"), borders


@pytest.mark.parametrize("name", CASES)
def test_every_prediction_agrees_there_and_back(name):
    settings, (frames, *size) = CASES[name]
    network, module = draw(**settings, **THEIRS), GMFlow(**NARROW, **settings)
    rng = np.random.default_rng(1)
    frames = rng.uniform(0, 255, (frames, *size, 3)).astype(np.float32)
    found = jax.jit(lambda v, x: module.apply(v, x, both=True, train=True))(
        ours_of(network, module), frames[None]
    )
    padded, (_, (top, _), (left, _)) = filled(frames, 16 * settings["scales"])
    planes = torch.tensor(padded).permute(0, 3, 1, 2)
    for pair in range(len(frames) - 1):
        for way in range(2):
            with torch.no_grad():
                wanted = network(planes[pair], planes[pair + 1], back=way == 1)
            assert len(found.steps) == len(wanted)
            for ours, theirs in zip(found.steps, wanted, strict=True):
                theirs = theirs.numpy()[top:, left:][: size[0], : size[1]]
                error = np.abs(ours[way, 0, pair] - theirs).max()
                assert error < 1e-4 * np.abs(theirs).max()
            assert np.std(theirs) > 0.1
    np.testing.assert_array_equal(found.forward, found.steps[-1][0])
    np.testing.assert_array_equal(found.backward, found.steps[-1][1])


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"scales": 1}, {"scales": 2, "refinements": 2}])
def test_the_published_size_agrees(settings):
    network, module = draw(**settings), GMFlow(**settings)
    frames = np.random.default_rng(2).uniform(0, 255, (2, 64, 96, 3)).astype(np.float32)
    found = jax.jit(module.apply)(ours_of(network, module), frames[None])
    with torch.no_grad():
        wanted = network(*torch.tensor(frames).permute(0, 3, 1, 2))[-1].numpy()
    assert found.backward is None and found.steps == ()
    assert np.abs(found.forward[0, 0] - wanted).max() < 1e-4 * np.abs(wanted).max()


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_public_layouts_are_covered(name):
    table = encoder_table("gmflow", Encoder("gmflow").network(**PUBLISHED[name]))
    ours = layouts.names_of(table)
    settings = PUBLISHED[name]
    assert ours == layouts.layout(reference.GMFlow(**settings).state_dict())
    published = layouts.published()
    if published is None:
        pytest.skip("the folder of public checkpoint layouts is not at hand")
    assert ours == published[name]


@pytest.mark.parametrize(
    "name,lead", [("gmflow", "module."), ("unimatch_gmflow_scale2_regrefine6", "")]
)
def test_published_files_are_read_and_written_back(name, lead, tmp_path):
    module = Encoder("gmflow").network(**PUBLISHED[name])
    rng = np.random.default_rng(3)
    state = {
        entry.name: torch.tensor(rng.normal(size=entry.torch_shape).astype(np.float32))
        for entry in encoder_table("gmflow", module).entries
    }
    named = {lead + key: tensor for key, tensor in state.items()}
    torch.save({"model": named, "step": 3}, tmp_path / "flow.pth")
    config, variables = read_backbone("gmflow", tmp_path / "flow.pth")
    assert config["family"] == "gmflow"
    wanted = {"width": 1.0, "refinements": 0} | PUBLISHED[name]
    assert config["arguments"] == wanted
    back = to_torch("gmflow", module, variables)["model.pt"]
    assert back.keys() == state.keys()
    for key, tensor in back.items():
        np.testing.assert_array_equal(tensor, state[key].numpy())


def test_a_tensor_that_does_not_fit_is_named(tmp_path):
    module = Encoder("gmflow").network()
    entries = encoder_table("gmflow", module).entries
    state = {entry.name: torch.zeros(entry.torch_shape) for entry in entries}
    lost = "feature_flow_attn.k_proj.bias"
    for change, message in (
        ({lost: torch.zeros(3)}, rf"{lost} is \[3\], the model has \[128\]"),
        ({"refine_proj.weight": torch.zeros(1)}, "holds the tensor refine_proj.weight"),
    ):
        torch.save({"model": state | change}, tmp_path / "flow.pth")
        with pytest.raises(ConversionError, match=message):
            read_backbone("gmflow", tmp_path / "flow.pth")
    del state[lost]
    torch.save(state, tmp_path / "flow.pth")
    with pytest.raises(ConversionError, match=f"lacks the tensor {lost}"):
        read_backbone("gmflow", tmp_path / "flow.pth")


def test_wrong_settings_and_frames_are_named():
    key, frames = jax.random.key(0), np.zeros((1, 2, 16, 16, 3), np.float32)
    for settings, message in (
        ({"scales": 3}, "scales: 3 is not 1 or 2"),
        ({"refinements": 2}, "refinements: 2 need two scales"),
    ):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(GMFlow(**settings).init, key, frames)
    with pytest.raises(ValueError, match=r"frames is \[1, 1, 16, 16, 3\]"):
        jax.eval_shape(GMFlow().init, key, frames[:, :1])
