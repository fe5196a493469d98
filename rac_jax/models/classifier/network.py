"""A classifier of actions: an encoder of clips, images or spectrograms, pooled, and a dense layer.

The encoders are those that families start from, by one table; each is a group of parameters of
its own, "encoder", which is all that others take. Encoders of images see every frame of a clip,
whose features are then averaged (Wang et al., "Temporal segment networks", 2016); those whose
first layer wants three channels are given a spectrogram three times.
"""

import dataclasses
import importlib

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from rac_jax.encoders.layers import BatchNorm, EncoderOutput, check_input, head
from rac_jax.ops.pooling import global_mean

CLIPS, IMAGES = "clips", "images"
FRAMES, SOUND = "frames", "sound"
# What variables are made with; they do not depend on the sizes.
EXAMPLES = {FRAMES: (1, 8, 32, 32, 3), SOUND: (1, 64, 64)}


@dataclasses.dataclass(frozen=True)
class Kind:
    """An encoder that a classifier may have.

    Attributes:
      path: "module:class". Its module is called with [B, T, H, W, 3] or [B, H, W, C] and
        `train`, and gives an `EncoderOutput` or features [B, ..., C].
      sees: of what shape its input is, clips or images.
      channels: how many channels its images must have, 0 for any number.
      normalised: whether its features still want a batch normalisation and a ReLU.
      convolutional: whether it has no matrices, which are drawn otherwise.
    """

    path: str
    sees: str = CLIPS
    channels: int = 3
    normalised: bool = True
    convolutional: bool = True


KINDS = {
    "efficientnet_lite": Kind(
        "rac_jax.encoders.efficientnet_lite:EfficientNetLite", IMAGES
    ),
    "i3d": Kind("rac_jax.encoders.i3d:I3D"),
    "plain": Kind("rac_jax.encoders.plain_frames:PlainFrames"),
    "r2plus1d18": Kind("rac_jax.encoders.r2plus1d:R2Plus1D18"),
    "resnet18": Kind("rac_jax.encoders.resnet:ResNet18", IMAGES, channels=0),
    "resnet50v2": Kind(
        "rac_jax.encoders.resnet_v2:ResNet50V2", IMAGES, normalised=False
    ),
    "s3d": Kind("rac_jax.encoders.s3d:S3D"),
    "video_swin": Kind("rac_jax.encoders.video_swin:VideoSwin", convolutional=False),
}


def find_kind(encoder: str) -> Kind:
    """An encoder by its name.

    Raises:
      ValueError: for another name; the known ones are listed.
    """
    if encoder not in KINDS:
        raise ValueError(f"encoder: {encoder!r} is not one of {', '.join(KINDS)}")
    return KINDS[encoder]


@flax.struct.dataclass
class ClassifierOutput:
    """What the network says of each clip or sound.

    Attributes:
      logits: [B, P] float32, of the classes.
      features: [B, C] float32, pooled.
    """

    logits: jax.Array
    features: jax.Array


class Classifier(nn.Module):
    """The network.

    Args:
      encoder: a key of `KINDS`.
      classes: P.
      input: "frames" for clips and images, "sound" for spectrograms.
      width: channel multiplier of the encoder; 1 is the published network.
      dropout: of the pooled features, before the last layer.
      blocks: of each stage of a ResNet-50; empty for all. RepNet's encoder has (3, 4, 3).
      dtype: compute type of the encoder; pooling, the last layer and logits are float32.
    """

    encoder: str = "s3d"
    classes: int = 400
    input: str = FRAMES
    width: float = 1.0
    dropout: float = 0.0
    blocks: tuple[int, ...] = ()
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, frozen: bool = False
    ) -> ClassifierOutput:
        """Names actions.

        Args:
          x: [B, T, H, W, 3] normalised clips (T = 1 for images), or [B, F, n] standardised
            spectrograms.
          train: whether batch statistics are the batch's own and features are dropped (a key
            for "dropout").
          frozen: whether the encoder does as in use also while `train`.

        Returns:
          The logits and the features.

        Raises:
          ValueError: for an input of another shape, or an encoder that cannot have it.
        """
        kind = find_kind(self.encoder)
        x, frames = self._as_seen(x, kind)
        module, _, name = kind.path.partition(":")
        arguments = {"blocks": self.blocks} if self.blocks else {}
        encoder = getattr(importlib.import_module(module), name)(
            width=self.width, dtype=self.dtype, name="encoder", **arguments
        )
        found = encoder(x, train=train and not frozen)
        if isinstance(found, EncoderOutput):
            features = found.features  # [B or B·T, C]
        else:
            if not kind.normalised:
                norm = BatchNorm(found.shape[-1], name="norm")
                found = norm.then_relu(found.astype(jnp.float32), train=train)
            features = global_mean(found)  # [B or B·T, C]
        # Of images the frames of a clip are averaged.
        features = features.reshape(-1, frames, features.shape[-1]).mean(1)  # [B, C]
        dropped = nn.Dropout(self.dropout, deterministic=not train)(features)
        return ClassifierOutput(head(self.classes, name="head")(dropped), features)

    def _as_seen(self, x: jax.Array, kind: Kind) -> tuple[jax.Array, int]:
        """The input in the shape that the encoder wants, and images to each row of it."""
        if self.input == SOUND:
            if kind.sees != IMAGES:
                raise ValueError(f"encoder: {self.encoder} cannot hear, it sees clips")
            check_input("spectrograms", x, (None, None, None), (1, 1, 1))
            x = x[..., None]  # [B, F, n, 1]
            return jnp.repeat(x, kind.channels or 1, axis=-1), 1
        if self.input != FRAMES:
            raise ValueError(
                f"input: {self.input!r} is not one of {', '.join(EXAMPLES)}"
            )
        check_input("clips", x, (None, None, None, None, 3), (1, 1, 1, 1, 3))
        if kind.sees == CLIPS:
            return x, 1
        batch, frames, *picture = x.shape
        return x.reshape(batch * frames, *picture), frames
