"""EfficientNet-Lite, of single images, with its batch normalisation folded into biases.

Tan and Le, "EfficientNet" (2019), as released for small devices: ReLU6, no squeeze and
excitation, stem and head of a fixed width, first and last stage of a fixed depth. Out come the
features before and after the head; there is no classification layer.
"""

import flax.linen as nn
import jax

from rac_jax.encoders.inverted_residuals import (
    HEAD,
    STEM,
    Convolution,
    InvertedResidual,
    make_blocks,
)
from rac_jax.encoders.layers import EncoderOutput, check_input
from rac_jax.ops.pooling import global_mean

# (width, depth, pixels a side) of the published ones, Lite0 to Lite4.
VARIANTS = (
    (1.0, 1.0, 224),
    (1.0, 1.1, 240),
    (1.1, 1.2, 260),
    (1.2, 1.4, 280),
    (1.4, 1.8, 300),
)
LEAST = (1, 1, 1, 3)
EXAMPLE = (1, 32, 32, 3)  # an input for `init`


class EfficientNetLite(nn.Module):
    """The encoder.

    Args:
      width, depth: multipliers of channels and of blocks, see `VARIANTS`.
      head: channels of the features.
      padding: of `inverted_residuals.PADDINGS`; the published weights were trained with "same".
      dtype: compute type; parameters are float32.
    """

    width: float = 1.0
    depth: float = 1.0
    head: int = HEAD
    padding: str = "same"
    dtype: str = "float32"

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> EncoderOutput:
        """Encodes images.

        Args:
          images: [B, H, W, 3] floats.
          train: no difference: there are no statistics.

        Returns:
          stage3 [B, H/32, W/32, 320 · width] before the head, and features [B, head], float32.

        Raises:
          ValueError: for images of another shape.
        """
        del train
        check_input("images", images, (None, None, None, 3), LEAST)
        shared = {"padding": self.padding, "dtype": self.dtype}
        x = Convolution(STEM, 3, 2, name="entry0", **shared)(images)
        blocks = make_blocks("efficientnet", self.width, self.depth, temporal=False)
        x = x[:, None]  # [B, 1, H/2, W/2, 32]: a clip of one frame each
        for entry, block in enumerate(blocks, start=1):
            x, _ = InvertedResidual(block, name=f"entry{entry}", **shared)(x)
        x = x[:, 0]  # [B, h, w, C]
        last = f"entry{len(blocks) + 1}"
        y = Convolution(self.head, name=last, **shared)(x)
        return EncoderOutput(stage3=x, features=global_mean(y))
