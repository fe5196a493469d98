"""Building models by name, and first variables without running them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.models import registry

KEY = jax.random.key(3)


@pytest.mark.parametrize("family", registry.FAMILIES)
def test_families_build_with_their_defaults(family):
    assert isinstance(registry.build_model(family), registry.FAMILIES[family])


def test_lists_from_json_become_tuples():
    module = registry.build_model(
        "sight_sound", sight_bins=[2, 9], reliability="released"
    )
    assert module.sight_bins == (2, 9)
    assert module.reliability_form == "released"


@pytest.mark.parametrize(
    "family,arguments,error,message",
    [
        (
            "s4d",
            {},
            ValueError,
            "'s4d', known: compact, r2plus1d18, resnet18, s3d, sight_sound",
        ),
        ("s3d", {"depth": 3}, TypeError, "no argument 'depth', known: dtype, momentum"),
        ("sight_sound", {"reliability_form": "paper"}, TypeError, "known: .*reliab"),
        ("sight_sound", {"ranker": "mine"}, ValueError, "one of paper, released"),
        ("sight_sound", {"sight_head": "x"}, ValueError, "regression, expectation"),
        ("sight_sound", {"sight_encoder": "x"}, ValueError, "s3d, r2plus1d18"),
    ],
)
def test_mistakes_list_what_is_known(family, arguments, error, message):
    with pytest.raises(error, match=message):
        registry.build_model(family, **arguments)


def test_variables_do_not_depend_on_the_size():
    module = registry.build_model("s3d", width=0.0625)
    shape = jax.ShapeDtypeStruct((2, 17, 50, 61, 3), jnp.float32)
    assert registry.abstract_variables(module) == jax.eval_shape(
        module.init, KEY, shape
    )


def test_cheap_initialisation_equals_flax_in_law():
    """Same leaves, constants equal, kernels with the same mean and spread."""
    module = registry.build_model("resnet18", width=0.5)
    ours = registry.init_variables(module, KEY)
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


def test_heads_start_near_zero():
    module = registry.build_model("sight_sound", sight_width=0.0625, sound_width=0.0625)
    params = registry.init_variables(module, KEY)["params"]
    kernel = params["sight_head"]["counts"]["kernel"]
    assert abs(kernel.std() - 0.01) < 0.001
    assert not np.any(params["sight_head"]["counts"]["bias"])


def test_leaves_are_drawn_one_by_one():
    """The same key gives the same leaf wherever it is; other leaves and keys give others."""

    def draw(key, **arguments):
        small = {"sight_width": 0.0625, "sound_width": 0.0625}
        module = registry.build_model("sight_sound", **small, **arguments)
        return registry.init_variables(module, key)["params"]

    full, without = draw(KEY), draw(KEY, use_sight_only_ranker=False)
    assert set(full) - set(without) == {"solo_ranker"}
    for group in without:
        jax.tree.map(np.testing.assert_array_equal, full[group], without[group])
    layer = full["ranker"]["sound"]["stage4"]["block0"]["conv1"]["conv"]["kernel"]
    twin = full["reliability_head"]["sound"]["stage4"]["block0"]["conv1"]["conv"]
    assert np.any(layer != twin["kernel"])
    other = draw(jax.random.key(4), use_sight_only_ranker=False)
    assert np.any(
        other["sound_head"]["classes"]["kernel"]
        != full["sound_head"]["classes"]["kernel"]
    )
