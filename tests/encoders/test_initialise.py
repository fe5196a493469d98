"""Building networks from plain arguments, and first variables without running them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.counting.programs import abstract_variables
from rac_jax.encoders import ENCODERS, Encoder
from rac_jax.encoders.initialise import build, draw_variables

KEY = jax.random.key(3)


class Scaler(nn.Module):
    """A module whose method has taken a name that its arguments would have."""

    powers: tuple[int, ...] = (1,)
    form: str = "plain"

    def scale(self):
        pass


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_build_with_their_defaults(name):
    network = Encoder(name).network()
    assert type(network).__name__.lower() == name.replace("_", "")
    # EfficientNet counts its width from the smallest of its kind, the others from the published.
    assert network.width == {"strided_inflated": 1.4}.get(name, 1.0)


def test_lists_from_json_become_tuples():
    assert build(Scaler, "a scaler", {"powers": [2, 9]}).powers == (2, 9)


def test_renamed_arguments():
    renamed = {"scale": "form"}
    assert build(Scaler, "a scaler", {"scale": "bent"}, renamed).form == "bent"
    message = "a scaler has no argument 'form', known: powers, scale"
    with pytest.raises(TypeError, match=message):
        build(Scaler, "a scaler", {"form": "bent"}, renamed)


def test_mistakes_list_what_is_known():
    message = "s3d has no argument 'depth', known: dtype, momentum"
    with pytest.raises(TypeError, match=message):
        Encoder("s3d").network(depth=3)


def test_variables_do_not_depend_on_the_size():
    encoder = Encoder("s3d")
    network = encoder.network(width=0.0625)
    small, large = (
        jax.eval_shape(network.init, KEY, *inputs)
        for inputs in (
            encoder.example_inputs(network),
            [jax.ShapeDtypeStruct((2, 17, 50, 61, 3), jnp.float32)],
        )
    )
    assert small == large


def test_cheap_initialisation_equals_flax_in_law():
    """Same leaves, constants equal, kernels with the same mean and spread."""
    encoder = Encoder("resnet18")
    module = encoder.network(width=0.5)
    shapes = abstract_variables(module, encoder.example_inputs(module))
    ours = draw_variables(shapes, KEY)
    flax = jax.jit(module.init)(KEY, jnp.zeros((1, 32, 32, 1)))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), ours) == jax.tree.map(
        lambda x: (x.shape, x.dtype), flax
    )
    for (path, got), want in zip(
        jax.tree_util.tree_leaves_with_path(ours), jax.tree.leaves(flax), strict=True
    ):
        if path[-1].key != "kernel":
            np.testing.assert_array_equal(got, want)
            continue
        # The standard error of a standard deviation is sigma / sqrt(2 n).
        margin = 5 / np.sqrt(2 * got.size)
        assert abs(got.std() / want.std() - 1) < 2 * margin
        *taps, _, channels = got.shape
        assert abs(got.std() / np.sqrt(2 / (np.prod(taps) * channels)) - 1) < margin
        assert abs(got.mean()) < 5 * got.std() / np.sqrt(got.size)


def test_tables_start_small():
    leaf = jax.ShapeDtypeStruct((2535, 3), jnp.float32)
    drawn = draw_variables({"params": {"attention": {"bias_table": leaf}}}, KEY)
    table = drawn["params"]["attention"]["bias_table"]
    assert table.std() == pytest.approx(0.02, rel=0.05)


def test_a_leaf_without_a_law():
    shapes = {"params": {"odd": {"gain": jax.ShapeDtypeStruct((3,), jnp.float32)}}}
    with pytest.raises(ValueError, match=r"no initialiser for .*gain"):
        draw_variables(shapes, KEY)
