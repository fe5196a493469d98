"""The compact counter: sight and sound in small, from self-similarity in lag coordinates.

Not a published system. It follows the self-similarity bottleneck of RepNet (which LMRL and
TransRAC share) with two changes that a small model trained on procedural clips needs: the
matrix is sheared into lag coordinates, where a steady repetition is a column, and every frame
gets a distribution over log-spaced periods instead of a density. A stream looks at windows of
64 frames at several temporal strides; their posteriors are laid side by side on one axis of
absolute periods, where a decoder, shift-invariant in time and in log period, decides between
strides. The reliability of sight and sound (paper 1, section 3.4) is learned per step. The
count of a video is the integral of 1/period over its periodic steps (see `decoder`).
"""

import chex
import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from rac_jax.models.compact.grid import PERIOD_BINS, WINDOW_FRAMES
from rac_jax.ops import similarity

NORMALISED_LIMIT = 6.0  # standard deviations; clips compression flashes and cuts
RELIABILITY_WIDTH = 16  # hidden units that judge which stream to trust


@flax.struct.dataclass
class PeriodLogits:
    """What a stream says of each frame of a window, before softmax and sigmoid."""

    periods: jax.Array  # [B, T, 28] over `period_grid()`
    periodicity: jax.Array  # [B, T], above 0 where the frame belongs to a repetition


@flax.struct.dataclass
class PeriodPosteriors:
    """What the streams of a sense say of each frame of a window, as probabilities."""

    periods: jax.Array  # [B, T, 28] softmax over `period_grid()`
    periodicity: jax.Array  # [B, T] in [0, 1]


