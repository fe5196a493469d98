"""The family's door: options, needs, building networks, first variables."""

import jax
import numpy as np
import pytest

from rac_jax.counting import model_config
from rac_jax.counting.needs import FrameNeeds, SoundNeeds
from rac_jax.counting.options import make_options, option_fields
from rac_jax.models import find_family
from rac_jax.models.sight_sound import FAMILY
from tests import own_process
from tests.conftest import tiny_config

KEY = jax.random.key(3)


def options(**values):
    return make_options(FAMILY.Options, values, "tiny")


def test_it_is_in_the_table():
    assert find_family("sight_sound") is FAMILY


def test_its_options():
    fields = {field.name: field for field in option_fields(FAMILY.Options)}
    assert list(fields) == [
        "protocol",
        "stride",
        "max_stride",
        "sight",
        "sound",
        "seed",
    ]
    assert fields["protocol"].choices == ("paper", "released")
    assert all(field.help for field in fields.values())
    with pytest.raises(ValueError, match="sight, sound: at least one of them"):
        options(sight=False, sound=False)


def test_needs():
    needs = FAMILY.needs(tiny_config(), options())
    assert needs.frames == FrameNeeds(size=(32, 32), interpolation="area")
    assert needs.sound == SoundNeeds(22050)
    released = FAMILY.needs(tiny_config(), options(protocol="released"))
    assert released.frames.interpolation == "bilinear"
    by_model = FAMILY.needs(tiny_config(protocol="released"), options())
    assert by_model == released
    back = FAMILY.needs(tiny_config(protocol="released"), options(protocol="paper"))
    assert back == needs
    assert FAMILY.needs(tiny_config(), options(sound=False)).sound is None
    assert FAMILY.needs(tiny_config(), options(sight=False)).frames is None


def test_the_protocol_where_the_model_says_none():
    config = tiny_config()
    del config["protocol"]
    assert FAMILY.needs(config, options()).frames.interpolation == "area"


def test_the_shipped_model_is_one_of_them():
    config = model_config.read_config("sight-sound-small")
    assert config["family"] == FAMILY.name
    assert FAMILY.network(**config["arguments"]).sight_width == 0.25


def test_the_door_is_light():
    """Flags and needs are known before JAX is imported."""
    code = (
        "import sys\n"
        "from rac_jax.models import find_family\n"
        "family = find_family('sight_sound')\n"
        "family.needs({'preprocessing': {'size': 8, 'audio_rate': 1}}, family.Options())\n"
        "family.conversions()\n"
        "print(*sys.modules)"
    )
    loaded = set(own_process.output(code).split())
    assert not loaded & {"jax", "flax", "torch", "matplotlib", "av"}


def test_public_names_of_arguments():
    network = FAMILY.network(sight_bins=[2, 9], reliability="released")
    assert network.sight_bins == (2, 9)
    assert network.reliability_form == "released"


@pytest.mark.parametrize(
    "arguments,error,message",
    [
        ({"reliability_form": "paper"}, TypeError, "known: .*reliab"),
        ({"ranker": "mine"}, ValueError, "one of paper, released"),
        ({"sight_head": "x"}, ValueError, "regression, expectation"),
        ({"sight_encoder": "x"}, ValueError, "s3d, r2plus1d18"),
    ],
)
def test_mistakes_list_what_is_known(arguments, error, message):
    with pytest.raises(error, match=message):
        FAMILY.network(**arguments)


def test_heads_start_near_zero():
    network = FAMILY.network(sight_width=0.0625, sound_width=0.0625)
    params = FAMILY.initialise(network, KEY)["params"]
    kernel = params["sight_head"]["counts"]["kernel"]
    assert abs(kernel.std() - 0.01) < 0.001
    assert not np.any(params["sight_head"]["counts"]["bias"])


def test_leaves_are_drawn_one_by_one():
    """The same key gives the same leaf wherever it is; other leaves and keys give others."""

    def draw(key, **arguments):
        small = {"sight_width": 0.0625, "sound_width": 0.0625}
        network = FAMILY.network(**small, **arguments)
        return FAMILY.initialise(network, key)["params"]

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
