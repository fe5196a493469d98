"""Counting by sight and sound: Zhang, Shao and Snoek, "Repetitive activity counting by sight and
sound" (CVPR 2021), paper 1.

Four parts: a sight stream and a sound stream that count a clip and a spectrogram by repetition
class, a ranker that scores a clip's temporal stride, and a reliability module that says how far
to trust the sound (Eq. 10). The text and the authors' released networks disagree in all four;
both are here, chosen by `sight_head`, `sound_head`, `ranker` and `reliability_form`:

* heads: a regression unit per class, or an expectation over whole counts.
* ranker "paper": copies of the last stages on both streams' stage-3 features, pooled and
  concatenated (sight, sound), then one unit. "released": each vector L2-normalised times 9,
  then a unit per sight class, averaged under the sight stream's classes.
* reliability "paper": a copy of the sound stream's last stage on its stage-3 features, pooled,
  concatenated with the sight features (sound, sight), one unit, sigmoid: the weight of sound.
  "released": both vectors L2-normalised times 14, dropout, two units; the sigmoid of the first
  is the weight of sight, and one minus it comes out here.

The paper scores strides by sight alone in some experiments without saying how: our sight-only
ranker is the paper's with its sound half left out.
"""

from collections.abc import Collection

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from rac_jax.encoders.layers import check_input, head
from rac_jax.encoders.r2plus1d import R2Plus1D18, R2Plus1DStage
from rac_jax.encoders.resnet import ResNet18, ResNetStage
from rac_jax.encoders.s3d import S3D, S3DStage4
from rac_jax.models.sight_sound.heads import FORMS, RepetitionHead
from rac_jax.ops.pooling import global_mean

SIGHT_ENCODERS = {"s3d": (S3D, S3DStage4), "r2plus1d18": (R2Plus1D18, R2Plus1DStage)}
MODULE_FORMS = ("paper", "released")
GROUPS = (
    "sight_encoder",
    "sight_head",
    "sound_encoder",
    "sound_head",
    "ranker",
    "solo_ranker",
    "reliability_head",
)
# Of the released ranker and reliability networks.
RANKER_NORM = 9.0
RELIABILITY_NORM = 14.0
RELIABILITY_DROPOUT = 0.27

Train = bool | Collection[str]


@flax.struct.dataclass
class SightOutput:
    """What a clip says."""

    count: jax.Array  # [B] repetitions
    counts: jax.Array  # [B, P] repetitions, were the clip of this repetition class
    classes: jax.Array  # [B, P] softmax over repetition classes
    features: jax.Array  # [B, C] pooled encoder features
    timeline: jax.Array  # [B, T', C'] stage-3 features pooled over all but time
    rank_features: jax.Array  # [B, R] pooled features of the ranker's own last stage
    solo_score: jax.Array  # [B] score of the sight-only ranker, zeros without one


@flax.struct.dataclass
class SoundOutput:
    """What a spectrogram says."""

    count: jax.Array  # [B] repetitions
    counts: jax.Array  # [B, P] repetitions, were the sound of this repetition class
    classes: jax.Array  # [B, P] softmax over repetition classes
    features: jax.Array  # [B, C] pooled encoder features
    timeline: jax.Array  # [B, n', C'] stage-3 features pooled over all but time
    rank_features: jax.Array  # [B, R] pooled features of the ranker's own last stage
    reliability_features: jax.Array  # [B, R] the same of the reliability module's


@flax.struct.dataclass
class SightSoundOutput:
    """Everything at once."""

    sight: SightOutput
    sound: SoundOutput
    score: jax.Array  # [B] of the clip's temporal stride, higher is better
    reliability: jax.Array  # [B] the weight of the sound, 0 to 1


def fuse(sight_count: jax.Array, sound_count: jax.Array, gamma: jax.Array) -> jax.Array:
    """Weighs the two streams' counts, Eq. 10: sight · (1 − γ) + sound · γ.

    Args:
      sight_count: repetitions, any shape.
      sound_count: repetitions, the same shape.
      gamma: the weight of the sound, 0 to 1.

    Returns:
      Repetitions, the same shape.
    """
    return sight_count * (1 - gamma) + sound_count * gamma


