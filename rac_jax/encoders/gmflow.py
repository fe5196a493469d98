"""GMFlow (Xu et al., CVPR 2022): optical flow as a global match of features.

Each frame of a clip becomes features, once; a transformer lets the features of two neighbours learn
of each other; where a pixel goes is the expected place of its match; and what has no match takes
its flow from what looks alike (sections 3.1 to 3.3). The way back costs a second softmax of the
same correlation. With two scales the match is repeated nearby on larger features (section 3.4);
with refinements it is followed by steps of regression (Xu et al., "Unifying flow, stereo and depth
estimation", PAMI 2023). Weights of both releases fit (`rac convert gmflow`).
"""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.encoders.gmflow_layers import (
    REACH,
    Backbone,
    Propagation,
    Refinement,
    Scores,
    Transformer,
    add_positions,
)
from rac_jax.encoders.layers import check_input
from rac_jax.encoders.published import IMAGENET_COLOURS
from rac_jax.ops import matching
from rac_jax.ops.warp import warp

# By scale, small features first: windows along each side, and pixels around that the propagation
# looks at, 0 for all.
SPLITS = (2, 8)
SPREAD = (0, 1)
LEAST = (1, 2, 8, 8, 3)  # the smallest clip
EXAMPLE = (1, 2, 32, 32, 3)  # an input for `init`


@flax.struct.dataclass
class FlowOutput:
    """How the pixels of a clip move, in pixels to the right and down."""

    forward: jax.Array  # [B, T - 1, H, W, 2] from each frame to the next
    backward: (
        jax.Array | None
    )  # [B, T - 1, H, W, 2] from each but the first to the one before
    steps: tuple[
        jax.Array, ...
    ]  # each [D, B, T - 1, H, W, 2]: all predictions, if training


class GMFlow(nn.Module):
    """The network: 4.7 million parameters, 7.4 with refinements.

    Args:
      width: channel multiplier (`layers.scaled`); 1 is the published network.
      scales: 1 or 2.
      refinements: steps of regression, of two scales; 0 for none, 6 as published.
      blocks: of the transformer.
      dtype: compute type of convolutions and of the transformer's products; normalisation,
        softmax and matching are float32.
    """

    width: float = 1.0
    scales: int = 1
    refinements: int = 0
    blocks: int = 6
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, frames: jax.Array, *, both: bool = False, train: bool = False
    ) -> FlowOutput:
        """The flow between neighbouring frames.

        Args:
          frames: [B, T, H, W, 3] colours in 0..255, of any type; at least two frames of 8 x 8.
            Sizes that are no multiple of 16 (of 32 with two scales) are filled up by repeating
            the edges at both ends, and the flow is cut to size.
          both: whether the way back is asked for, too.
          train: whether all predictions are given, as the loss wants them.

        Returns:
          The flow, float32.

        Raises:
          ValueError: for frames of another shape, or settings that do not go together.
        """
        check_input("frames", frames, (None, None, None, None, 3), LEAST)
        if self.scales not in (1, 2):
            raise ValueError(f"scales: {self.scales} is not 1 or 2")
        if self.refinements and self.scales == 1:
            raise ValueError(f"refinements: {self.refinements} need two scales")
        factor = 8 // self.scales  # of the finest features
        batch, pairs, *shape = frames.shape[:4]
        pairs -= 1

        # Filled up, normalised, and encoded frame by frame.
        unit = 16 * self.scales
        borders = [(-n % unit // 2, -n % unit - -n % unit // 2) for n in shape]
        x = jnp.pad(frames, ((0, 0), (0, 0), *borders, (0, 0)), mode="edge")
        backbone = Backbone(self.scales, self.width, self.dtype, name="backbone")
        features = backbone(_normalised(x).reshape(-1, *x.shape[2:]))

        transformer = Transformer(self.blocks, self.dtype, name="transformer")
        propagation = Propagation(name="propagation")
        steps: list[jax.Array] = []
        flow = None
        for scale, wide in enumerate(features):
            wide = wide.reshape(batch, pairs + 1, *wide.shape[1:])
            first = wide[:, :-1].reshape(-1, *wide.shape[2:])  # [N, h, w, C], N pairs
            second = wide[:, 1:].reshape(-1, *wide.shape[2:])
            if scale and both:
                first, second = (
                    jnp.concatenate([first, second]),
                    jnp.concatenate([second, first]),
                )
            plain = first, second
            if flow is not None:
                flow = jax.lax.stop_gradient(matching.enlarge(flow, 2))
                second = warp(second, flow)

            # The two pictures learn of each other; one transformer serves both scales.
            splits = SPLITS[scale]
            first, second = transformer(
                add_positions(first, splits), add_positions(second, splits), splits
            )

            # The match, and then: what looks alike moves alike.
            if flow is None:
                found = matching.match_globally(first, second, both)
                flow = found.reshape(-1, *found.shape[2:])  # [D · N, h, w, 2]
                first = jnp.concatenate([first, second]) if both else first
            else:
                flow = flow + matching.match_locally(first, second, REACH)
            matched = flow
            flow = propagation(first, jax.lax.stop_gradient(flow), SPREAD[scale])
            to_full = factor * 2 ** (len(features) - 1 - scale)
            steps += [matching.enlarge(one, to_full) for one in (matched, flow)]

        # The finest flow: as it is, or refined step by step.
        if not self.refinements:
            scores = Scores(self.width, factor, self.dtype, name="upsampler")
            seen = scores(jnp.concatenate([flow, first], axis=-1))
            # It takes the place of the last one, which was enlarged without learning.
            steps[-1] = matching.enlarge_convexly(flow, seen, factor)
        refine = Refinement(self.width, factor, self.dtype, name="refinement")
        for _ in range(self.refinements):
            flow = jax.lax.stop_gradient(flow)
            fit = matching.correlate_locally(*plain, flow, REACH)
            change, seen = refine(first, fit, flow)
            flow = flow + change
            steps.append(matching.enlarge_convexly(flow, seen, factor))

        # Cut to size, and each way apart.
        (top, _), (left, _) = borders
        cut = [step[:, top:, left:][:, : shape[0], : shape[1]] for step in steps]
        cut = [step.reshape(-1, batch, pairs, *shape, 2) for step in cut]
        forward, *backward = cut[-1]
        return FlowOutput(
            forward, backward[0] if both else None, tuple(cut) if train else ()
        )


def _normalised(frames: jax.Array) -> jax.Array:
    """Colours [B, T, H, W, 3] in 0..255 by the statistics of ImageNet, float32."""
    mean, std = (
        np.array(IMAGENET_COLOURS[name], np.float32).reshape(1, 1, 1, 1, 3)
        for name in ("mean", "std")
    )
    return (frames.astype(jnp.float32) / 255 - mean) / std
