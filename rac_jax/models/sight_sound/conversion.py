"""Published PyTorch checkpoints to our models, and our models to PyTorch.

Reading gives a model folder's `config.json` and variables; who calls writes them. The release
of paper 1 fits `--protocol released`; backbones come without their classifiers, to start
training from.
"""

import os
import pathlib
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax

from rac_jax.interop import tables, torch_io
from rac_jax.interop.tables import TableError
from rac_jax.interop.torch_io import ConversionError
from rac_jax.models import registry
from rac_jax.models.sight_sound.network import SightSound

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
SPECTROGRAM = {"nperseg": 512, "noverlap": 353}
RELEASE_PREPROCESSING = {
    "clip_frames": 64,
    "size": 112,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "audio_rate": 22050,
    **SPECTROGRAM,
    "columns": 500,
}
# As the networks' authors normalise frames: torchvision by the statistics of Kinetics, kylemin
# to -1..1.
KINETICS_COLOURS = {
    "mean": [0.43216, 0.394666, 0.37645],
    "std": [0.22803, 0.22145, 0.216989],
}
SYMMETRIC_COLOURS = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
# By command: (family, keys its state dict may lie under, preprocessing).
BACKBONES = {
    "s3d-kinetics": (
        "s3d",
        ("state_dict", "model_state_dict", None),
        {"clip_frames": 64, "size": 224, **KINETICS_COLOURS},
    ),
    "r2plus1d-kinetics": (
        "r2plus1d18",
        ("state_dict", "model_state_dict", None),
        {"clip_frames": 16, "size": 112, **KINETICS_COLOURS},
    ),
    "vggsound-resnet18": (
        "resnet18",
        ("model_state_dict", "state_dict", None),
        {"audio_rate": 16000, **SPECTROGRAM},
    ),
}
AUDIO_LEAD = "audnet."

Model = tuple[dict[str, Any], dict[str, Any]]


def read_release(
    sight: str | os.PathLike,
    sound: str | os.PathLike,
    stride: str | os.PathLike,
    reliability: str | os.PathLike,
) -> Model:
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
    paths = {
        "visual_checkpoint.pt": sight,
        "audio_checkpoint.pt": sound,
        "sr_checkpoint.pt": stride,
        "conf_checkpoint.pt": reliability,
    }
    module = registry.build_model("sight_sound", **RELEASE_ARGUMENTS)
    contents = {file: torch_io.read_checkpoint(path) for file, path in paths.items()}
    flat = {}
    for (file, key), table in tables.release(module).items():
        state = torch_io.state_dict(paths[file], contents[file], (key,))
        flat |= _to_jax(f"{paths[file]} ({key})", table, state)
    config = {
        "name": "sight-sound-release",
        "family": "sight_sound",
        "arguments": RELEASE_ARGUMENTS,
        "preprocessing": RELEASE_PREPROCESSING,
        "protocol": "released",
        "max_stride": 5,
        "training": {"converted_from": [os.path.basename(p) for p in paths.values()]},
        "accuracy": {},
    }
    return config, flax.traverse_util.unflatten_dict(flat, sep="/")


def read_backbone(kind: str, path: str | os.PathLike) -> Model:
    """Reads a backbone to start training from.

    Args:
      kind: a key of `BACKBONES`. The S3D may be torchvision's or kylemin's, told apart by
        their names; the ResNet-18 may lead its names with "audnet.".
      path: of the file; its state dict may lie under "state_dict" or "model_state_dict".

    Returns:
      (config, variables) of a model folder that holds the encoder alone.

    Raises:
      ConversionError: if the file cannot be read or a tensor does not fit; it is named.
    """
    family, keys, preprocessing = BACKBONES[kind]
    state = torch_io.state_dict(path, torch_io.read_checkpoint(path), keys)
    naming = ""
    if family == "s3d" and any(name.startswith("base.") for name in state):
        naming = "kylemin"
        preprocessing = preprocessing | SYMMETRIC_COLOURS
    if family == "resnet18":
        state = {name.removeprefix(AUDIO_LEAD): value for name, value in state.items()}
    module = registry.build_model(family)
    flat = _to_jax(path, tables.backbone(module, naming), state)
    config = {
        "name": kind,
        "family": family,
        "arguments": {"width": 1.0},
        "preprocessing": preprocessing,
        "training": {"converted_from": [os.path.basename(path)]},
        "accuracy": {},
    }
    return config, flax.traverse_util.unflatten_dict(flat, sep="/")


def write_torch(
    folder: str | os.PathLike, module: nn.Module, variables: dict[str, Any]
) -> list[pathlib.Path]:
    """Writes a model as PyTorch checkpoints.

    A sight-and-sound model of the released form becomes the authors' four files; of any other
    form one `model.pt` with the names of `tables.whole`; an encoder one `model.pt` with the
    published names (torchvision's for S3D and R(2+1)D) and no classifier. A `model.pt` holds
    the state dict itself.

    Args:
      folder: where.
      module: the model.
      variables: its {"params", "batch_stats"}.

    Returns:
      The files.

    Raises:
      ConversionError: if an array does not fit the model, or a file cannot be written.
    """
    flat = flax.traverse_util.flatten_dict(jax.device_get(variables), sep="/")
    files: dict[str, Any] = {}
    try:
        if not isinstance(module, SightSound):
            files["model.pt"] = tables.backbone(module).to_torch(flat)
        elif tables.differs_from_release(module):
            files["model.pt"] = tables.whole(module).to_torch(flat)
        else:
            for (file, key), table in tables.release(module).items():
                state = table.to_torch(flat)
                if key in tables.LED_BY_MODULE[file]:
                    state = {
                        torch_io.LEAD + name: value for name, value in state.items()
                    }
                files.setdefault(file, {})[key] = state
    except TableError as error:
        raise ConversionError(f"{folder}: {error}") from error
    return torch_io.write_checkpoints(folder, files)


def _to_jax(place: Any, table: tables.Table, state: dict[str, Any]) -> dict[str, Any]:
    try:
        return table.to_jax(state)
    except TableError as error:
        raise ConversionError(f"{place}: {error}") from error
