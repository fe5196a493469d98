"""SI-BlazePose: parity, any cutting, and what is read of MediaPipe's file."""

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.encoders import blazepose_tables, inverted_tables
from rac_jax.encoders.inverted_residuals import rounded
from rac_jax.encoders.strided_blazepose import EXAMPLE, StridedBlazePose, make_blocks
from rac_jax.interop.tables import Table, TableError, layer_entries
from tests.encoders import layouts

pytestmark = pytest.mark.usefixtures("quick_compiling")
WIDTH = 0.06
LAYOUT = "pose_landmark_full"


def shapes_of(module):
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros(EXAMPLE))
    flat = flax.traverse_util.flatten_dict(shapes, sep="/")
    return {path: leaf.shape for path, leaf in flat.items()}


def test_parity_and_any_cutting():
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    from benchmarks.torch_reference.layers import randomise
    from benchmarks.torch_reference.strided_blazepose import StridedBlazePose as Theirs

    torch.manual_seed(0)
    network = randomise(Theirs(lambda channels: rounded(channels * WIDTH)))
    module = StridedBlazePose(WIDTH)
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    flat = Table(layer_entries(shapes_of(module), ".".join)).to_jax(state)
    variables = flax.traverse_util.unflatten_dict(flat, sep="/")
    clip = np.random.default_rng(0).uniform(size=(1, 12, 128, 128, 3)).astype("float32")
    with torch.no_grad():
        want = network(torch.from_numpy(clip[0]).permute(0, 3, 1, 2)).numpy()

    # Pieces that do not fit; what is left over waits, as `step` would have it wait, so that one
    # program of four frames will do.
    step = jax.jit(lambda state, x: module.apply(variables, state, x, method="step"))
    state, found = module.start(1, 128, 128), []
    for first, last in ((0, 3), (3, 5), (5, 9), (9, 12)):
        x = jnp.concatenate([state.rest, clip[:, first:last]], axis=1)
        whole = x.shape[1] // 4 * 4
        state = state.replace(rest=x[:, :0])
        if whole:
            state, features = step(state, x[:, :whole])
            found.append(features)
        state = state.replace(rest=x[:, whole:])
    got = np.concatenate(found, axis=1)[0]
    assert got.shape == want.shape == (3, module.channels)
    assert np.linalg.norm(got - want) / np.linalg.norm(want) < 1e-4
    # What is seen last depends on what was seen first.
    assert np.abs(want[2] - want[0]).max() > 1e-3


def test_sizes_and_widths():
    assert len(make_blocks(1.0)) == 28
    assert [block.channels for block in make_blocks(1.0)][15:18] == [864, 288, 288]
    with pytest.raises(ValueError, match="frames: 256 x 200 pixels are no multiples"):
        StridedBlazePose().start(1, 256, 200)
    with pytest.raises(ValueError, match="width: 0 is not above 0"):
        make_blocks(0)


def test_every_array_of_the_file_has_its_place():
    known = layouts.published()
    if known is None:
        pytest.skip("needs the folder of public layouts")
    tensors = known[LAYOUT]["tensors"]
    constants = {
        name: np.full(shape, 1.0, np.float16)
        for name, (shape, kind) in tensors.items()
        if kind == "float16"
    }
    flat = blazepose_tables.read_constants(constants)
    shapes = shapes_of(StridedBlazePose())
    found = inverted_tables.inflate(flat, shapes)
    assert len(found) == len(flat) == 142
    # The newest frame is the last third of what an inflated kernel sees.
    assert found["params/entry22/project/kernel"].shape == (1, 1, 864, 288)
    assert found["params/entry20/project/kernel"].shape == (1, 1, 288, 288)
    assert np.allclose(found["params/entry22/project/kernel"], 1 / 3)


def test_what_a_file_lacks_is_named():
    with pytest.raises(
        TableError, match=r"lacks the kernel model_1/model/conv2d/Conv2D"
    ):
        blazepose_tables.read_constants({})
