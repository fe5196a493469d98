"""IMGAUD-SKIMMING: an LSTM that asks a video's stored features for the next moment to look at.

Main paper, section 3.2, and supplement, sections C and D. In each of T steps the LSTM's state is
turned into a query for pictures and one for sound; a query is compared with a key per moment, by
their dot product over √512, and the softmax of that reads the features. Indices read once are
masked, per modality. What is read in T steps is averaged and classified.

Modality attention: both banks of features are read with both weight vectors, and the two readings
are mixed by two weights from the state. In the released optimiser these are in no group of
parameters and stay random; here they are parameters like all others.

Different from the released code where the network is called with `start` (see there): it masks a
random moment of both banks before the first step, though nothing was read yet.
"""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from rac_jax.encoders.layers import BatchNorm, head
from rac_jax.models.listen_to_look.student import DESCRIPTOR, Fusion

HIDDEN = 1024  # of the LSTM, and of a query's hidden layer
KEYS = 512  # length of queries and keys
STEPS = 10  # T
MASKED = -1e35  # score of a moment that must not be read

# How moments are read: by all weights, at the largest alone, or, for both banks, by the weights
# of pictures with the sound at their largest (ablation 1 of section G).
SOFT, HARD, VISUAL = "soft", "hard", "visual"
INDEXING = (SOFT, HARD, VISUAL)


@flax.struct.dataclass
class SkimmingOutput:
    """What T steps read. `steps` on the second axis: cut there for an early stop."""

    features: jax.Array  # [B, T, C] read in each step
    step_logits: jax.Array  # [B, T, P] of the mean of what was read so far
    state_logits: jax.Array  # [B, T, P] of the LSTM's state in each step
    indices: jax.Array  # [B, T, banks] int32, moments read most in each step
    weights: jax.Array  # [B, T, banks, N] of the softmax
    attention: jax.Array  # [B, T, banks] of the banks' weights

    @property
    def logits(self) -> jax.Array:
        """[B, P] of the mean of all that was read."""
        return self.step_logits[:, -1]


