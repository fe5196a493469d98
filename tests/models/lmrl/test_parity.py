"""LMRL's network against a PyTorch reference that was written from the paper alone."""

import flax.traverse_util
import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.compare import lmrl_names
from benchmarks.torch_reference import lmrl as reference
from benchmarks.torch_reference.layers import randomise
from benchmarks.torch_reference.video_swin import VideoSwin
from rac_jax.interop.tables import TableError
from rac_jax.models.lmrl import FAMILY

LIMIT = 1e-4
WIDE = 128


def randomised(frames, seed=0):
    """The reference at a quarter of its width with random weights."""
    torch.manual_seed(seed)
    network = randomise(reference.LMRL(VideoSwin(24, 1), WIDE, frames), seed)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if "bias_table" in name or "in_proj" in name:
                tensor.normal_(0, 0.1)
            if name.endswith(("qkv.weight", "mlp.fc2.weight")):
                tensor.mul_(0.5)
        # No symmetric form, so that rows and columns cannot be taken for one another.
        network.period.similar.form.normal_(0, WIDE**-0.5)
    return network


def ours(network, frames):
    """Our network with the reference's weights."""
    module = FAMILY.network(encoder="video_swin", width=0.25, frames=frames)
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    flat = lmrl_names.arrays_of(module, state)
    return module, flax.traverse_util.unflatten_dict(flat, sep="/")


def error(found, wanted):
    wanted = wanted.numpy()
    return float(np.linalg.norm(np.asarray(found) - wanted) / np.linalg.norm(wanted))


# 16 frames do not fill windows of 6 columns, 14 neither those of 4, 6 nor 8.
@pytest.mark.usefixtures("quick_compiling")
@pytest.mark.parametrize("frames", [16, pytest.param(14, marks=pytest.mark.slow)])
def test_the_whole_network(frames):
    network = randomised(frames)
    module, variables = ours(network, frames)
    rng = np.random.default_rng(1)
    steps = rng.uniform(-0.2, 0.2, (2, frames, 32, 40, 3))
    x = np.cumsum(steps, axis=1).astype(np.float32)
    with torch.inference_mode():
        density, logits, similarity = network(torch.from_numpy(np.moveaxis(x, -1, 1)))
    found = jax.jit(module.apply)(variables, x)
    assert error(found.density, density) < LIMIT
    assert error(found.foreground_logits, logits) < LIMIT
    assert found.similarity.shape == (2, 1, frames, frames)
    assert error(found.similarity[:, 0], similarity) < LIMIT
    np.testing.assert_allclose(
        found.foreground, logits.softmax(-1)[..., 1].numpy(), atol=1e-4
    )
    # All of it differs from frame to frame, and the similarity with its direction.
    assert float(density.std(1).min()) > 0.01
    assert float(logits.std(1).min()) > 0.01
    flipped = similarity.transpose(1, 2)
    assert error(similarity, flipped) > 0.1


def test_every_tensor_of_the_reference_has_one_array():
    network = randomised(16)
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    module = FAMILY.network(width=0.25, frames=16)
    with pytest.raises(TableError, match=r"period\.other"):
        lmrl_names.arrays_of(module, state | {"period.other": np.zeros(3)})
    state.pop("period.similar.form")
    with pytest.raises(TableError, match=r"period\.similar\.form"):
        lmrl_names.arrays_of(module, state)
