"""The student of IMGAUD2VID: one frame and the second of sound after it stand for a clip.

Supplement, section C: a ResNet-18 on a 112 x 112 frame and another on a 101 x 40 log-mel patch
(`rac_jax.ops.mel_patches`), pooled over time only, give 256 numbers each; together they are the
512 that the teacher, R(2+1)D-18 on 16 frames (`rac_jax.encoders.r2plus1d`), says of the clip.
The supplement does not say how 3 frequency rows of 512 channels become 256 numbers: here they are
laid side by side and go through one linear layer.

The released code differs, which `released` chooses: the frame's features are the 512 pooled ones;
the 3 rows are merged by one weight each, and of time the maximum is taken, which gives 512; the
1024 numbers of both go through two layers to 512. Its first convolution of sound has stride 1, as
it has here in both forms: with stride 2 there would be 2 frequency rows.

A student that only looks or only listens (`senses`) has the one network alone, which gives all
numbers of the descriptor; at a greater width it costs what both do together.
"""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from rac_jax.encoders.layers import ConvNorm, check_input, head, scaled
from rac_jax.encoders.resnet import ResNetStage
from rac_jax.ops.pooling import global_mean, max_pool

EACH = 256  # numbers by which the supplement describes a frame, and as many its sound
DESCRIPTOR = 512  # of a clip
ROWS = 3  # frequency rows that are left of 40 bands
BOTH, IMAGE, AUDIO = "both", "image", "audio"
SENSES = (BOTH, IMAGE, AUDIO)


class Trunk(nn.Module):
    """ResNet-18 before its pooling: [B, H, W, C] to [B, H', W', 512·width].

    Attributes:
      stride: of the first convolution, 2 for pictures and 1 for patches of sound.
      width: channel multiplier (`layers.scaled`).
      dtype: compute type; parameters are float32.
    """

    stride: int = 2
    width: float = 1.0
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        x = ConvNorm(
            scaled(64, self.width),
            (7, 7),
            (self.stride, self.stride),
            (3, 3),
            dtype=self.dtype,
            name="stem",
        )(x.astype(self.dtype), train=train)
        x = max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        for stage in (1, 2, 3, 4):
            x = ResNetStage(
                stage, width=self.width, dtype=self.dtype, name=f"stage{stage}"
            )(x, train=train)
        return x


class ImageNet(nn.Module):
    """Looks at one frame.

    Attributes:
      units: numbers to give; None for the pooled features, as released.
      width, dtype: as of `Trunk`.
    """

    units: int | None = EACH
    width: float = 1.0
    dtype: str = "float32"

    @nn.compact
    def __call__(self, frames: jax.Array, *, train: bool = False) -> jax.Array:
        """Normalised frames [B, H, W, 3] to [B, units] or [B, 512·width], float32."""
        check_input("frames", frames, (None, None, None, 3), (1, 1, 1, 1))
        x = Trunk(2, self.width, self.dtype, name="trunk")(frames, train=train)
        x = global_mean(x)  # [B, C]
        return x if self.units is None else head(self.units, "out")(x)


class AudioNet(nn.Module):
    """Hears one second.

    Attributes:
      units: numbers to give; None to merge rows and take the maximum over time, as released.
      width, dtype: as of `Trunk`.
    """

    units: int | None = EACH
    width: float = 1.0
    dtype: str = "float32"

    @nn.compact
    def __call__(self, patches: jax.Array, *, train: bool = False) -> jax.Array:
        """Patches [B, 101, 40], time before bands, to [B, units] or [B, 512·width], float32."""
        check_input("patches", patches, (None, None, 40), (1, 1, 1))
        x = patches[..., None]  # [B, T, F, 1]
        x = Trunk(1, self.width, self.dtype, name="trunk")(x, train=train)
        x = x.astype(jnp.float32)  # [B, T', 3, C]
        if self.units is None:
            kernel = self.param("rows_kernel", nn.initializers.constant(1 / 3), (ROWS,))
            bias = self.param("rows_bias", nn.initializers.zeros, (1,))
            merged = jnp.einsum("btfc,f->btc", x, kernel) + bias.reshape(1, 1, 1)
            return jnp.max(merged, axis=1)  # [B, C]
        x = jnp.mean(x, axis=1)  # [B, 3, C]
        return head(self.units, "out")(x.reshape(len(x), -1))


class Fusion(nn.Module):
    """The released code's way from a frame's and a sound's features to one descriptor."""

    hidden: int = 1024
    units: int = DESCRIPTOR

    @nn.compact
    def __call__(self, image: jax.Array, audio: jax.Array) -> jax.Array:
        """[..., C] and [..., C'] to [..., units]."""
        together = jnp.concatenate([image, audio], axis=-1)
        return head(self.units, "dense2")(
            nn.relu(head(self.hidden, "dense1")(together))
        )


@flax.struct.dataclass
class StudentOutput:
    """What the student says of a frame and its sound."""

    image: jax.Array | None  # [B, C] of the frame, None if it is not looked at
    audio: jax.Array | None  # [B, C] of the sound, None if it is not heard
    descriptor: jax.Array  # [B, 512] of both, or twice as many numbers as of each
    logits: jax.Array  # [B, classes]


class Student(nn.Module):
    """The image-audio network.

    Attributes:
      classes: of actions.
      released: whether it has the released code's widths and pooling.
      each: numbers that describe a frame, and as many its sound, as printed; half of the
        teacher's features.
      width: channel multiplier of both ResNets (`layers.scaled`).
      senses: of `SENSES`. Of one sense alone there are twice `each` numbers.
      dtype: compute type; parameters are float32.
    """

    classes: int
    released: bool = False
    each: int = EACH
    width: float = 1.0
    senses: str = BOTH
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, frames: jax.Array, patches: jax.Array, *, train: bool = False
    ) -> StudentOutput:
        """Looks and listens, or one of the two: the other input is then left unread.

        Args:
          frames: [B, H, W, 3] normalised floats.
          patches: [B, 101, 40] of the second that begins with the frame; zeros for silence.
          train: whether batch statistics are the batch's own.

        Raises:
          ValueError: for an unknown `senses`, or one sense alone of the released form.
        """
        check_senses(self.senses, self.released)
        units = self.each if self.senses == BOTH else 2 * self.each
        units = None if self.released else units
        image = audio = None
        if self.senses != AUDIO:
            image = ImageNet(units, self.width, self.dtype, name="image")(
                frames, train=train
            )
        if self.senses != IMAGE:
            audio = AudioNet(units, self.width, self.dtype, name="audio")(
                patches, train=train
            )
        if self.released:
            descriptor = Fusion(name="fusion")(image, audio)
        else:
            known = [one for one in (image, audio) if one is not None]
            descriptor = jnp.concatenate(known, axis=-1)  # [B, 2·each]
        logits = head(self.classes, "classifier")(descriptor)
        return StudentOutput(image, audio, descriptor, logits)


def check_senses(senses: str, released: bool) -> None:
    """Checks what a student looks at and listens to.

    Raises:
      ValueError: naming the field.
    """
    if senses not in SENSES:
        raise ValueError(f"senses: {senses!r} is not one of {', '.join(SENSES)}")
    if released and senses != BOTH:
        raise ValueError(f"senses: the released student has both, not {senses!r} alone")