class LSTM(nn.Module):
    """One step of an LSTM with PyTorch's gates (input, forget, cell, output) and two biases.

    Attributes:
      units: of its state.
      normalised: whether both matrices are a direction and a length per row (weight
        normalisation, as released).
    """

    units: int = HIDDEN
    normalised: bool = False

    @nn.compact
    def __call__(
        self, state: tuple[jax.Array, jax.Array], x: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """(h [B, units], c [B, units]) and x [B, C] to the next (h, c)."""
        hidden, cell = state
        gates = self._product("input", x) + self._product("hidden", hidden)
        ingoing, forget, value, outgoing = jnp.split(gates, 4, axis=-1)
        cell = nn.sigmoid(forget) * cell + nn.sigmoid(ingoing) * jnp.tanh(value)
        return nn.sigmoid(outgoing) * jnp.tanh(cell), cell

    def _product(self, name: str, x: jax.Array) -> jax.Array:
        # PyTorch starts all of an LSTM uniformly within 1 / √units.
        start = nn.initializers.uniform(2 / self.units**0.5)

        def centred(key, shape):
            return start(key, shape) - 1 / self.units**0.5

        shape = (x.shape[-1], 4 * self.units)
        kernel = self.param(f"{name}_kernel", centred, shape)
        bias = self.param(f"{name}_bias", centred, (4 * self.units,))
        if self.normalised:
            norm = jnp.linalg.norm(kernel, axis=0, keepdims=True)  # [1, 4·units]
            gain = self.param(f"{name}_gain", lambda _: norm[0])
            kernel = kernel / norm * gain[None]
        return jnp.dot(x, kernel, precision="highest") + bias[None]


class Query(nn.Module):
    """A state [B, 1024] as a question [B, 512]."""

    hidden: int = HIDDEN
    units: int = KEYS

    @nn.compact
    def __call__(self, state: jax.Array, *, train: bool) -> jax.Array:
        x = head(self.hidden, "dense1")(state)
        x = BatchNorm(self.hidden, name="norm").then_relu(x, train=train)
        return head(self.units, "dense2")(x)


class Key(nn.Module):
    """Features [B, N, C] as what a question is compared with, [B, N, 512]."""

    units: int = KEYS

    @nn.compact
    def __call__(self, features: jax.Array, *, train: bool) -> jax.Array:
        x = head(self.units, "dense")(features)
        return BatchNorm(self.units, name="norm").then_relu(x, train=train)


class Skimming(nn.Module):
    """The network over two banks of features, or over one.

    Attributes:
      classes: of actions.
      banks: 2 for pictures and sound, 1 for the single-modality network of section D.
      features: channels C of the banks' features.
      hidden, keys, fused: widths of the state, of queries, and of fused features.
      normalised: weight normalisation of the LSTM, as released.
    """

    classes: int
    banks: int = 2
    features: int = DESCRIPTOR
    hidden: int = HIDDEN
    keys: int = KEYS
    fused: int = DESCRIPTOR
    fusion_hidden: int = 1024
    normalised: bool = False

    def setup(self):
        if self.banks not in (1, 2):
            raise ValueError(f"banks: must be 1 or 2, not {self.banks}")
        self.query = [Query(self.hidden, self.keys) for _ in range(self.banks)]
        self.key = [Key(self.keys) for _ in range(self.banks)]
        self.lstm = LSTM(self.hidden, self.normalised)
        self.classifier = head(self.classes)
        self.state_classifier = head(self.classes)
        if self.banks == 2:
            self.fusion = Fusion(self.fusion_hidden, self.fused)
            self.attention = head(2)

    def __call__(
        self,
        banks: tuple[jax.Array, ...],
        valid: jax.Array,
        *,
        steps: int = STEPS,
        indexing: str = SOFT,
        every: int = 1,
        start: jax.Array | None = None,
        train: bool = False,
    ) -> SkimmingOutput:
        """Skims videos.

        Args:
          banks: features of pictures and of sound, [B, N, C] each; or those of one bank.
          valid: [B, N] bool, False where a shorter video is padded; at least `steps` each.
          steps: T; fewer are an early stop.
          indexing: a word of `INDEXING`; "visual" is for two banks.
          every: keys are made of every so many moments, and those between are interpolated.
          start: [B] int32, a moment per video that is masked from the first step on in every
            bank, as the released code does; None for none.
          train: whether batch statistics are the batch's own.

        Returns:
          What was read.

        Raises:
          ValueError: for an unknown word, or another number of banks.
        """
        if indexing not in INDEXING or (indexing == VISUAL and self.banks == 1):
            known = ", ".join(INDEXING[: self.banks + 1])
            raise ValueError(f"indexing: {indexing!r} is not one of {known}")
        if len(banks) != self.banks:
            raise ValueError(f"banks: got {len(banks)}, the network has {self.banks}")
        number, moments = valid.shape
        keys = [
            make(thinned(bank, every), train=train)
            for make, bank in zip(self.key, banks, strict=True)
        ]  # [B, N, 512] each
        free = [valid] * self.banks  # what may still be read, per bank
        if start is not None:
            free = [valid & ~_at(start, moments)] * self.banks
        shares = valid / jnp.sum(valid, axis=-1, keepdims=True)  # [B, N]
        x = self._joined([jnp.einsum("bn,bnc->bc", shares, bank) for bank in banks])
        state = (jnp.zeros((number, self.hidden)),) * 2
        found: list[tuple[jax.Array, ...]] = []
        for _ in range(steps):
            state = self.lstm(state, x)
            weights = []
            for place in range(self.banks):
                query = self.query[place](state[0], train=train)  # [B, 512]
                scores = jnp.einsum(
                    "bk,bnk->bn", query, keys[place], precision="highest"
                )
                scores = jnp.where(free[place], scores / self.keys**0.5, MASKED)
                weights.append(nn.softmax(scores))  # [B, N]
            tops = [jnp.argmax(one, axis=-1) for one in weights]  # [B] each
            free = [
                one & ~_at(top, moments) for one, top in zip(free, tops, strict=True)
            ]
            read, mixed = self._read(banks, weights, tops, state[0], indexing)
            x = self._joined(read)
            found.append(
                (
                    x,
                    self.state_classifier(state[0]),
                    jnp.stack(tops, -1).astype(jnp.int32),
                    jnp.stack(weights, 1),
                    mixed,
                )
            )
        features, states, indices, weights, mixed = (
            jnp.stack(one, axis=1) for one in zip(*found, strict=True)
        )
        so_far = jnp.arange(1, steps + 1, dtype=jnp.float32).reshape(1, -1, 1)
        means = jnp.cumsum(features, axis=1) / so_far  # [B, T, C]
        return SkimmingOutput(
            features, self.classifier(means), states, indices, weights, mixed
        )

    def _joined(self, read: list[jax.Array]) -> jax.Array:
        """What was read of all banks as one vector per video, [B, C]."""
        return self.fusion(*read) if self.banks == 2 else read[0]

    def _read(
        self,
        banks: tuple[jax.Array, ...],
        weights: list[jax.Array],
        tops: list[jax.Array],
        state: jax.Array,
        indexing: str,
    ) -> tuple[list[jax.Array], jax.Array]:
        """What is read of each bank [B, C], and the attention [B, banks]."""
        moments = weights[0].shape[-1]
        if indexing == HARD:
            weights = [_at(top, moments).astype(jnp.float32) for top in tops]
        if self.banks == 1:
            one = jnp.einsum("bn,bnc->bc", weights[0], banks[0])
            return [one], jnp.ones((len(one), 1))
        if indexing == VISUAL:
            # Equation 1 of the supplement: pictures aggregated, sound at their largest weight.
            only = jnp.tile(jnp.array([[1.0, 0.0]]), (len(state), 1))
            image = jnp.einsum("bn,bnc->bc", weights[0], banks[0])
            return [image, _taken(banks[1], tops[0])], only
        mixed = nn.softmax(self.attention(state))  # [B, 2]
        both = jnp.einsum("bk,bkn->bn", mixed, jnp.stack(weights, axis=1))  # [B, N]
        return [jnp.einsum("bn,bnc->bc", both, bank) for bank in banks], mixed


def thinned(features: jax.Array, every: int) -> jax.Array:
    """Features [B, N, C] of which every so many are kept and those between interpolated.

    Behind the last that is kept, it is repeated. `every` of 1 changes nothing.
    """
    if every < 1:
        raise ValueError(f"every: must be at least 1, not {every}")
    if every == 1:
        return features
    kept = features[:, ::every]  # [B, ceil(N / every), C]
    place = jnp.arange(features.shape[1]) / every
    low = jnp.floor(place).astype(jnp.int32)
    high = jnp.minimum(low + 1, kept.shape[1] - 1)
    share = (place - low).reshape(1, -1, 1)
    return kept[:, low] * (1 - share) + kept[:, high] * share


def _at(index: jax.Array, moments: int) -> jax.Array:
    """[B] to bool [B, N], True at the index."""
    return jnp.arange(moments)[None] == index[:, None]


def _taken(bank: jax.Array, index: jax.Array) -> jax.Array:
    """The moment of each video, [B, C]."""
    return jnp.take_along_axis(bank, index[:, None, None], axis=1)[:, 0]
