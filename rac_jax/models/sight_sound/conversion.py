"""The authors' released PyTorch checkpoints to our models, and our models to PyTorch.

Reading gives a model folder's `config.json` and variables; who calls writes them. The release
of paper 1 fits `--protocol released`.
"""

import os
from typing import Any

import flax.traverse_util
import jax

from rac_jax.counting import programs
from rac_jax.counting.family import Variables
from rac_jax.encoders.layers import scaled
from rac_jax.encoders.published import LAYERS
from rac_jax.interop import torch_io
from rac_jax.interop.tables import Table, TableError, dense_entries, layer_entries
from rac_jax.interop.torch_io import ConversionError
from rac_jax.models.sight_sound import FAMILY
from rac_jax.models.sight_sound.network import SightSound
from rac_jax.models.sight_sound.preprocessing import preprocessing
from rac_jax.models.sight_sound.release import FILES

RELEASE_ARGUMENTS = {
    "sight_encoder": "r2plus1d18",
    "sight_width": 1.0,
    "sight_classes": 41,
    "sight_head": "expectation",
    "sight_bins": [2, 35],
    "sound_width": 1.0,
    "sound_classes": 43,
    "sound_head": "expectation",
    "sound_bins": [2, 19],
    "ranker": "released",
    "reliability": "released",
    "use_sight_only_ranker": False,
}
# Height and width of the release's frames, in pixels.
RELEASE_SIZE = 112
# The state dicts whose names are led by "module.", by file and key.
LED_BY_MODULE = {
    (FILES["sight"], "state_dict"),
    (FILES["stride"], "sr_state_dict"),
}
# What a model of the released form has in common with the authors' networks.
RELEASED_FORM = {
    "sight_encoder": "r2plus1d18",
    "sight_head": "expectation",
    "sound_head": "expectation",
    "ranker": "released",
    "reliability_form": "released",
    "use_sight_only_ranker": False,
}


def read_release(
    sight: str | os.PathLike,
    sound: str | os.PathLike,
    stride: str | os.PathLike,
    reliability: str | os.PathLike,
) -> tuple[dict[str, Any], Variables]:
    """Reads the four files of the sight-and-sound release.

    Args:
      sight: visual_checkpoint.pt.
      sound: audio_checkpoint.pt.
      stride: sr_checkpoint.pt.
      reliability: conf_checkpoint.pt.

    Returns:
      (config, variables) of a model folder.

    Raises:
      ConversionError: if a file cannot be read or a tensor does not fit; it is named.
    """
    given = {"sight": sight, "sound": sound, "stride": stride}
    given["reliability"] = reliability
    paths = {FILES[part]: path for part, path in given.items()}
    network = FAMILY.network(**RELEASE_ARGUMENTS)
    contents = {file: torch_io.read_checkpoint(path) for file, path in paths.items()}
    flat = {}
    for (file, key), table in release_tables(network).items():
        state = torch_io.state_dict(paths[file], contents[file], (key,))
        try:
            flat |= table.to_jax(state)
        except TableError as error:
            raise ConversionError(f"{paths[file]} ({key}): {error}") from error
    config = {
        "name": "sight-sound-release",
        "family": FAMILY.name,
        "arguments": RELEASE_ARGUMENTS,
        "preprocessing": preprocessing(RELEASE_SIZE),
        "protocol": "released",
        "max_stride": 5,
        "training": {"converted_from": [os.path.basename(p) for p in paths.values()]},
        "accuracy": {},
    }
    return config, flax.traverse_util.unflatten_dict(flat, sep="/")


