"""Labels of scenes and of videos, the objective, the checks, and the ablations' parts."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.counting.programs import array_shapes
from rac_jax.data.labelled import LabelledVideo
from rac_jax.encoders import Encoder
from rac_jax.models.ta2net import FAMILY, recipe
from rac_jax.models.ta2net.event_clips import EventClips
from rac_jax.models.ta2net.kinematics import NETWORKS
from rac_jax.models.ta2net.layers import EventOutput
from rac_jax.train import training
from tests.models.ta2net import tiny_run
from tests.train import toy


def _video(events, frames=40):
    return LabelledVideo(
        video_id="a",
        frames=np.arange(frames, dtype=np.uint8)[:, None, None, None]
        * np.ones((1, 2, 2, 3), np.uint8),
        fps=25.0,
        waveform=None,
        audio_rate=0,
        count=2.0,
        cycles=None,
        events=events,
        label="",
        challenges=(),
    )


def test_clips_of_videos_hold_an_event():
    clips = EventClips(frames=16, size=2)
    video = _video(np.asarray([5.2, 30.0, 30.4], np.float32))
    rng = np.random.default_rng(0)
    for _ in range(20):
        window = clips(video, rng)
        assert {k: v.shape for k, v in window.items()} == {
            k: v.shape for k, v in clips.blank().items()
        }
        first = int(window["windows"][0, 0, 0, 0])
        real = window["periodic"]
        assert real.sum() == min(16, 40 - first)
        marked = first + np.flatnonzero(window["rate"])
        assert 0 < len(marked) and set(marked) <= {5, 30}
    assert not clips(_video(None), rng)["periodic"].any()


def test_objective_looks_at_real_frames():
    rng = np.random.default_rng(1)

    def output(seed):
        draws = np.random.default_rng(seed)
        return EventOutput(
            jnp.asarray(draws.normal(size=(3, 8, 2)), jnp.float32),
            jnp.asarray(draws.uniform(size=(3, 8, 2, 2)), jnp.float32),
            jnp.asarray(draws.uniform(size=(3, 8, 5)), jnp.float32),
            jnp.asarray(draws.uniform(size=(3, 8, 5)), jnp.float32),
        )

    rate = (rng.uniform(size=(3, 8)) < 0.4).astype(np.float32)
    rate[1] = 0
    batch = {
        "rate": jnp.asarray(rate),
        "periodic": jnp.ones((3, 8), bool).at[0, 6:].set(False),
        "mask": jnp.asarray([True, True, True]),
    }
    for released in (False, True):
        terms = recipe.terms_of(output(0), batch, jax.random.key(0), released)
        assert set(terms) == set(recipe.losses.TERMS)
        assert all(np.isfinite(one.value()) for one in terms.values())
        assert terms["cross_entropy"].weight == 22
    plain = recipe.terms_of(output(0), batch, jax.random.key(0), False)
    # What is beyond a clip's end changes nothing of what is said of frames.
    other = output(0)
    other = other.replace(logits=other.logits.at[0, 6:].set(9.0))
    changed = recipe.terms_of(other, batch, jax.random.key(0), False)
    assert changed["focal"].value() == plain["focal"].value()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("windows.examples", "films", "windows.examples: 'films' is not one of scenes"),
        ("loss.weights.contrast", -1.0, "loss.weights.contrast: -1.0 is below 0"),
        ("counting.threshold", 2.0, "counting.threshold: 2.0 is not from 0 to 1"),
    ],
)
def test_wrong_settings_are_named(tmp_path, field, value, message):
    config = tiny_run.tiny_config({field: value})
    run = toy.make_run(config, tmp_path)
    with pytest.raises(ValueError, match=message):
        recipe.check(run)


def test_a_network_of_flow_needs_weights_and_learns_nothing(tmp_path):
    config = tiny_run.tiny_config({"model.flow": "gmflow_small"})
    run = toy.make_run(config, tmp_path)
    with pytest.raises(ValueError, match="start.flow_network: model.flow is gmflow_sm"):
        recipe.check(run)
    config.start.flow_network = "gmflow-small"
    recipe.check(run)
    shapes = jax.eval_shape(
        run.network.init, jax.random.key(0), *run.family.example_inputs(run.network)
    )["params"]
    assert set(shapes) == {*recipe.groups_of(run), "flow_network"}
    # The weights of the encoder alone fit.
    alone = Encoder("gmflow").network(**NETWORKS["gmflow_small"])
    inputs = jax.ShapeDtypeStruct((1, 2, 32, 32, 3), jnp.float32)
    wanted = jax.eval_shape(alone.init, jax.random.key(0), inputs)["params"]
    assert jax.tree.map(jnp.shape, shapes["flow_network"]) == jax.tree.map(
        jnp.shape, wanted
    )
    with pytest.raises(ValueError, match="flow: 'x' is not one of tv_l1, .*gmflow_sm"):
        recipe.check(toy.make_run(tiny_run.tiny_config({"model.flow": "x"}), tmp_path))


def test_the_settings_pass_their_checks(tmp_path):
    for variant in ("", "small", "quick"):
        config = tiny_run.load_config(variant)
        training.checked_run(FAMILY, config, tmp_path)
    rates = dict(tiny_run.load_config("paper").windows.optimiser.rates)
    network = FAMILY.network()
    shapes = array_shapes(network, FAMILY.example_inputs(network))
    names = [path.partition("/")[2] for path in shapes if path.startswith("params")]
    found = {
        pattern: sum(bool(re.search(pattern, n)) for n in names) for pattern in rates
    }
    assert all(found.values())


def test_variants_and_ablations_have_their_parts(tmp_path):
    for variant in ("", "paper", "released", "small", "quick"):
        assert tiny_run.load_config(variant).family == "ta2net"
    with pytest.raises(ValueError, match="no variant 'big'; there are: paper, "):
        tiny_run.load_config("big")
    for changes, groups in (
        ({"model.streams": ()}, {recipe.IMAGE, "beside"}),
        (
            {"model.image": False, "model.aggregated": False},
            {"beside", "motion_encoder", "inflection_encoder"},
        ),
        (
            {"model.streams": ("motion",), "model.aggregated": False},
            {recipe.IMAGE, "beside", "motion_encoder"},
        ),
        (
            {"model.beside": False},
            {recipe.IMAGE}
            | {
                f"{s}_{p}"
                for s in ("motion", "inflection")
                for p in ("encoder", "aggregation")
            },
        ),
    ):
        run = toy.make_run(tiny_run.tiny_config(changes), tmp_path)
        shapes = jax.eval_shape(
            run.network.init,
            jax.random.key(0),
            *run.family.example_inputs(run.network),
        )
        assert set(shapes["params"]) == set(recipe.groups_of(run))
        assert set(shapes["params"]) == set(recipe.ALWAYS) | groups
    blind = FAMILY.network(image=False, encoder="lean", frames=2)
    with pytest.raises(ValueError, match="image: without it there must be streams"):
        jax.eval_shape(blind.init, jax.random.key(0), np.zeros((1, 2, 8, 8, 3)))
