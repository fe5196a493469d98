"""The released layouts of Listen to Look, read and written.

Four files: the image network, the audio network (whose first convolution is stored under two
names), fusion with its classifier, and skimming (which holds fusion, too); and skimming of one
modality. 1 x 1 convolutions are linear layers here, and weight normalisation's lengths are
vectors.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.family import Variables
from rac_jax.counting.programs import array_shapes
from rac_jax.interop import torch_io
from rac_jax.interop.tables import NORM_NAMES, Entry, Table, TableError
from rac_jax.interop.torch_io import ConversionError
from rac_jax.models import listen_to_look
from rac_jax.models.listen_to_look import FAMILY
from rac_jax.models.listen_to_look.skimming import Skimming
from rac_jax.models.listen_to_look.student import AudioNet, ImageNet, Student

TWICE = "conv1.weight"  # the audio network's first convolution once more
FIRST = "feature_extraction.0.weight"
ROWS = "freq_conv1x1.weight"
FUSION = {
    "fusion/dense1": "net_imageAudio.imageAudio_fc1",
    "fusion/dense2": "net_imageAudio.imageAudio_fc2",
    "classifier": "net_classifier.classifier",
}
SKIMMING = FUSION | {
    "state_classifier": "prediction_fc",
    "attention": "modality_attention",
}
LSTM = {
    "input_kernel": "weight_ih",
    "hidden_kernel": "weight_hh",
    "input_gain": "weight_ih_g",
    "hidden_gain": "weight_hh_g",
    "input_bias": "bias_ih",
    "hidden_bias": "bias_hh",
}
BANKS = ("image_", "audio_")  # before the names of queries and keys; "" with one bank


def read_image(network: ImageNet, state: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Variables of an `ImageNet(units=None)` from the released image network's tensors.

    Raises:
      TableError: naming the first tensor that is missing, left over or misshapen.
    """
    return _read(image_table(network), state)