def normalised(x: jax.Array, norm: float) -> jax.Array:
    """Scales vectors [B, C] to length `norm`; a zero vector stays zero."""
    squares = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
    # The square of the smallest length that PyTorch's normalize divides by, 1e-12.
    return x * (norm * jax.lax.rsqrt(jnp.maximum(squares, 1e-24)))


class StageVector(nn.Module):
    """A copy of an encoder's last stage, pooled: stage-3 features to one vector."""

    encoder: str  # a key of `SIGHT_ENCODERS`, or "resnet18"
    width: float
    momentum: float
    dtype: str

    @nn.compact
    def __call__(self, stage3: jax.Array, *, train: bool) -> jax.Array:
        if self.encoder == "resnet18":
            stage = ResNetStage
        else:
            _, stage = SIGHT_ENCODERS[self.encoder]
        stage = stage(
            width=self.width, momentum=self.momentum, dtype=self.dtype, name="stage4"
        )
        return global_mean(stage(stage3, train=train))  # [B, R]


class Ranker(nn.Module):
    """Scores temporal strides by sight and sound: `units` scores per clip.

    `norm` is the length that both vectors are scaled to, None to leave them as they are.
    """

    encoder: str
    sight_width: float
    sound_width: float
    units: int
    norm: float | None
    momentum: float
    dtype: str

    def setup(self):
        shared = {"momentum": self.momentum, "dtype": self.dtype}
        self.sight = StageVector(self.encoder, self.sight_width, **shared)
        self.sound = StageVector("resnet18", self.sound_width, **shared)
        self.score = head(self.units)

    def sight_vector(self, stage3: jax.Array, *, train: bool) -> jax.Array:
        return self.sight(stage3, train=train)  # [B, R]

    def sound_vector(self, stage3: jax.Array, *, train: bool) -> jax.Array:
        return self.sound(stage3, train=train)  # [B, R]

    def __call__(self, sight: jax.Array, sound: jax.Array) -> jax.Array:
        if self.norm is not None:
            sight, sound = normalised(sight, self.norm), normalised(sound, self.norm)
        return self.score(jnp.concatenate([sight, sound], axis=-1))  # [B, units]


class SoloRanker(nn.Module):
    """Scores temporal strides by sight alone, [B]."""

    encoder: str
    width: float
    momentum: float
    dtype: str

    @nn.compact
    def __call__(self, stage3: jax.Array, *, train: bool) -> jax.Array:
        vector = StageVector(
            self.encoder, self.width, self.momentum, self.dtype, name="sight"
        )(stage3, train=train)  # [B, R]
        return head(1, "score")(vector)[:, 0]  # [B]


class Reliability(nn.Module):
    """The weight of the sound, γ of Eq. 10; `released` chooses the authors' own network."""

    released: bool
    sound_width: float
    momentum: float
    dtype: str

    def setup(self):
        self.sound = StageVector(
            "resnet18", self.sound_width, momentum=self.momentum, dtype=self.dtype
        )
        self.score = head(2 if self.released else 1)
        self.dropout = nn.Dropout(RELIABILITY_DROPOUT)

    def sound_vector(self, stage3: jax.Array, *, train: bool) -> jax.Array:
        return self.sound(stage3, train=train)  # [B, R]

    def __call__(self, sound: jax.Array, sight: jax.Array, *, train: bool) -> jax.Array:
        if self.released:
            sound = normalised(sound, RELIABILITY_NORM)
            sight = normalised(sight, RELIABILITY_NORM)
        both = jnp.concatenate([sound, sight], axis=-1)  # [B, R + C]
        if self.released:
            both = self.dropout(both, deterministic=not train)
            # sigmoid(-x) is 1 - sigmoid(x): unit 0 speaks for sight.
            return jax.nn.sigmoid(-self.score(both)[:, 0])  # [B]
        return jax.nn.sigmoid(self.score(both)[:, 0])  # [B]


