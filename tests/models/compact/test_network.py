"""The compact family: what its streams must not see, and the laws of its features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.counting.programs import abstract_variables
from rac_jax.models.compact import FAMILY, grid
from rac_jax.models.compact import network as compact
from rac_jax.ops import similarity

pytestmark = pytest.mark.usefixtures("quick_compiling")

WINDOW = np.random.default_rng(0).integers(0, 200, (2, 64, 16, 16)).astype(np.float32)
MEL = np.random.default_rng(1).normal(size=(2, 64, 4, 32)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    module = FAMILY.network(sight_features=["pixels", "learned"])
    return module, FAMILY.initialise(module, jax.random.key(0))


def test_periods_are_log_spaced():
    periods = grid.period_grid()
    assert periods.shape == (28,)
    np.testing.assert_allclose(periods[[0, -1]], [2.5, 34.0], rtol=1e-6)
    np.testing.assert_allclose(np.diff(np.log(periods)), np.log(13.6) / 27, rtol=1e-4)


def test_outputs_are_distributions(model):
    module, variables = model
    sight = module.apply(variables, WINDOW, method="sight")
    sound = module.apply(variables, MEL, method="sound")
    for output in (sight, sound):
        assert output.periods.shape == (2, 64, 28)
        assert output.periodicity.shape == (2, 64)
        np.testing.assert_allclose(output.periods.sum(-1), 1.0, rtol=1e-5)
        assert ((output.periodicity > 0) & (output.periodicity < 1)).all()


def test_sight_averages_its_streams(model):
    module, variables = model
    both = module.apply(variables, WINDOW, method="sight")
    alone = []
    for name in ("pixels", "learned"):
        single = FAMILY.network(sight_features=(name,))
        alone.append(single.apply(variables, WINDOW, method="sight"))
    mean = (alone[0].periods + alone[1].periods) / 2
    np.testing.assert_allclose(both.periods, mean, atol=1e-6)


def test_sight_ignores_brightness_and_contrast(model):
    module, variables = model
    plain = module.apply(variables, WINDOW, method="sight")
    other = module.apply(variables, 17 + 1.2 * WINDOW, method="sight")
    np.testing.assert_allclose(plain.periods, other.periods, atol=1e-3)
    np.testing.assert_allclose(plain.periodicity, other.periodicity, atol=1e-3)


def test_uint8_and_float_are_alike(model):
    module, variables = model
    whole = module.apply(variables, WINDOW, method="sight")
    bytes_ = module.apply(variables, WINDOW.astype(np.uint8), method="sight")
    np.testing.assert_allclose(whole.periods, bytes_.periods, atol=1e-6)


def test_sound_ignores_loudness_and_colour(model):
    module, variables = model
    plain = module.apply(variables, MEL, method="sound")
    colour = np.linspace(-2, 2, 32, dtype=np.float32)
    other = module.apply(variables, MEL + colour, method="sound")
    np.testing.assert_allclose(plain.periods, other.periods, atol=1e-3)


def test_time_reversal_turns_the_similarities_round():
    """Appearance has no direction of time, so its TSM is the same from the other end."""
    features = compact.PixelFeatures()
    forward = features.apply({}, jnp.asarray(WINDOW))[0]
    backward = features.apply({}, jnp.asarray(WINDOW[:, ::-1]))[0]
    np.testing.assert_allclose(
        similarity.relative_distances(forward),
        similarity.relative_distances(backward)[:, ::-1, ::-1],
        atol=1e-4,
    )


def test_stillness_is_finite(model):
    module, variables = model
    sight = module.apply(variables, np.zeros_like(WINDOW), method="sight")
    sound = module.apply(variables, np.zeros_like(MEL), method="sound")
    assert np.isfinite(sight.periods).all() and np.isfinite(sound.periods).all()


def test_learned_statistics_are_of_the_batch_in_training(model):
    module, variables = model
    _, updates = module.apply(
        variables, WINDOW, train=True, method="sight", mutable=["batch_stats"]
    )
    before = variables["batch_stats"]["sight_learned"]["features"]["norm0"]["mean"]
    after = updates["batch_stats"]["sight_learned"]["features"]["norm0"]["mean"]
    assert not np.allclose(before, after)


def test_unknown_features_are_named():
    module = FAMILY.network(sight_features=("pixels", "depth"))
    with pytest.raises(ValueError, match="'depth'.*pixels, learned"):
        abstract_variables(module, FAMILY.example_inputs(module))


def test_a_window_has_64_frames(model):
    module, variables = model
    with pytest.raises(AssertionError, match="64"):
        module.apply(variables, WINDOW[:, :32], method="sight")


POSTERIORS = np.random.default_rng(2).uniform(size=(2, 20, 54, 14)).astype(np.float32)


def decode(model, sight, sound):
    module, variables = model
    return module.apply(variables, sight, sound, method="decode")


def test_what_is_fused_is_a_mixture_by_the_reliability(model):
    """Eq. 10 with distributions for counts."""
    found = decode(model, POSTERIORS, POSTERIORS[::-1])
    assert found.fused.shape == (2, 20, 55) and found.reliability.shape == (2, 20)
    np.testing.assert_allclose(found.fused.sum(-1), 1.0, rtol=1e-5)
    weight = found.reliability[..., None]
    rhythm = np.array(found.sound)
    rhythm[..., -1] = 0
    heard = rhythm.sum(-1, keepdims=True)
    assert (weight <= heard).all()
    mixed = (1 - weight) * found.sight + weight * rhythm / heard
    np.testing.assert_allclose(found.fused, mixed, rtol=1e-4)


def test_a_sound_without_rhythm_changes_nothing(model):
    """Where the sound hears no rhythm, what is seen counts."""
    module, variables = model
    params = dict(variables["params"])
    decoder = dict(params["sound_decoder"])
    nothing = dict(decoder["nothing"], bias=decoder["nothing"]["bias"] + 60.0)
    params["sound_decoder"] = decoder | {"nothing": nothing}
    found = decode((module, {"params": params}), POSTERIORS, POSTERIORS[::-1])
    np.testing.assert_allclose(found.fused, found.sight, atol=1e-6)
    np.testing.assert_allclose(found.reliability, 0.0, atol=1e-6)


def test_either_stream_is_decoded_alone(model):
    both = decode(model, POSTERIORS, POSTERIORS[::-1])
    seen, heard = decode(model, POSTERIORS, None), decode(model, None, POSTERIORS[::-1])
    assert seen.sound is None and seen.reliability is None and heard.sight is None
    np.testing.assert_allclose(seen.fused, both.sight, rtol=1e-5)
    np.testing.assert_allclose(heard.fused, both.sound, rtol=1e-5)


def test_decoding_is_shift_invariant_in_time(model):
    """Away from the ends: a decoder sees 32 steps to either side."""
    posteriors = np.random.default_rng(3).uniform(size=(1, 200, 54, 14))
    whole = decode(model, posteriors, None).fused
    part = decode(model, posteriors[:, 40:], None).fused
    np.testing.assert_allclose(whole[0, 110:130], part[0, 70:90], atol=1e-5)


def test_the_reliability_does_not_teach_the_decoders(model):
    """Section 3.4: the streams are trained before; gradients of what is fused stop there."""
    module, variables = model

    def fused(params):
        found = module.apply(
            {"params": params}, POSTERIORS, POSTERIORS[::-1], method="decode"
        )
        return jnp.sum(jnp.log(found.fused[..., 3]))

    gradients = jax.grad(fused)(variables["params"])
    for group, leaves in gradients.items():
        moved = any(np.any(leaf) for leaf in jax.tree.leaves(leaves))
        assert moved == group.startswith("reliability"), group