def read_audio(network: AudioNet, state: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Variables of an `AudioNet(units=None)`; raises as `read_image`."""
    state = dict(state)
    twin = state.pop(TWICE, None)
    if twin is not None and not np.array_equal(twin, state.get(FIRST)):
        raise TableError(f"{TWICE} and {FIRST} differ, they are one tensor")
    return _read(audio_table(network), state)


def read_skimming(network: Skimming, state: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Variables of a `Skimming` of one bank or two; raises as `read_image`."""
    return _read(skimming_table(network), state)


def write_image(network: ImageNet, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The released image network's tensors of variables."""
    return _write(image_table(network), variables)


def write_audio(network: AudioNet, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The released audio network's tensors of variables."""
    state = _write(audio_table(network), variables)
    return {TWICE: state[FIRST]} | state


def write_skimming(network: Skimming, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The released skimming network's tensors of variables."""
    return _write(skimming_table(network), variables)


def read_student(
    image: str | os.PathLike, audio: str | os.PathLike, fusion: str | os.PathLike
) -> tuple[dict[str, Any], Variables]:
    """Reads the released image-audio network.

    Args:
      image, audio: files of the two networks.
      fusion: file of the layers that join them, and of the classifier.

    Returns:
      (config, variables) of a model folder.

    Raises:
      ConversionError: if a file cannot be read or a tensor does not fit; both are named.
    """
    joined = torch_io.read_state_dict(fusion)
    sizes = _sizes(fusion, joined, {"classes": ("net_classifier.classifier.weight", 0)})
    variables: dict[str, Any] = {"params": {}, "batch_stats": {}}
    for name, path, read in (
        ("image", image, lambda state: read_image(ImageNet(units=None), state)),
        ("audio", audio, lambda state: read_audio(AudioNet(units=None), state)),
    ):
        found = _named(path, read, torch_io.read_state_dict(path))
        for kind, tree in found.items():
            variables[kind][name] = tree
    arguments = {"part": listen_to_look.STUDENT, "released": True} | sizes
    table = fusion_table(FAMILY.network(**arguments))
    variables["params"] |= _named(fusion, lambda s: _read(table, s), joined)["params"]
    return _folder(
        "listen-to-look-student", arguments, (image, audio, fusion)
    ), variables


def read_skimmer(path: str | os.PathLike) -> tuple[dict[str, Any], Variables]:
    """Reads a released skimming network, whose sizes are those of its tensors.

    Returns:
      (config, variables) of a model folder.

    Raises:
      ConversionError: if the file cannot be read or a tensor does not fit; it is named.
    """
    state = torch_io.read_state_dict(path)
    banks = 2 if "modality_attention.weight" in state else 1
    lead = BANKS[0] if banks == 2 else ""
    places = {
        "classes": ("net_classifier.classifier.weight", 0),
        "features": (f"{lead}key_conv1x1.0.weight", 1),
        "hidden": (f"{lead}queryfeature_mlp.0.weight", 0),
        "keys": (f"{lead}key_conv1x1.0.weight", 0),
    }
    if banks == 2:
        places["fused"] = ("net_imageAudio.imageAudio_fc2.weight", 0)
        places["fusion_hidden"] = ("net_imageAudio.imageAudio_fc1.weight", 0)
    arguments: dict[str, Any] = {"part": listen_to_look.SKIMMING, "banks": banks}
    arguments |= _sizes(path, state, places)
    arguments["normalised"] = "rnn.weight_ih_g" in state
    network = FAMILY.network(**arguments)
    variables = _named(path, lambda found: read_skimming(network, found), state)
    return _folder("listen-to-look-skimming", arguments, (path,)), variables


def to_torch(network: nn.Module, variables: Variables) -> dict[str, Any] | None:
    """The released files of a skimming network, or of a student of the released widths.

    Raises:
      TableError: if an array does not fit the network.
    """
    if isinstance(network, Skimming):
        return {"skimming.pt": write_skimming(network, variables)}
    if not network.released:
        return None

    def part(name: str) -> dict[str, Any]:
        return {kind: tree[name] for kind, tree in variables.items() if name in tree}

    joined = {name: variables["params"][name] for name in ("fusion", "classifier")}
    return {
        "image.pt": write_image(ImageNet(None, network.width), part("image")),
        "audio.pt": write_audio(AudioNet(None, network.width), part("audio")),
        "fusion.pt": _write(fusion_table(network), {"params": joined}),
    }


def fusion_table(network: Student) -> Table:
    """The table of the layers that join a released student's two networks, and classify."""
    shapes = array_shapes(network, FAMILY.example_inputs(network))
    found = []
    for path, shape in shapes.items():
        layer, _, leaf = path.partition("/")[2].rpartition("/")
        if layer in FUSION:
            found.append(Entry(path, f"{FUSION[layer]}.{_leaf(leaf)}", shape))
    return Table(tuple(found))


def _named(path: str | os.PathLike, read, state: Mapping[str, np.ndarray]) -> Variables:
    """What `read` makes of a file's tensors; what is wrong with them is said with its name."""
    try:
        return read(state)
    except TableError as error:
        raise ConversionError(f"{path}: {error}") from error


def _sizes(
    path: str | os.PathLike,
    state: Mapping[str, np.ndarray],
    places: Mapping[str, tuple[str, int]],
) -> dict[str, int]:
    """Sizes by name, each that of a tensor along an axis."""
    found = {}
    for name, (tensor, axis) in places.items():
        if tensor not in state or state[tensor].ndim <= axis:
            raise ConversionError(f"{path}: lacks the tensor {tensor}")
        found[name] = int(state[tensor].shape[axis])
    return found


def _folder(
    name: str, arguments: dict[str, Any], paths: Sequence[str | os.PathLike]
) -> dict[str, Any]:
    """The `config.json` of converted files."""
    return {
        "name": name,
        "family": FAMILY.name,
        "arguments": arguments,
        "preprocessing": {"size": 112, "audio_rate": 16_000},
        "training": {"converted_from": [os.path.basename(os.fspath(p)) for p in paths]},
        "accuracy": {},
    }


def image_table(network: ImageNet) -> Table:
    """The table of an image network without an output layer."""
    return Table(_trunk(_shapes(network, (1, 32, 32, 3))))


def audio_table(network: AudioNet) -> Table:
    """The table of an audio network that merges rows."""
    shapes = _shapes(network, (1, 101, 40))
    rows = (
        Entry("params/rows_kernel", ROWS, (3,)),
        Entry("params/rows_bias", "freq_conv1x1.bias", (1,)),
    )
    return Table((*_trunk(shapes), *rows))


def skimming_table(network: Skimming) -> Table:
    """The table of a skimming network, without weight normalisation under PyTorch's plain names."""
    shapes = array_shapes(network, FAMILY.example_inputs(network))
    entries = []
    for path, shape in shapes.items():
        layer, _, leaf = path.partition("/")[2].rpartition("/")
        if layer == "lstm":
            name = f"rnn.{LSTM[leaf]}"
            if leaf.endswith("kernel") and network.normalised:
                name += "_v"
        elif (
            found := re.fullmatch(r"(query|key)_(\d)/(dense\d?|norm)", layer)
        ) is None:
            name = f"{SKIMMING[layer]}.{_leaf(leaf)}"
        else:
            kind, place, part = found.groups()
            lead = BANKS[int(place)] if network.banks == 2 else ""
            lead += "queryfeature_mlp" if kind == "query" else "key_conv1x1"
            number = {"dense": 0, "dense1": 0, "norm": 1, "dense2": 3}[part]
            name = f"{lead}.{number}.{_leaf(leaf)}"
        entries.append(Entry(path, name, shape))
    return Table(tuple(entries))


def _leaf(leaf: str) -> str:
    return "weight" if leaf == "kernel" else NORM_NAMES[leaf]


def _shapes(network: nn.Module, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return array_shapes(network, (jax.ShapeDtypeStruct(shape, jnp.float32),))


def _trunk(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Entry, ...]:
    """Entries of a ResNet: its parts have numbers, its blocks' layers torchvision's names."""
    entries = []
    for path, shape in shapes.items():
        parts = path.split("/")
        if parts[1] != "trunk":
            continue
        *place, kind, leaf = parts[2:]
        norm = kind == "norm"
        if place == ["stem"]:
            name = f"feature_extraction.{int(norm)}"
        else:
            stage, block, layer = place
            lead = f"feature_extraction.{int(stage[-1]) + 3}.{block[-1]}"
            if layer == "downsample":
                name = f"{lead}.downsample.{int(norm)}"
            else:
                name = f"{lead}.{layer.replace('conv', 'bn') if norm else layer}"
        entries.append(Entry(path, f"{name}.{_leaf(leaf)}", shape))
    return tuple(entries)


def _read(table: Table, state: Mapping[str, np.ndarray]) -> dict[str, Any]:
    plain = {}
    for name, tensor in state.items():
        if re.search(r"key_conv1x1\.0\.weight$", name) and tensor.ndim == 4:
            tensor = tensor[:, :, 0, 0]
        elif name == ROWS or name.endswith("_g"):
            tensor = tensor.reshape(-1)
        elif re.search(r"weight_[ih]h(_v)?$", name):
            # Ours is not called a kernel alone, so the table does not turn it.
            tensor = tensor.T
        plain[name] = tensor
    return flax.traverse_util.unflatten_dict(table.to_jax(plain), sep="/")


def _write(table: Table, variables: Mapping[str, Any]) -> dict[str, Any]:
    flat = flax.traverse_util.flatten_dict(jax.device_get(dict(variables)), sep="/")
    state = table.to_torch(flat)
    for name, tensor in state.items():
        if re.search(r"key_conv1x1\.0\.weight$", name):
            state[name] = tensor[:, :, None, None]
        elif name == ROWS:
            state[name] = tensor.reshape(1, -1, 1, 1)
        elif name.endswith("_g"):
            state[name] = tensor[:, None]
        elif re.search(r"weight_[ih]h(_v)?$", name):
            state[name] = np.ascontiguousarray(tensor.T)
    return state
