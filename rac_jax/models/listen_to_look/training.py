"""What skimming learns from: stored features cut to a length per batch, and its loss.

Supplement, section C, and the released `main.py` and `data.py`: a length of 200 to 500 moments is
drawn for each batch (a moment each 16 frames); a longer video gives a random part, a shorter one
is padded with zeros, and one with fewer moments than steps repeats its last.
"""

from collections.abc import Sequence

import flax.struct
import jax
import numpy as np
import optax

from rac_jax.models.listen_to_look.distillation import falling_sgd
from rac_jax.models.listen_to_look.skimming import STEPS, SkimmingOutput

LENGTHS = (200, 500)  # moments of a batch, both ends included
LEARNING_RATE = 1e-2
EPOCHS = 25
DECAY_EPOCHS = (15, 20)
CLASSIFIER_SHARE = 0.1  # of the learning rate, as released; the fusion is frozen there


@flax.struct.dataclass
class SkimmingBatch:
    """Features of several videos at one length."""

    banks: tuple[np.ndarray, ...]  # [B, N, C] each
    valid: np.ndarray  # [B, N] bool


def cut_batch(
    videos: Sequence[tuple[np.ndarray, ...]],
    rng: np.random.Generator,
    lengths: tuple[int, int] = LENGTHS,
    least: int = STEPS,
) -> SkimmingBatch:
    """Cuts and pads stored features to one drawn length.

    Args:
      videos: for each its banks, [n, C] each, all of its banks with the same n.
      rng: draws the length and the parts.
      lengths: shortest and longest; the same twice to draw none.
      least: moments that each video has at least, by repeating its last one.

    Returns:
      The batch.

    Raises:
      ValueError: for a video without moments or with banks of several lengths; its place is named.
    """
    length = int(rng.integers(lengths[0], lengths[1] + 1))
    banks, valid = [], np.zeros((len(videos), length), bool)
    for place, video in enumerate(videos):
        have = {len(bank) for bank in video}
        if len(have) > 1 or not min(have):
            raise ValueError(
                f"video {place}: its banks have {sorted(have)} moments, must be as many each"
            )
        moments = min(have)
        first = int(rng.integers(moments - length + 1)) if moments > length else 0
        rows = np.arange(first, min(first + length, moments))
        if len(rows) < least:
            rows = np.pad(rows, (0, least - len(rows)), mode="edge")
        valid[place, : len(rows)] = True
        after = ((0, length - len(rows)), (0, 0))
        banks.append([np.pad(bank[rows], after) for bank in video])
    together = tuple(np.stack(one) for one in zip(*banks, strict=True))
    return SkimmingBatch(together, valid)


def skimming_loss(
    output: SkimmingOutput, classes: jax.Array, last_state: bool = False
) -> jax.Array:
    """Cross-entropy of the averaged features' scores, [B].

    Args:
      output: of the network.
      classes: [B] int32.
      last_state: adds that of the LSTM's last state, an option of the released code.
    """
    entropy = optax.softmax_cross_entropy_with_integer_labels
    loss = entropy(output.logits, classes)
    return loss + entropy(output.state_logits[:, -1], classes) if last_state else loss


def optimiser(
    steps_per_epoch: int, released: bool = False
) -> optax.GradientTransformation:
    """SGD as in the supplement: 1e-2, a tenth of it after epochs 15 and 20 of 25.

    Args:
      steps_per_epoch: at least 1.
      released: as the released code has it: the classifier at a tenth of the rate, the fusion
        frozen. The modality attention learns all the same.
    """

    def group(path, _) -> str:
        first = path[0].key
        return first if released and first in ("classifier", "fusion") else "rest"

    def sgd(rate: float) -> optax.GradientTransformation:
        return falling_sgd(rate, DECAY_EPOCHS, steps_per_epoch)

    return optax.partition(
        {
            "rest": sgd(LEARNING_RATE),
            "classifier": sgd(CLASSIFIER_SHARE * LEARNING_RATE),
            "fusion": optax.set_to_zero(),
        },
        lambda params: jax.tree_util.tree_map_with_path(group, params),
    )