def window_channels(grey: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Appearance and motion of a window, free of its brightness and contrast.

    Args:
      grey: [B, T, H, W] float or uint8.

    Returns:
      (appearance, motion), each [B, T, H, W] float32: the pixels minus their mean over the
      window, and the difference to the frame before, each divided by its standard deviation
      over the window and limited to six of them.
    """
    grey = grey.astype(jnp.float32)
    appearance = grey - jnp.mean(grey, axis=1, keepdims=True)
    motion = jnp.diff(grey, axis=1, prepend=grey[:, :1])

    def scaled(values):
        std = jnp.std(values, axis=(1, 2, 3), keepdims=True)
        return jnp.clip(values / (std + 1e-3), -NORMALISED_LIMIT, NORMALISED_LIMIT)

    return scaled(appearance), scaled(motion)


def _pooled(frames: jax.Array, side: int) -> jax.Array:
    """Average-pools [B, T, H, W] to [B, T, side * side]; H and W are multiples of side."""
    batch, time, height, width = frames.shape
    cells = frames.reshape(batch, time, side, height // side, side, width // side)
    return jnp.mean(cells, axis=(3, 5)).reshape(batch, time, side * side)


class PixelFeatures(nn.Module):
    """No encoder: pooled appearance at two scales and pooled absolute motion."""

    @nn.compact
    def __call__(self, grey: jax.Array, *, train: bool = False) -> list[jax.Array]:
        appearance, motion = window_channels(grey)
        return [
            _pooled(appearance, 16),
            _pooled(appearance, 8),
            _pooled(jnp.abs(motion), 16),
        ]


class LearnedFeatures(nn.Module):
    """A three-layer encoder of single frames and one temporal convolution, in groups."""

    width: int = 24
    groups: int = 4
    dtype: str = "float32"

    @nn.compact
    def __call__(self, grey: jax.Array, *, train: bool = False) -> list[jax.Array]:
        x = jnp.stack(window_channels(grey), axis=-1)  # [B, T, H, W, 2]
        batch, time = x.shape[:2]
        x = x.reshape(batch * time, *x.shape[2:])  # [B*T, H, W, 2]
        layers = ((5, 4, self.width), (3, 2, 2 * self.width), (3, 2, 4 * self.width))
        for place, (kernel, stride, features) in enumerate(layers):
            half = kernel // 2
            x = nn.Conv(
                features,
                (kernel, kernel),
                (stride, stride),
                padding=((half, half), (half, half)),
                use_bias=False,
                dtype=self.dtype,
                name=f"conv{place}",
            )(x)
            x = nn.BatchNorm(
                use_running_average=not train, momentum=0.9, name=f"norm{place}"
            )(x.astype(jnp.float32))
            x = nn.relu(x)
        x = x.reshape(batch, time, -1, x.shape[-1])  # [B, T, H*W, C]
        x = nn.Conv(
            x.shape[-1],
            (3, 1),
            padding=((1, 1), (0, 0)),
            dtype=self.dtype,
            name="temporal",
        )(x)
        x = jnp.max(x, axis=2)  # [B, T, C]
        return jnp.split(x, self.groups, axis=-1)


class SpectrumFeatures(nn.Module):
    """Mel bands as they are, averaged over frames, and their rise since the sub-frame before."""

    @nn.compact
    def __call__(self, mel: jax.Array, *, train: bool = False) -> list[jax.Array]:
        mel = mel.astype(jnp.float32)  # [B, T, sub-frames, bands]
        mean = jnp.mean(mel, axis=(1, 2), keepdims=True)
        std = jnp.std(mel, axis=(1, 2, 3), keepdims=True)
        mel = jnp.clip((mel - mean) / (std + 1e-3), -NORMALISED_LIMIT, NORMALISED_LIMIT)
        batch, time = mel.shape[:2]
        steps = mel.reshape(batch, -1, mel.shape[-1])  # [B, T*sub, bands]
        rise = nn.relu(jnp.diff(steps, axis=1, prepend=steps[:, :1]))
        flux = jnp.sum(rise.reshape(mel.shape), axis=-1)  # [B, T, sub]
        return [
            mel.reshape(batch, time, -1),
            jnp.mean(mel, axis=2),
            rise.reshape(batch, time, -1),
            flux,
        ]


class PeriodHead(nn.Module):
    """From several TSMs to a period distribution and a periodicity per frame."""

    lags: int = 32
    channels: int = 32
    width: int = 128
    heads: int = 4
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, features: list[jax.Array], *, train: bool = False
    ) -> PeriodLogits:
        # Two planes of each TSM: whom a frame resembles most, and how much it does.
        planes = []
        temperatures = jnp.exp(
            self.param(
                "log_temperatures", nn.initializers.zeros, (len(features),), jnp.float32
            )
        )
        for place, feature in enumerate(features):
            distances = similarity.relative_distances(feature)  # [B, T, T]
            attention = jax.nn.softmax(-5 * temperatures[place] * distances, axis=-1)
            # Scaled so that both planes are about 1 on the diagonal.
            planes += [
                attention * distances.shape[-1] / 4,
                jnp.exp(-1.5 * distances),
            ]

        # In lag coordinates, with a mark where the matrix ends, through small convolutions.
        stacked = jnp.stack(planes, axis=1)  # [B, K, T, T]
        sheared, valid = similarity.lag_shear(stacked, -self.lags, self.lags - 1)
        x = jnp.moveaxis(sheared, 1, -1)  # [B, T, L, K]
        marks = jnp.broadcast_to(valid[None, :, :, None], (*x.shape[:3], 1))
        x = jnp.concatenate([x, marks], axis=-1)  # [B, T, L, K + 1]
        for place in range(2):
            convolution = nn.Conv(
                self.channels, (3, 3), padding=1, dtype=self.dtype, name=f"conv{place}"
            )
            x = nn.relu(convolution(x))

        # One transformer block over the frames' rows.
        x = x.astype(jnp.float32).reshape(*x.shape[:2], -1)  # [B, T, L * C]
        x = nn.Dense(self.width, name="row")(x)
        shape = (1, x.shape[1], self.width)
        x = x + self.param("positions", nn.initializers.normal(0.02), shape)
        y = nn.LayerNorm(name="norm0")(x)
        x = x + nn.MultiHeadDotProductAttention(self.heads, name="attention")(y, y)
        y = nn.LayerNorm(name="norm1")(x)
        y = nn.relu(nn.Dense(2 * self.width, name="expand")(y))
        x = x + nn.Dense(self.width, name="contract")(y)
        x = nn.LayerNorm(name="norm2")(x)
        out = nn.Dense(PERIOD_BINS + 1, name="output")(x)  # [B, T, 29]
        return PeriodLogits(out[..., :-1], out[..., -1])


FEATURES = {
    "pixels": PixelFeatures,
    "learned": LearnedFeatures,
    "spectrum": SpectrumFeatures,
}
WITH_CONVOLUTIONS = ("learned",)


class PeriodStream(nn.Module):
    """One stream: features, self-similarity, head.

    Args:
      features: "pixels" or "learned" (input [B, 64, H, W] grey, H and W multiples of 16), or
        "spectrum" (input [B, 64, sub-frames, bands]).
      dtype: compute type of convolutions.
    """

    features: str
    dtype: str = "float32"

    @nn.compact
    def __call__(self, windows: jax.Array, *, train: bool = False) -> PeriodLogits:
        chex.assert_rank(windows, 4)
        chex.assert_axis_dimension(windows, 1, WINDOW_FRAMES)
        typed = {"dtype": self.dtype} if self.features in WITH_CONVOLUTIONS else {}
        encoder = FEATURES[self.features](name="features", **typed)
        features = encoder(windows, train=train)
        return PeriodHead(dtype=self.dtype, name="head")(features, train=train)


class Decoder(nn.Module):
    """Decides between strides: from their posteriors to one distribution per step.

    Dilated 3x3 convolutions over steps and log periods; strides are channels.
    """

    channels: int = 16
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16)
    dtype: str = "float32"

    @nn.compact
    def __call__(self, posteriors: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Decodes posteriors.

        Args:
          posteriors: [B, G, 54, 2 S], see `posteriors.stack_posteriors`.

        Returns:
          (logits [B, G, 55], the last one for no repetition; features [B, G, 2 C + 1]).
        """
        # Residual blocks that see further and further along time, 32 steps to either side.
        posteriors = posteriors.astype(jnp.float32)
        x = nn.Conv(self.channels, (3, 3), dtype=self.dtype, name="enter")(posteriors)
        for place, dilation in enumerate(self.dilations):
            y = nn.Conv(
                self.channels,
                (3, 3),
                kernel_dilation=(dilation, 1),
                dtype=self.dtype,
                name=f"conv{place}",
            )(nn.relu(x))
            y = nn.Conv(self.channels, (1, 1), dtype=self.dtype, name=f"mix{place}")(
                nn.relu(y)
            )
            x = x + y
        x = nn.relu(x.astype(jnp.float32))  # [B, G, 54, C]

        # A period's logit starts from the stride that is surest of it.
        strides = posteriors.shape[-1] // 2
        surest = jnp.max(posteriors[..., :strides], axis=-1)  # [B, G, 54]
        bins = nn.Dense(1, name="bins")(x)[..., 0] + jnp.log(surest + 1e-3)

        # Whether anything repeats at all is told from what all periods have in common.
        pooled = jnp.concatenate(
            [
                jnp.max(x, axis=2),
                jnp.mean(x, axis=2),
                jnp.max(surest, axis=2, keepdims=True),
            ],
            axis=-1,
        )  # [B, G, 2 C + 1]
        nothing = nn.Dense(1, name="nothing")(pooled)  # [B, G, 1]
        return jnp.concatenate([bins, nothing], axis=-1), pooled


@flax.struct.dataclass
class DecodedPosteriors:
    """Distributions over absolute periods at every step; the last entry is no repetition.

    Attributes:
      sight: [B, G, 55], or None without a picture.
      sound: [B, G, 55], or None without sound.
      fused: [B, G, 55], paper 1's Eq. 10 with distributions for counts.
      reliability: [B, G] weight of the sound (paper 1's gamma), at most the probability with
        which it hears any rhythm; None unless there are both.
    """

    sight: jax.Array | None
    sound: jax.Array | None
    fused: jax.Array
    reliability: jax.Array | None


class Compact(nn.Module):
    """Sight and sound in small.

    Args:
      sight_features: one or several of "pixels" and "learned"; several are averaged.
      dtype: compute type of convolutions.
    """

    sight_features: tuple[str, ...] = ("pixels", "learned")
    dtype: str = "float32"

    def setup(self):
        known = ("pixels", "learned")
        if not self.sight_features or set(self.sight_features) - set(known):
            raise ValueError(
                f"sight_features: {self.sight_features} are not some of {', '.join(known)}"
            )
        self.sight_streams = [
            PeriodStream(name, self.dtype, name=f"sight_{name}")
            for name in self.sight_features
        ]
        self.sound_stream = PeriodStream("spectrum", self.dtype)
        self.sight_decoder = Decoder(dtype=self.dtype)
        self.sound_decoder = Decoder(dtype=self.dtype)
        self.reliability_hidden = nn.Dense(RELIABILITY_WIDTH)
        self.reliability = nn.Dense(1)

    def sight_logits(
        self, windows: jax.Array, *, train: bool = False
    ) -> list[PeriodLogits]:
        """What each sight stream says of windows; arguments as `sight`."""
        return [stream(windows, train=train) for stream in self.sight_streams]

    def sound_logits(
        self, windows: jax.Array, *, train: bool = False
    ) -> list[PeriodLogits]:
        """What the sound stream says of windows; arguments as `sound`."""
        return [self.sound_stream(windows, train=train)]

    def sight(self, windows: jax.Array, *, train: bool = False) -> PeriodPosteriors:
        """Looks at windows.

        Args:
          windows: [B, 64, H, W] grey, uint8 or float of any scale; H, W multiples of 16.
          train: whether statistics are of the batch.

        Returns:
          The mean of the streams' distributions.
        """
        return _mean_posteriors(self.sight_logits(windows, train=train))

    def sound(self, windows: jax.Array, *, train: bool = False) -> PeriodPosteriors:
        """Listens to windows.

        Args:
          windows: [B, 64, 4, 32] log power in mel bands, four sub-frames per frame.
          train: whether statistics are of the batch.

        Returns:
          The stream's distributions.
        """
        return _mean_posteriors(self.sound_logits(windows, train=train))

    def decode(
        self, sight: jax.Array | None, sound: jax.Array | None
    ) -> DecodedPosteriors:
        """Decodes the posteriors of all strides.

        Args:
          sight: [B, G, 54, 2 S], see `posteriors.stack_posteriors`; None without a picture.
          sound: likewise, or None without sound.

        Returns:
          The distributions; `reliability` is None unless both are given.
        """
        # Each stream by itself.
        seen = heard = None
        if sight is not None:
            seen_logits, seen_features = self.sight_decoder(sight)
            seen = jax.nn.softmax(seen_logits)
        if sound is not None:
            heard_logits, heard_features = self.sound_decoder(sound)
            heard = jax.nn.softmax(heard_logits)
        if seen is None or heard is None:
            return DecodedPosteriors(seen, heard, heard if seen is None else seen, None)

        # The reliability learns what to trust, not what to say (section 3.4). It sees how each
        # looks by itself, whether both say the same period, and whether either says nothing.
        seen_features, heard_features, seen_part, heard_part = jax.lax.stop_gradient(
            (seen_features, heard_features, seen, heard)
        )
        same = jnp.sum(seen_part * heard_part, axis=-1, keepdims=True)
        silent = jnp.stack([seen_part[..., -1], heard_part[..., -1]], axis=-1)
        both = jnp.concatenate([seen_features, heard_features, same, silent], axis=-1)
        hidden = nn.relu(self.reliability_hidden(both))
        trust = jax.nn.sigmoid(self.reliability(hidden))  # [B, G, 1]

        # A sound that hears no rhythm is no reason to see none.
        rhythm = heard_part.at[..., -1].set(0.0)
        weight = trust * jnp.sum(rhythm, axis=-1, keepdims=True)
        fused = (1 - weight) * seen_part + trust * rhythm
        return DecodedPosteriors(seen, heard, fused, weight[..., 0])

    def __call__(
        self, sight_windows, sound_windows, sight_posteriors, sound_posteriors
    ):
        """Runs everything once; arguments as `sight`, `sound` and `decode`."""
        return (
            self.sight(sight_windows),
            self.sound(sound_windows),
            self.decode(sight_posteriors, sound_posteriors),
        )


def _mean_posteriors(logits: list[PeriodLogits]) -> PeriodPosteriors:
    """The mean of several streams' probabilities."""
    outputs = [
        PeriodPosteriors(jax.nn.softmax(one.periods), jax.nn.sigmoid(one.periodicity))
        for one in logits
    ]
    return jax.tree.map(lambda *parts: sum(parts) / len(parts), *outputs)