class SightSound(nn.Module):
    """The whole system; each method is one network, used as `apply(..., method="sight")`.

    Args:
      sight_encoder: "s3d" (the paper) or "r2plus1d18" (the release).
      sight_width: its channel multiplier.
      sight_classes: P of the sight stream: 41 for Countix-AV, 24 for UCFRep.
      sight_head: "regression" (the paper) or "expectation" (the release).
      sight_bins: lowest and highest whole count of its expectation form.
      sound_width: channel multiplier of the sound stream's ResNet-18.
      sound_classes: P of the sound stream.
      sound_head: as `sight_head`.
      sound_bins: as `sight_bins`.
      ranker: "paper" or "released".
      reliability_form: "paper" or "released"; `config.json` calls it `reliability`, which here
        is the method.
      use_sight_only_ranker: whether there is a ranker for videos without sound.
      momentum: what running batch statistics keep of themselves per training step. PyTorch's
        default, in the S3D too: its published 0.999 takes thousands of steps to move.
      dtype: compute type of encoders and stage copies; heads and softmax are float32.

    The keyword `train` of every method is False, True, or the names of the parameter groups
    (`GROUPS`) that are in training mode: statistics of the batch, dropout. Dropout draws from
    the stream "dropout".
    """

    sight_encoder: str = "s3d"
    sight_width: float = 1.0
    sight_classes: int = 41
    sight_head: str = "regression"
    sight_bins: tuple[int, int] = (2, 35)
    sound_width: float = 1.0
    sound_classes: int = 43
    sound_head: str = "regression"
    sound_bins: tuple[int, int] = (2, 19)
    ranker: str = "paper"
    reliability_form: str = "paper"
    use_sight_only_ranker: bool = True
    momentum: float = 0.9
    dtype: str = "float32"

    def __post_init__(self):
        for field, known in (
            ("sight_encoder", tuple(SIGHT_ENCODERS)),
            ("sight_head", FORMS),
            ("sound_head", FORMS),
            ("ranker", MODULE_FORMS),
            ("reliability_form", MODULE_FORMS),
        ):
            if getattr(self, field) not in known:
                raise ValueError(
                    f"{field} {getattr(self, field)!r} must be one of {', '.join(known)}"
                )
        super().__post_init__()

    def setup(self):
        shared = {"momentum": self.momentum, "dtype": self.dtype}
        # Parameter groups carry the public names, which the fields have taken as attributes.
        encoder, _ = SIGHT_ENCODERS[self.sight_encoder]
        self._sight_encoder = encoder(
            width=self.sight_width, name="sight_encoder", **shared
        )
        self._sight_head = RepetitionHead(
            self.sight_classes, self.sight_head, *self.sight_bins, name="sight_head"
        )
        self._sound_encoder = ResNet18(
            width=self.sound_width, name="sound_encoder", **shared
        )
        self._sound_head = RepetitionHead(
            self.sound_classes, self.sound_head, *self.sound_bins, name="sound_head"
        )
        released = self.ranker == "released"
        self._ranker = Ranker(
            self.sight_encoder,
            self.sight_width,
            self.sound_width,
            units=self.sight_classes if released else 1,
            norm=RANKER_NORM if released else None,
            name="ranker",
            **shared,
        )
        if self.use_sight_only_ranker:
            self._solo_ranker = SoloRanker(
                self.sight_encoder, self.sight_width, name="solo_ranker", **shared
            )
        self._reliability = Reliability(
            self.reliability_form == "released",
            self.sound_width,
            name="reliability_head",
            **shared,
        )

    def sight(self, clips: jax.Array, *, train: Train = False) -> SightOutput:
        """Runs the sight stream and the ranker's sight half.

        Args:
          clips: [B, T, H, W, 3] normalised floats, [B, 64, 112, 112, 3] in the paper.
          train: see the class.

        Returns:
          Counts, features and the sight-only score.

        Raises:
          ValueError: if the clips are of another rank, too small or empty.
        """
        in_training = _training(train)
        encoded = self._sight_encoder(clips, train="sight_encoder" in in_training)
        counted = self._sight_head(encoded.features)
        if self.use_sight_only_ranker:
            solo_score = self._solo_ranker(
                encoded.stage3, train="solo_ranker" in in_training
            )
        else:
            solo_score = jnp.zeros_like(counted.count)
        return SightOutput(
            count=counted.count,
            counts=counted.counts,
            classes=counted.classes,
            features=encoded.features,
            timeline=_timeline(encoded.stage3, (2, 3)),
            rank_features=self._ranker.sight_vector(
                encoded.stage3, train="ranker" in in_training
            ),
            solo_score=solo_score,
        )

    def sound(self, spectrograms: jax.Array, *, train: Train = False) -> SoundOutput:
        """Runs the sound stream and the sound halves of ranker and reliability module.

        Args:
          spectrograms: [B, F, n] standardised log spectrograms, [B, 257, 500] in the paper.
          train: see the class.

        Returns:
          Counts and features.

        Raises:
          ValueError: if the spectrograms are of another rank or empty.
        """
        check_input("spectrograms", spectrograms, (None, None, None), (1, 1, 1))
        in_training = _training(train)
        encoded = self._sound_encoder(
            spectrograms[..., None], train="sound_encoder" in in_training
        )
        counted = self._sound_head(encoded.features)
        return SoundOutput(
            count=counted.count,
            counts=counted.counts,
            classes=counted.classes,
            features=encoded.features,
            timeline=_timeline(encoded.stage3, (1,)),
            rank_features=self._ranker.sound_vector(
                encoded.stage3, train="ranker" in in_training
            ),
            reliability_features=self._reliability.sound_vector(
                encoded.stage3, train="reliability_head" in in_training
            ),
        )

    def score(
        self, sight: SightOutput, sound: SoundOutput, *, train: Train = False
    ) -> jax.Array:
        """Scores the temporal stride of clips, with their sound.

        Args:
          sight: of B clips.
          sound: of the B spectrograms that go with them.
          train: for symmetry; nothing here differs in training.

        Returns:
          [B] scores, higher is better.
        """
        _training(train)
        scores = self._ranker(sight.rank_features, sound.rank_features)  # [B, units]
        if self.ranker == "paper":
            return scores[:, 0]  # [B]
        return jnp.sum(scores * sight.classes, axis=-1)  # [B]

    def reliability(
        self, sight: SightOutput, sound: SoundOutput, *, train: Train = False
    ) -> jax.Array:
        """Weighs the sound against the sight, γ of Eq. 10.

        Args:
          sight: of B clips.
          sound: of the B spectrograms that go with them.
          train: see the class.

        Returns:
          [B] the weight of the sound, 0 to 1.
        """
        return self._reliability(
            sound.reliability_features,
            sight.features,
            train="reliability_head" in _training(train),
        )

    def __call__(
        self, clips: jax.Array, spectrograms: jax.Array, *, train: Train = False
    ) -> SightSoundOutput:
        """Runs everything once on B clips and the B spectrograms that go with them."""
        sight = self.sight(clips, train=train)
        sound = self.sound(spectrograms, train=train)
        return SightSoundOutput(
            sight=sight,
            sound=sound,
            score=self.score(sight, sound, train=train),
            reliability=self.reliability(sight, sound, train=train),
        )


def _timeline(stage3: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    return jnp.mean(stage3.astype(jnp.float32), axis=axes)


def _training(train: Train) -> Collection[str]:
    """The parameter groups in training mode."""
    if isinstance(train, bool):
        return GROUPS if train else ()
    unknown = set(train) - set(GROUPS)
    if unknown:
        raise ValueError(
            f"train names {min(unknown)!r}, the groups are {', '.join(GROUPS)}"
        )
    return tuple(train)
