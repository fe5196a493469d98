"""Name tables between our variables and PyTorch's, exact in both directions.

A table pairs every array of a module with one tensor of a checkpoint; it is generated from the
module, so it follows width and depth. PyTorch keeps a counter with every batch normalisation,
`num_batches_tracked`, which has no meaning to us: ignored when read, 0 when written.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import flax.traverse_util
import numpy as np

from rac_jax.encoders.layers import scaled
from rac_jax.encoders.published import LAYERS, NORM_NAMES, kylemin_layer
from rac_jax.models import registry
from rac_jax.models.sight_sound.network import SightSound

COUNTER = "num_batches_tracked"
# The keys of the release's files whose names are led by "module.".
LED_BY_MODULE = {
    "visual_checkpoint.pt": ("state_dict",),
    "audio_checkpoint.pt": (),
    "sr_checkpoint.pt": ("sr_state_dict",),
    "conf_checkpoint.pt": (),
}


class TableError(ValueError):
    """A tensor that is missing, left over or misshapen: one line that names it."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One array here and one tensor there."""

    path: str  # ours, "params/..." or "batch_stats/..."
    name: str  # theirs
    shape: tuple[int, ...]  # ours

    @property
    def torch_shape(self) -> tuple[int, ...]:
        """The tensor's shape: kernels are [out, in, taps...] there."""
        if not self._is_kernel:
            return self.shape
        return (self.shape[-1], self.shape[-2], *self.shape[:-2])

    @property
    def _is_kernel(self) -> bool:
        return self.path.endswith("/kernel")

    def to_jax(self, tensor: np.ndarray) -> np.ndarray:
        """The array of a tensor."""
        if not self._is_kernel:
            return tensor
        return np.ascontiguousarray(np.moveaxis(tensor, (1, 0), (-2, -1)))

    def to_torch(self, array: np.ndarray) -> np.ndarray:
        """The tensor of an array."""
        if not self._is_kernel:
            return array
        return np.ascontiguousarray(np.moveaxis(array, (-2, -1), (1, 0)))


