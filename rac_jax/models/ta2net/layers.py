"""What TA2Net is made of besides TransRAC's reader of similarities (paper 4, section 4)."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.encoders.layers import BatchNorm, ConvNorm, normalised, scaled
from rac_jax.encoders.resnet50 import ResNet50

ENCODERS = ("resnet50", "lean")
EMBEDDING = 256
# Of queries and keys: an eighth of the image's channels.
NARROWER = 8
# Frames that are seen together, and strengths that differ by less than this are all alike.
NEIGHBOURS, FAINT = 9, 0.05
# Of the lean encoder: (channels, taps, stride) of each layer; an eighth of the side is left.
LEAN = ((64, 5, 4), (128, 3, 2), (256, 3, 1))


@flax.struct.dataclass
class EventOutput:
    """What the network says of the frames of a window.

    Attributes:
      logits: [B, N, 2] of silence and sound.
      maps: [B, N, h, w] discriminative map D, in [0, 1].
      motion: [B, N, C] mean over places of D · F.
      rest: [B, N, C] mean over places of (1 - D) · F.
    """

    logits: jax.Array
    maps: jax.Array
    motion: jax.Array
    rest: jax.Array


class FrameEncoder(nn.Module):
    """Pictures to maps of 256 channels: ResNet-50 to its third stage, or three lean layers.

    Args:
      encoder: of `ENCODERS`.
      width: channel multiplier.
      dtype: compute type.
    """

    encoder: str
    width: float = 1.0
    dtype: str = "float32"

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """[B, H, W, C] to [B, h, w, 256·width].

        Raises:
          ValueError: for an unknown encoder.
        """
        if self.encoder not in ENCODERS:
            raise ValueError(
                f"encoder: {self.encoder!r} is not one of {', '.join(ENCODERS)}"
            )
        if self.encoder == "resnet50":
            network = ResNet50(self.width, dtype=self.dtype, name="resnet50")
            x = network(images, train=train)
        else:
            x = images
            for place, (channels, taps, stride) in enumerate(LEAN):
                x = ConvNorm(
                    scaled(channels, self.width),
                    (taps, taps),
                    (stride, stride),
                    (taps // 2, taps // 2),
                    dtype=self.dtype,
                    name=f"layer{place}",
                )(x, train=train)
        return ConvNorm(
            scaled(EMBEDDING, self.width),
            (1, 1),
            (1, 1),
            (0, 0),
            dtype=self.dtype,
            name="projection",
        )(x, train=train)


class CrossKinematics(nn.Module):
    """What of an image goes with its kinematics: attention between places (Eq. 5 and 6).

    The paper asks with the kinematics, and keys and values are the image's. Its authors' code asks
    with the image and has keys of the kinematics: then values of the image's places are mixed by
    how much they are like the kinematics of others.

    Args:
      released: whether it is the authors' direction.
    """

    released: bool = False

    @nn.compact
    def __call__(self, image: jax.Array, motion: jax.Array) -> jax.Array:
        """Image [B, h, w, C] and kinematics [B, h, w, D] to [B, h, w, C], float32."""
        batch, height, width, channels = image.shape
        narrow = max(4, channels // NARROWER)

        def project(x: jax.Array, wide: int, name: str) -> jax.Array:
            y = nn.Conv(wide, (1, 1), name=name)(x.astype(jnp.float32))
            return y.reshape(batch, height * width, wide)

        asks, answers = (image, motion) if self.released else (motion, image)
        query = project(asks, narrow, "query")
        key = project(answers, narrow, "key")
        value = project(image, channels, "value")
        scores = jnp.einsum("bpc,bqc->bpq", query, key) / np.sqrt(narrow)
        mixed = jnp.einsum("bpq,bqc->bpc", jax.nn.softmax(scores), value)
        return mixed.reshape(image.shape)


class DiscriminativeMap(nn.Module):
    """Where something moves that may sound: a 3x3 convolution to one channel (section 4.2)."""

    @nn.compact
    def __call__(self, features: jax.Array, *, train: bool) -> jax.Array:
        """[B, h, w, C] to [B, h, w] in [0, 1]."""
        x = nn.Conv(1, (3, 3), padding=1, use_bias=False, name="conv")(features)
        x = normalised(BatchNorm(1, name="norm"), x, train=train)
        return jax.nn.sigmoid(x[..., 0])


class OwnFeatures(nn.Module):
    """What each frame and its neighbours look like: for a reader, and as a say of its own (ours).

    The strongest place of a channel is much alike in all frames: standardised, what differs from
    frame to frame is what is seen.

    Args:
      classes: P, of the say.
    """

    classes: int

    @nn.compact
    def __call__(
        self, x: jax.Array, strengths: jax.Array | None, *, train: bool
    ) -> tuple[jax.Array, jax.Array]:
        """Features [B, N, C] and strengths [B, N, K] to an embedding [B, N, C] and logits [B, N, P]."""
        wide, parts = x.shape[-1], [x]
        if strengths is not None:
            parts.append(strengths)
        x = jnp.concatenate(parts, axis=-1)
        x = normalised(BatchNorm(x.shape[-1], name="norm"), x, train=train)
        if strengths is not None:
            # Also by how much more it moves than it does in the rest of the window.
            apart = strengths - jnp.mean(strengths, axis=1, keepdims=True)
            usual = jnp.std(strengths, axis=1, keepdims=True)
            x = jnp.concatenate([x, apart / (usual + FAINT)], axis=-1)
        hidden = nn.relu(nn.Conv(wide, (NEIGHBOURS,), name="hidden")(x))
        own = nn.Dense(self.classes, name="output")(hidden)
        return nn.Dense(wide, name="embedding")(x), own
