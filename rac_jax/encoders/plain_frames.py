"""A lean encoder of the frames of a window, for training on two CPU cores; not a published network.

It sees what the compact counter's encoder does: how each frame differs from the mean of its window
and from the frame before, free of the window's brightness and contrast. Three strided convolutions
leave a map of a sixteenth of the side.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from rac_jax.encoders.layers import ConvNorm, check_input, scaled

CHANNELS = (96, 192, 384)
# (taps, stride) of each layer.
LAYERS = ((5, 4), (3, 2), (3, 2))
LIMIT = 6.0  # standard deviations; clips flashes and cuts
LEAST = (1, 1, 16, 16, 3)  # the smallest clip
EXAMPLE = (1, 4, 32, 32, 3)  # an input for `init`


def appearance_and_motion(clips: jax.Array) -> jax.Array:
    """What changes in a clip: [B, T, H, W, 3] of any scale to [B, T, H, W, 2] float32.

    The mean of the colours minus its mean over the clip, and its difference to the frame before;
    each divided by its standard deviation over the clip and limited to `LIMIT` of them.
    """
    grey = jnp.mean(clips.astype(jnp.float32), axis=-1)  # [B, T, H, W]
    appearance = grey - jnp.mean(grey, axis=1, keepdims=True)
    motion = jnp.diff(grey, axis=1, prepend=grey[:, :1])

    def standardised(values: jax.Array) -> jax.Array:
        std = jnp.std(values, axis=(1, 2, 3), keepdims=True)
        # Of a still clip nothing is blown up: pixels are of the order of 1.
        return jnp.clip(values / (std + 1e-3), -LIMIT, LIMIT)

    return jnp.stack([standardised(appearance), standardised(motion)], axis=-1)


class PlainFrames(nn.Module):
    """The encoder.

    Args:
      width: channel multiplier (`layers.scaled`).
      dtype: compute type; parameters are float32.
    """

    width: float = 1.0
    dtype: str = "float32"

    @nn.compact
    def __call__(self, clips: jax.Array, *, train: bool = False) -> jax.Array:
        """Encodes clips.

        Args:
          clips: [B, T, H, W, 3], H and W at least 16.
          train: whether batch statistics are the batch's own.

        Returns:
          [B, T, h, w, C], h = H / 16 and C = 384 · width.

        Raises:
          ValueError: for clips of another shape.
        """
        check_input("clips", clips, (None, None, None, None, 3), LEAST)
        x = appearance_and_motion(clips)  # [B, T, H, W, 2]
        batch, frames = x.shape[:2]
        x = x.reshape(batch * frames, *x.shape[2:])  # [B·T, H, W, 2]
        for place, (taps, stride) in enumerate(LAYERS):
            x = ConvNorm(
                scaled(CHANNELS[place], self.width),
                (taps, taps),
                (stride, stride),
                (taps // 2, taps // 2),
                dtype=self.dtype,
                name=f"layer{place}",
            )(x, train=train)
        return x.reshape(batch, frames, *x.shape[1:])