def to_torch(network: SightSound, variables: Variables) -> dict[str, Any]:
    """A model as PyTorch files.

    Args:
      network: the model.
      variables: its {"params", "batch_stats"}.

    Returns:
      {file name: nested dicts of arrays}. A model of the released form becomes the authors' four
      files; of any other form one `model.pt`, a state dict with the names of `whole_table`.

    Raises:
      TableError: if an array does not fit the model.
    """
    flat = flax.traverse_util.flatten_dict(jax.device_get(variables), sep="/")
    if differs_from_release(network):
        return {"model.pt": whole_table(network).to_torch(flat)}
    files: dict[str, Any] = {}
    for (file, key), table in release_tables(network).items():
        state = table.to_torch(flat)
        if (file, key) in LED_BY_MODULE:
            state = {torch_io.LEAD + name: value for name, value in state.items()}
        files.setdefault(file, {})[key] = state
    return files


def release_tables(network: SightSound) -> dict[tuple[str, str], Table]:
    """The tables of the authors' files, by file and key, without any leading "module.".

    Args:
      network: a model of the released form.

    Returns:
      {(file, key): table}.

    Raises:
      ValueError: if the network is of another form.
    """
    reason = differs_from_release(network)
    if reason:
        raise ValueError(f"not of the released form: {reason}")
    shapes = programs.array_shapes(network, FAMILY.example_inputs(network))
    sight, sound = LAYERS["r2plus1d18"], LAYERS["resnet18"]
    width = scaled(512, network.sound_width)
    return {
        (FILES["sight"], "state_dict"): Table(
            layer_entries(shapes, sight, "sight_encoder/")
            + dense_entries(shapes, "sight_head/counts", "fc")
            + dense_entries(shapes, "sight_head/classes", "fc2")
        ),
        (FILES["sound"], "state_dict"): Table(
            layer_entries(shapes, sound, "sound_encoder/", "audnet.")
            + dense_entries(shapes, "sound_head/counts", "audnet.fc")
            + dense_entries(shapes, "sound_head/classes", "audnet.fc2")
        ),
        (FILES["stride"], "sr_state_dict"): Table(
            layer_entries(shapes, sight, "ranker/sight/")
            + dense_entries(shapes, "ranker/score", "fc.0")
        ),
        (FILES["stride"], "a_sr_state_dict"): Table(
            layer_entries(shapes, sound, "ranker/sound/"),
            # The classifier that this network was made with and never uses.
            unused={"fc.weight": (1000, width), "fc.bias": (1000,)},
        ),
        (FILES["reliability"], "v_state_dict"): Table(
            layer_entries(shapes, sound, "reliability_head/sound/")
            + dense_entries(shapes, "reliability_head/score", "fc.1")
        ),
    }


def differs_from_release(network: SightSound) -> str:
    """Why a model does not fit the authors' four files; empty if it does."""
    for field, value in RELEASED_FORM.items():
        if getattr(network, field) != value:
            return f"{field} is {getattr(network, field)!r}"
    return ""


def whole_table(network: SightSound) -> Table:
    """One table for a sight-and-sound model of any form.

    Every part's published names are led by our name for the part: "sight_encoder.",
    "sound_encoder.", "ranker.sight.", "ranker.sound.", "solo_ranker.sight." and
    "reliability_head.sound."; fully connected layers are "sight_head.counts",
    "sight_head.classes", the same of "sound_head", "ranker.score", "solo_ranker.score" and
    "reliability_head.score".

    Args:
      network: the model.

    Returns:
      The table.
    """
    shapes = programs.array_shapes(network, FAMILY.example_inputs(network))
    solo = network.use_sight_only_ranker
    sight = ["sight_encoder", "ranker/sight"] + ["solo_ranker/sight"] * solo
    sound = ["sound_encoder", "ranker/sound", "reliability_head/sound"]
    dense = [
        "sight_head/counts",
        "sight_head/classes",
        "sound_head/counts",
        "sound_head/classes",
        "ranker/score",
        *["solo_ranker/score"] * solo,
        "reliability_head/score",
    ]
    entries = []
    for groups, encoder in ((sight, network.sight_encoder), (sound, "resnet18")):
        for group in groups:
            lead = group.replace("/", ".") + "."
            entries += layer_entries(shapes, LAYERS[encoder], group + "/", lead)
    for path in dense:
        entries += dense_entries(shapes, path, path.replace("/", "."))
    return Table(tuple(entries))