@dataclasses.dataclass(frozen=True)
class Table:
    """All entries of one state dict.

    `unused` are tensors of the layout that nothing here needs, by name, with None where any
    size goes; they are checked, dropped, and written as zeros unless `optional`.
    """

    entries: tuple[Entry, ...]
    unused: Mapping[str, tuple[int | None, ...]] = dataclasses.field(
        default_factory=dict
    )
    optional: bool = (
        False  # whether the unused tensors may be missing, and are not written
    )

    def counters(self) -> set[str]:
        """Names of the batch counters."""
        mean = "." + NORM_NAMES["mean"]
        return {
            entry.name.removesuffix(mean) + "." + COUNTER
            for entry in self.entries
            if entry.name.endswith(mean)
        }

    def to_jax(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays by path of a state dict.

        Raises:
          TableError: naming the first tensor that is missing, left over, misshapen or not of
            floating point.
        """
        wanted = {entry.name: entry.torch_shape for entry in self.entries}
        counters = self.counters()
        for name in [*wanted, *(() if self.optional else self.unused)]:
            if name not in tensors:
                raise TableError(f"lacks the tensor {name}")
        for name in tensors:
            if name not in wanted and name not in self.unused and name not in counters:
                raise TableError(
                    f"holds the tensor {name}, which the model does not have"
                )
        for name, shape in [*wanted.items(), *self.unused.items()]:
            if name in tensors:
                _check_shape(name, tensors[name], shape)
        for name in wanted:
            if not np.issubdtype(tensors[name].dtype, np.floating):
                raise TableError(f"{name} is of type {tensors[name].dtype}, not float")
        return {
            entry.path: entry.to_jax(tensors[entry.name].astype(np.float32))
            for entry in self.entries
        }

    def to_torch(self, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The state dict of arrays by path; arrays of other tables are left alone.

        Raises:
          TableError: naming the first array that is missing or misshapen.
        """
        tensors = {}
        counters = self.counters()
        for entry in self.entries:
            if entry.path not in arrays:
                raise TableError(f"lacks the array {entry.path}")
            array = np.asarray(arrays[entry.path], np.float32)
            _check_shape(entry.path, array, entry.shape)
            tensors[entry.name] = entry.to_torch(array)
            # Right after the running variance, where PyTorch has it.
            counter = entry.name.rpartition(".")[0] + "." + COUNTER
            if entry.name.endswith("." + NORM_NAMES["var"]) and counter in counters:
                tensors[counter] = np.zeros((), np.int64)
        if not self.optional:
            for name, shape in self.unused.items():
                tensors[name] = np.zeros(shape, np.float32)
        return tensors


def _check_shape(name: str, array: np.ndarray, shape: tuple[int | None, ...]) -> None:
    fits = len(array.shape) == len(shape) and all(
        size in (None, have) for have, size in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise TableError(f"{name} is {list(array.shape)}, the model has [{wanted}]")


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of a model's arrays by path."""
    flat = flax.traverse_util.flatten_dict(registry.abstract_variables(module), sep="/")
    return {path: leaf.shape for path, leaf in flat.items()}


def _layers(
    shapes: Mapping[str, tuple[int, ...]],
    encoder: str,
    group: str = "",
    lead: str = "",
    layer_name: Callable[[tuple[str, ...]], str] | None = None,
) -> tuple[Entry, ...]:
    """Entries of an encoder, or a stage of it, whose paths begin with `group` ("ranker/sight/").

    `lead` goes before every published name.
    """
    layer_name = layer_name or LAYERS[encoder]
    entries = []
    for path, shape in shapes.items():
        _, _, inner = path.partition("/")  # without "params" or "batch_stats"
        if inner.startswith(group):
            *parts, leaf = inner.removeprefix(group).split("/")
            leaf = "weight" if leaf == "kernel" else NORM_NAMES[leaf]
            entries.append(
                Entry(path, f"{lead}{layer_name(tuple(parts))}.{leaf}", shape)
            )
    return tuple(entries)


def _dense(
    shapes: Mapping[str, tuple[int, ...]], path: str, name: str
) -> tuple[Entry, ...]:
    """The two entries of a fully connected layer."""
    return tuple(
        Entry(
            f"params/{path}/{ours}", f"{name}.{theirs}", shapes[f"params/{path}/{ours}"]
        )
        for ours, theirs in (("kernel", "weight"), ("bias", "bias"))
    )


def backbone(module: nn.Module, naming: str = "") -> Table:
    """The table of an encoder; its classifier is checked and dropped, if there is one.

    Args:
      module: an S3D, R2Plus1D18 or ResNet18.
      naming: "kylemin" for his names of an S3D's layers, empty for torchvision's.

    Returns:
      The table.
    """
    encoder = next(
        name for name, family in registry.FAMILIES.items() if type(module) is family
    )
    shapes = shapes_of(module)
    width = scaled(512, module.width)
    taps = (1, 1, 1) if encoder == "s3d" else ()
    classifier = "fc"
    if encoder == "s3d":
        # What goes in is the width of the four branches of the last block together.
        last = [
            shape[0]
            for path, shape in shapes.items()
            if re.fullmatch(
                r"params/stage4/mixed_5c/branch\d(/temporal)?/norm/scale", path
            )
        ]
        width = sum(last)
        classifier = "fc.0" if naming == "kylemin" else "classifier.1"
    return Table(
        _layers(
            shapes, encoder, layer_name=kylemin_layer if naming == "kylemin" else None
        ),
        unused={
            f"{classifier}.weight": (None, width, *taps),
            f"{classifier}.bias": (None,),
        },
        optional=True,
    )


def release(module: SightSound) -> dict[tuple[str, str], Table]:
    """The tables of the authors' files, by file and key, without any leading "module.".

    Args:
      module: a model of the released form.

    Returns:
      {(file, key): table}.

    Raises:
      ValueError: if the module is of another form.
    """
    reason = differs_from_release(module)
    if reason:
        raise ValueError(f"not of the released form: {reason}")
    shapes = shapes_of(module)
    sight, sound = "r2plus1d18", "resnet18"
    width = scaled(512, module.sound_width)
    return {
        ("visual_checkpoint.pt", "state_dict"): Table(
            _layers(shapes, sight, "sight_encoder/")
            + _dense(shapes, "sight_head/counts", "fc")
            + _dense(shapes, "sight_head/classes", "fc2")
        ),
        ("audio_checkpoint.pt", "state_dict"): Table(
            _layers(shapes, sound, "sound_encoder/", "audnet.")
            + _dense(shapes, "sound_head/counts", "audnet.fc")
            + _dense(shapes, "sound_head/classes", "audnet.fc2")
        ),
        ("sr_checkpoint.pt", "sr_state_dict"): Table(
            _layers(shapes, sight, "ranker/sight/")
            + _dense(shapes, "ranker/score", "fc.0")
        ),
        ("sr_checkpoint.pt", "a_sr_state_dict"): Table(
            _layers(shapes, sound, "ranker/sound/"),
            # The classifier that this network was made with and never uses.
            unused={"fc.weight": (1000, width), "fc.bias": (1000,)},
        ),
        ("conf_checkpoint.pt", "v_state_dict"): Table(
            _layers(shapes, sound, "reliability_head/sound/")
            + _dense(shapes, "reliability_head/score", "fc.1")
        ),
    }


def differs_from_release(module: SightSound) -> str:
    """Why a model does not fit the authors' four files; empty if it does."""
    wanted = {
        "sight_encoder": "r2plus1d18",
        "sight_head": "expectation",
        "sound_head": "expectation",
        "ranker": "released",
        "reliability_form": "released",
        "use_sight_only_ranker": False,
    }
    for field, value in wanted.items():
        if getattr(module, field) != value:
            return f"{field} is {getattr(module, field)!r}"
    return ""


def whole(module: SightSound) -> Table:
    """One table for a sight-and-sound model of any form.

    Every part's published names are led by our name for the part: "sight_encoder.",
    "sound_encoder.", "ranker.sight.", "ranker.sound.", "solo_ranker.sight." and
    "reliability_head.sound."; fully connected layers are "sight_head.counts",
    "sight_head.classes", the same of "sound_head", "ranker.score", "solo_ranker.score" and
    "reliability_head.score".

    Args:
      module: the model.

    Returns:
      The table.
    """
    shapes = shapes_of(module)
    solo = module.use_sight_only_ranker
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
    for groups, encoder in ((sight, module.sight_encoder), (sound, "resnet18")):
        for group in groups:
            lead = group.replace("/", ".") + "."
            entries += _layers(shapes, encoder, group + "/", lead)
    for path in dense:
        entries += _dense(shapes, path, path.replace("/", "."))
    return Table(tuple(entries))
