"""Video Swin against a PyTorch reference that loops over windows, and its published layouts."""

import json

import flax.traverse_util
import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.torch_reference import quick_video_swin
from benchmarks.torch_reference import video_swin as reference
from rac_jax.counting.programs import array_shapes
from rac_jax.encoders.conversion import encoder_table, read_backbone, to_torch
from rac_jax.encoders.initialise import build
from rac_jax.encoders.swin_tables import TORCHVISION, swin_table
from rac_jax.encoders.video_swin import VideoSwin, relative_index
from rac_jax.interop.torch_io import ConversionError
from tests.encoders import layouts

pytestmark = pytest.mark.usefixtures("quick_compiling")

NARROW = {"width": 1 / 3, "depths": (2, 2)}


def draw(wide, heads, depths, window=(8, 7, 7), seed=0):
    """A reference network whose every tensor is random."""
    torch.manual_seed(seed)
    network = reference.VideoSwin(wide, heads, depths, window)
    with torch.no_grad():
        for tensor in network.parameters():
            tensor.normal_(0, 0.1)
        for module in network.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.weight.uniform_(0.5, 1.5)
    return network.eval()


def ours_of(network, module, example=(1, 2, 32, 32, 3)):
    """Our variables of a reference network."""
    inputs = (jax.ShapeDtypeStruct(example, np.float32),)
    table = swin_table(array_shapes(module, inputs))
    flat = table.to_jax({k: v.numpy() for k, v in network.state_dict().items()})
    return flax.traverse_util.unflatten_dict(flat, sep="/")


@pytest.mark.parametrize("shape", [(1, 64, 64), (4, 56, 72), (8, 33, 50)])
def test_agrees_with_the_reference(shape):
    network = draw(32, 1, (2, 2))
    module = VideoSwin(**NARROW)
    clips = np.random.default_rng(1).normal(size=(2, *shape, 3)).astype(np.float32)
    found = jax.jit(module.apply)(ours_of(network, module), clips)
    with torch.no_grad():
        wanted = network(torch.tensor(clips).permute(0, 4, 1, 2, 3))
    wanted = wanted.permute(0, 2, 3, 4, 1).numpy()
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_small_windows_that_shift_along_every_axis_agree():
    window = (2, 3, 3)
    network = draw(16, 1, (2, 2), window)
    module = VideoSwin(width=1 / 6, depths=(2, 2), window=window)
    clips = np.random.default_rng(2).normal(size=(1, 11, 41, 53, 3)).astype(np.float32)
    found = jax.jit(module.apply)(ours_of(network, module), clips)
    with torch.no_grad():
        wanted = network(torch.tensor(clips).permute(0, 4, 1, 2, 3))
    np.testing.assert_allclose(
        found, wanted.permute(0, 2, 3, 4, 1).numpy(), rtol=1e-4, atol=1e-4
    )


@pytest.mark.slow
def test_the_published_size_agrees():
    network = draw(96, 3, (2, 2, 6, 2))
    module = VideoSwin()
    clips = np.random.default_rng(1).normal(size=(1, 4, 224, 224, 3)).astype(np.float32)
    found = np.asarray(module.apply(ours_of(network, module), clips))
    with torch.no_grad():
        wanted = network(torch.tensor(clips).permute(0, 4, 1, 2, 3))
    wanted = wanted.permute(0, 2, 3, 4, 1).numpy()
    assert found.shape == (1, 2, 7, 7, 768)
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_a_shorter_window_keeps_its_relative_positions():
    """Time changes slowest, so the first rows of the table are those of fewer frames."""
    whole, short = relative_index((8, 7, 7)), relative_index((3, 7, 7))
    part = whole[:147, :147]
    # As far apart in time, rows and columns, whatever the table's middle is.
    middle = [((frames - 1) * 13 + 6) * 13 + 6 for frames in (8, 3)]
    np.testing.assert_array_equal(part - middle[0], short - middle[1])


@pytest.mark.slow
def test_dropped_paths_leave_finite_gradients():
    module = VideoSwin(width=1 / 6, depths=(2,), window=(2, 3, 3), drop_path=0.5)
    clips = np.random.default_rng(3).normal(size=(3, 2, 16, 16, 3)).astype(np.float32)
    variables = module.init(jax.random.key(0), clips)

    @jax.jit
    def loss(params, key):
        y = module.apply({"params": params}, clips, train=True, rngs={"dropout": key})
        return (y**2).mean()

    value, slope = jax.value_and_grad(loss)(variables["params"], jax.random.key(1))
    other = loss(variables["params"], jax.random.key(2))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))
    assert float(value) != float(other)


def published_state(naming):
    """A state dict of the published size with random tensors."""
    module = build(VideoSwin, "video_swin", {})
    rng = np.random.default_rng(5)
    table = encoder_table("video_swin", module, naming)
    state = {
        entry.name: torch.tensor(rng.normal(size=entry.torch_shape).astype(np.float32))
        for entry in table.entries
    }
    index = torch.zeros((392, 392), dtype=torch.int64)
    state |= {name: index for name in table.unused if name.endswith("index")}
    head = "cls_head.fc_cls" if naming == "" else "head"
    return state | {
        f"{head}.weight": torch.zeros(400, 768),
        f"{head}.bias": torch.zeros(400),
    }


