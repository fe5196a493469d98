"""TA2Net: Wan et al., "Action Dubber: timing audible actions via inflectional flow" (2025).

Which frames of a silent video should be heard. Each frame's picture, its flow and the flow's
inflection are encoded; the kinematics pick what of the picture moves; a convolution across time and
the similarity of all frames, read by a transformer as in TransRAC, give two classes per frame.

`released` is what the authors' code does where it differs from their text: the attention's
direction, and scores divided by the root of 64. Their code sees pictures of flow, which is
`pictures`. `beside`, `kept`, `centred` and `squeezed` are ours: the reader also sees what each frame
looks like, not only how like the others it is, and the kinematics are seen themselves, not only by
which places of the image they pick. `streams` and `aggregated` are for the paper's Table 4, and
without `image` it sees motion alone.

What is seen of a clip before anything is learned, its flow, can be made apart (`features`) and be
gone on from (`from_features`).
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from rac_jax.encoders.gmflow import GMFlow
from rac_jax.encoders.layers import scaled
from rac_jax.models.ta2net.kinematics import (
    NETWORKS,
    at_every_frame,
    check_flow,
    flows,
    kinematics,
    strengths,
)
from rac_jax.models.ta2net.layers import (
    CrossKinematics,
    DiscriminativeMap,
    EventOutput,
    FrameEncoder,
    OwnFeatures,
)
from rac_jax.models.transrac.layers import EMBEDDING, FramePredictor, Neck
from rac_jax.models.transrac.network import (
    RELEASED_DIVISOR,
    AttentionMatrices,
    MatrixRows,
)

STREAMS = ("motion", "inflection")
CLASSES = 2  # silence, sound
FLOW_NETWORK = "flow_network"  # group of parameters of a network that makes flow

# Clips and, where it is looked at, their flow there and back.
Seen = tuple[jax.Array, ...]


class TA2Net(nn.Module):
    """The network.

    Args:
      encoder: of `layers.ENCODERS`.
      frames: N, frames of a window.
      width: channel multiplier of all parts.
      flow: how flow is made, of `kinematics.FLOWS`, or of `kinematics.NETWORKS`: by a network
        whose weights are the group "flow_network", and which learns nothing here.
      streams: of `STREAMS`, which kinematics it sees.
      aggregated: whether kinematics pick from the image, or are features beside it.
      image: whether it sees pictures; without them kinematics are not `aggregated`.
      pictures: whether kinematics are seen as pictures of colours.
      released: whether it computes what the authors' code does.
      masked: whether the reader sees D · F, too, and both answers are averaged.
      beside: whether the reader sees the frames' own features and how fast and abruptly their
        strongest places move, and they have a say of their own.
      kept: whether kinematics are features beside what they pick, too.
      centred: whether the inflection of a frame is v+ + v-, where its own pixels go next minus
        where they came from, in place of differences of two frames' flows at the same pixels,
        from which a small thing has gone by then.
      squeezed: whether kinematics are the signed logarithm of 1 plus their pixels: then a jump of
        the camera, or a flow gone wrong, does not drown the rest.
      places: rows and columns that the convolution across time sees.
      dropout: how much of the reader is dropped in training, 1 for as much as the authors do.
      dtype: compute type of what is done over pixels.
    """

    encoder: str = "resnet50"
    frames: int = 64
    width: float = 1.0
    flow: str = "tv_l1"
    streams: tuple[str, ...] = STREAMS
    aggregated: bool = True
    image: bool = True
    pictures: bool = False
    released: bool = False
    masked: bool = False
    beside: bool = False
    kept: bool = False
    centred: bool = False
    squeezed: bool = False
    places: int = 3
    dropout: float = 1.0
    dtype: str = "float32"

    @property
    def frozen(self) -> bool:
        """Whether nothing is learned in `features`: never through the flow."""
        return True

    @property
    def stored_streams(self) -> tuple[str, ...]:
        """What `features` depends on: all streams come from one flow."""
        return STREAMS if self.streams else ()

    def __call__(
        self,
        clips: jax.Array,
        flow: tuple[jax.Array, jax.Array] | None = None,
        *,
        train: bool = False,
    ) -> EventOutput:
        """Looks at clips.

        Args:
          clips: [B, N, H, W, 3] in [-1, 1].
          flow: forward and backward [B, N, H, W, 2] in pixels; made of the clips where None.
          train: whether statistics are of the batch, and dropout drops.

        Returns:
          What is said of every frame.

        Raises:
          ValueError: for an unknown stream, flow or encoder, and where nothing is seen.
        """
        return self._halves(clips, flow, train, "both")

    def features(self, clips: jax.Array, *, train: bool = False) -> Seen:
        """What does not learn: clips [B, N, H, W, 3] and, where it is looked at, their flow.

        Args:
          clips: in [-1, 1].
          train: changes nothing.

        Returns:
          The clips, and both flows [B, N, H, W, 2] in pixels; bfloat16.
        """
        del train
        return self._halves(clips, None, False, "first")

    def from_features(self, features: Seen, *, train: bool = False) -> EventOutput:
        """All that comes after the flow.

        Args:
          features: of `features`.
          train: as in `__call__`.

        Returns:
          As `__call__`.
        """
        clips, *flow = (x.astype(jnp.float32) for x in features)
        return self._halves(clips, tuple(flow) or None, train, "second")

    @nn.compact
    def _halves(
        self,
        clips: jax.Array,
        flow: tuple[jax.Array, jax.Array] | None,
        train: bool,
        half: str,
    ) -> EventOutput | Seen:
        """One half, or "both"; in one method, since Flax makes parts with names in one only."""
        chex.assert_shape(clips, (None, self.frames, None, None, 3))
        unknown = [name for name in self.streams if name not in STREAMS]
        if unknown:
            raise ValueError(
                f"streams: {unknown[0]!r} is not one of {', '.join(STREAMS)}"
            )
        if not self.image and (self.aggregated or not self.streams):
            raise ValueError(
                "image: without it there must be streams, and aggregated must be False"
            )
        if self.streams and flow is None:
            flow = self._flow(clips)
        if half == "first":
            return tuple(x.astype(jnp.bfloat16) for x in (clips, *(flow or ())))
        return self._look(clips, flow, train)

    def _look(
        self,
        clips: jax.Array,
        flow: tuple[jax.Array, jax.Array] | None,
        train: bool,
    ) -> EventOutput:
        """From clips and their flow to what is said of every frame."""
        batch = len(clips)
        features = self._features(clips, flow, train)  # [B·N, h, w, C]
        maps = DiscriminativeMap(name="map")(features, train=train)  # [B·N, h, w]
        active = maps[..., None] * features

        def by_frame(x: jax.Array) -> jax.Array:
            return x.reshape(batch, self.frames, *x.shape[1:])

        motion = jnp.mean(active, axis=(1, 2))
        rest = jnp.mean(features - active, axis=(1, 2))
        seen = by_frame(features)  # [B, N, h, w, C]
        if self.masked:
            seen = jnp.concatenate([seen, by_frame(active)])  # [2B, N, h, w, C]
        known = None
        if self.beside and flow is not None:
            known = jax.lax.stop_gradient(strengths(*flow, self.streams))
        logits = self._read(seen, known, train)
        if self.masked:
            logits = jnp.mean(logits.reshape(2, batch, self.frames, CLASSES), axis=0)
        return EventOutput(logits, by_frame(maps), by_frame(motion), by_frame(rest))

    def _features(
        self,
        clips: jax.Array,
        flow: tuple[jax.Array, jax.Array] | None,
        train: bool,
    ) -> jax.Array:
        """The image's features and what the kinematics pick of them: [B·N, h, w, C] float32."""

        def encode(images: jax.Array, name: str) -> jax.Array:
            images = images.reshape(-1, *images.shape[2:])
            encoder = FrameEncoder(self.encoder, self.width, self.dtype, name=name)
            return encoder(images, train=train)

        image, parts = None, []
        if self.image:
            # As the release: 0 to 1, not normalised.
            image = encode((clips + 1) / 2, "image_encoder")  # [B·N, h, w, C]
            parts.append(image.astype(jnp.float32))
        if self.streams:
            # Nothing is learned through the flow.
            known = jax.lax.stop_gradient(kinematics(*flow, self.pictures))
        for name in self.streams:
            ways = (known.backward, known.forward)
            if name == "inflection":
                ways = (known.backward_inflection, known.forward_inflection)
            if name == "inflection" and self.centred:
                ways = (known.backward + known.forward,)
            both = jnp.concatenate(ways)
            if self.squeezed:
                both = jnp.sign(both) * jnp.log1p(jnp.abs(both))
            # Both directions by one encoder (Eq. 4).
            both = encode(both, f"{name}_encoder")
            # [B·N, h, w, 2C], or C of one way.
            both = jnp.concatenate(jnp.split(both, len(ways)), axis=-1)
            if self.aggregated:
                pick = CrossKinematics(self.released, name=f"{name}_aggregation")
                parts.append(pick(image, both).astype(jnp.float32))
            if self.kept or not self.aggregated:
                parts.append(both.astype(jnp.float32))
        return jnp.concatenate(parts, axis=-1)

    def _flow(self, clips: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Forward and backward flow [B, N, H, W, 2] of clips in [-1, 1]."""
        check_flow(self.flow)
        if self.flow not in NETWORKS:
            return flows(clips, self.flow)
        network = GMFlow(**NETWORKS[self.flow], dtype=self.dtype, name=FLOW_NETWORK)
        found = network(127.5 * (1 + clips), both=True)
        return at_every_frame(found.forward, found.backward)

    def _read(
        self, features: jax.Array, known: jax.Array | None, train: bool
    ) -> jax.Array:
        """Features [B, N, h, w, C] to logits [B, N, 2] (section 4.3)."""
        wide = scaled(EMBEDDING, self.width)
        neck = Neck(wide, self.places, self.dtype, name="neck")
        x = neck(features, train=train)
        divisor = RELEASED_DIVISOR if self.released else 0
        matrices = AttentionMatrices(divisor, name="similarity")(x)
        rows = MatrixRows(wide, self.dropout, name="rows")(matrices, train=train)
        own = jnp.zeros(())
        if self.beside:
            if self.masked and known is not None:
                known = jnp.concatenate([known, known])
            seen = OwnFeatures(CLASSES, name="beside")
            embedding, own = seen(x, known, train=train)
            rows = rows + embedding
        reader = FramePredictor(self.width, CLASSES, self.dropout, name="predictor")
        return reader(rows, train=train) + own
