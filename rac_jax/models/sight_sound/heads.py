"""The repetition-class head of paper 1 (Eq. 2-3) and the form that its authors released.

Movements of different kinds are counted in different ways: one layer counts as if the clip were
of each of P repetition classes, another says which class it is, and the count is the mean under
that: count = Σ_p counts_p · classes_p.
"""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from rac_jax.encoders.layers import check_input, head

FORMS = ("regression", "expectation")
# Parameter group of Table 9's alternative to Eq. 10, which is not part of the network.
FUSION_HEAD = "fusion_head"
FUSION_CLASSES = 41  # appendix F


@flax.struct.dataclass
class RepetitionOutput:
    """Counts of one stream."""

    count: jax.Array  # [B] repetitions
    counts: jax.Array  # [B, P] repetitions, were the clip of this repetition class
    classes: jax.Array  # [B, P] softmax over repetition classes


class RepetitionHead(nn.Module):
    """Counts per repetition class and the class.

    Args:
      classes: P, how many repetition classes.
      form: "regression": a unit per class (the paper). "expectation": a softmax over whole
        counts per class, whose mean is the class's count (the release); units are class-major.
      lowest: the smallest whole count of the expectation form.
      highest: the largest.
    """

    classes: int
    form: str = "regression"
    lowest: int = 2
    highest: int = 35

    @nn.compact
    def __call__(self, features: jax.Array) -> RepetitionOutput:
        """Counts.

        Args:
          features: [B, C] floats.

        Returns:
          count [B], counts [B, P] and classes [B, P], float32.

        Raises:
          ValueError: if the features are of another rank or empty, or the form is unknown.
        """
        check_input("features", features, (None, None), (1, 1))
        features = features.astype(jnp.float32)
        if self.form == "regression":
            counts = head(self.classes, "counts")(features)  # [B, P]
        elif self.form == "expectation":
            bins = jnp.arange(self.lowest, self.highest + 1, dtype=jnp.float32)
            logits = head(self.classes * bins.size, "counts")(features)  # [B, P·bins]
            logits = logits.reshape(-1, self.classes, bins.size)  # [B, P, bins]
            counts = jnp.sum(jax.nn.softmax(logits) * bins, axis=-1)  # [B, P]
        else:
            raise ValueError(f"head form {self.form!r} must be one of {FORMS}")
        classes = jax.nn.softmax(head(self.classes, "classes")(features))  # [B, P]
        return RepetitionOutput(
            count=jnp.sum(counts * classes, axis=-1), counts=counts, classes=classes
        )


def fusion_head() -> RepetitionHead:
    """Counts by both streams' features, sight before sound, in place of Eq. 10 (Table 9)."""
    return RepetitionHead(FUSION_CLASSES)