@pytest.mark.parametrize("naming", ["", TORCHVISION])
def test_both_published_layouts_are_read(naming, tmp_path):
    state = published_state(naming)
    lead = "backbone." if naming == "" else ""
    named = {
        name if name.startswith("cls_head") else lead + name: t
        for name, t in state.items()
    }
    torch.save({"state_dict": named}, tmp_path / "swin.pth")
    config, variables = read_backbone("swin-kinetics", tmp_path / "swin.pth")
    assert config["family"] == "video_swin"
    assert config["preprocessing"]["clip_frames"] == 32
    flat = flax.traverse_util.flatten_dict(variables, sep="/")
    table = encoder_table("video_swin", VideoSwin(), naming)
    for name, tensor in table.to_torch(flat).items():
        np.testing.assert_array_equal(tensor, state[name].numpy())
    if naming == "":
        back = to_torch("video_swin", VideoSwin(), variables)["model.pt"]
        assert set(back) == {
            name for name in state if "index" not in name and "cls" not in name
        }
        for name, tensor in back.items():
            np.testing.assert_array_equal(tensor, state[name].numpy())


def test_a_tensor_that_does_not_fit_is_named(tmp_path):
    state = published_state("")
    wrong = "layers.1.blocks.0.attn.relative_position_bias_table"
    for change, message in (
        (
            {wrong: torch.zeros(3, 6)},
            rf"{wrong} is \[3, 6\], the model has \[2535, 6\]",
        ),
        ({"layers.9.weight": torch.zeros(1)}, "holds the tensor layers.9.weight"),
        (
            {"cls_head.fc_cls.weight": torch.zeros(400, 9)},
            r"cls_head.fc_cls.weight is \[400, 9\], the model has \[any, 768\]",
        ),
        (
            {"backbone.norm.weight": torch.zeros(768)},
            "holds names both with and without 'backbone.'",
        ),
    ):
        torch.save({"state_dict": state | change}, tmp_path / "swin.pth")
        with pytest.raises(ConversionError, match=message):
            read_backbone("swin-kinetics", tmp_path / "swin.pth")
    del state[wrong]
    torch.save({"state_dict": state}, tmp_path / "swin.pth")
    with pytest.raises(ConversionError, match=f"lacks the tensor {wrong}"):
        read_backbone("swin-kinetics", tmp_path / "swin.pth")


@pytest.mark.parametrize("naming", ["", TORCHVISION])
def test_the_public_layouts_are_covered(naming):
    if layouts.PUBLIC.is_dir() is False:
        pytest.skip("the public layouts are not at hand")
    if naming == "":
        path = layouts.PUBLIC / "mmaction_swin_tiny_patch244_window877_k400.json"
        public = json.loads(path.read_text(encoding="utf-8"))["tensors"]
        public = {
            name.removeprefix("backbone."): size for name, (size, _) in public.items()
        }
    else:
        public = layouts.published()["torchvision swin3d_t"]
    table = encoder_table("video_swin", VideoSwin(), naming)
    names = layouts.names_of(table)
    assert set(public) == set(names) | set(table.unused)
    assert {name: list(public[name]) for name in names} == names
    # What is dropped is of the shapes that are asked of it.
    for name, shape in table.unused.items():
        assert len(public[name]) == len(shape)
        assert all(n in (None, size) for n, size in zip(shape, public[name]))


def test_torchvision_files_are_told_by_any_of_their_names(tmp_path):
    state = published_state(TORCHVISION)
    del state["features.0.0.norm1.weight"]
    torch.save(state, tmp_path / "swin.pth")
    with pytest.raises(ConversionError, match="lacks the tensor features.0.0.norm1"):
        read_backbone("swin-kinetics", tmp_path / "swin.pth")


def test_all_windows_at_once_are_what_windows_one_by_one_are():
    """The reference that is timed computes what the plain one does."""
    plain = draw(16, 1, (2, 2), (2, 3, 3))
    quick = quick_video_swin.VideoSwin(16, 1, (2, 2), (2, 3, 3))
    quick.load_state_dict(plain.state_dict())
    clips = torch.randn(2, 3, 7, 30, 41, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(quick(clips), plain(clips), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_other_patches_and_heads():
    module = VideoSwin(width=1 / 3, depths=(1, 1), heads=(3, 3), patch=(1, 8, 8))
    out, _ = module.init_with_output(jax.random.key(0), np.zeros((1, 3, 33, 40, 3)))
    assert out.shape == (1, 3, 3, 3, 64)
    clips = np.zeros((1, 1, 8, 8, 3), np.float32)
    for wrong, message in (
        ({"heads": (3,)}, r"heads: \(3,\) are too few"),
        ({"heads": (7, 7, 7, 7)}, "width: 1.0 gives 96 channels, 7 heads"),
    ):
        with pytest.raises(ValueError, match=message):
            VideoSwin(**wrong).init(jax.random.key(0), clips)


def test_bfloat16_is_near():
    module = VideoSwin(width=1 / 6, depths=(2,), window=(2, 3, 3))
    clips = np.random.default_rng(4).normal(size=(1, 4, 20, 24, 3)).astype(np.float32)
    variables = module.init(jax.random.key(0), clips)
    found = module.clone(dtype="bfloat16").apply(variables, clips)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, module.apply(variables, clips), atol=0.1)
