"""RepNet's two losses (section 3.2): the period where there is one, and whether there is one.

The classes are whole periods. A period between two of them is both in proportion, so that the
network can say it; the authors' code, which was never released for training, may round.
"""

import flax.struct
import jax
import jax.numpy as jnp
import optax

from rac_jax.models.repnet.network import RepNetOutput
from rac_jax.train.metrics import Mean, mean

SHORTEST = 2.0  # frames of a window; of shorter periods nothing can be seen
# Periods so near the longest class are neither periodic nor not.
UNSURE = 1.12


@flax.struct.dataclass
class PeriodTargets:
    """What the losses compare with; masks are false where nothing is learned."""

    periods: jax.Array  # [B, N, P] shares of the classes
    period_mask: jax.Array  # [B, N] bool
    periodicity: jax.Array  # [B, N] 0 or 1
    periodicity_mask: jax.Array  # [B, N] bool


def period_targets(
    rate: jax.Array, periodic: jax.Array, classes: int, first_period: int
) -> PeriodTargets:
    """Targets of windows.

    Args:
      rate: [B, N] repetitions per frame.
      periodic: [B, N] bool.
      classes: P.
      first_period: what the first of them stands for.

    Returns:
      The targets. A motion that is too slow or too fast for the classes is not periodic here:
      another stride has it.
    """
    longest = classes - 1 + first_period
    period = 1 / jnp.maximum(rate, 1e-4)  # [B, N]
    told = periodic & (period >= SHORTEST) & (period <= longest)
    beyond = (period > longest) & (period < UNSURE * longest)
    close = (period < SHORTEST) & (period > SHORTEST / UNSURE)
    place = jnp.clip(period - first_period, 0, classes - 1)
    known = jnp.arange(classes, dtype=jnp.float32).reshape(1, 1, -1)
    shares = jnp.maximum(0.0, 1 - jnp.abs(place[..., None] - known))
    unsure = periodic & (beyond | close)
    return PeriodTargets(shares, told, told.astype(jnp.float32), ~unsure)


def repnet_loss(
    output: RepNetOutput, targets: PeriodTargets, mask: jax.Array, periodicity: float
) -> tuple[jax.Array, dict[str, Mean]]:
    """Cross entropy of the period and of the periodicity.

    Args:
      output: of the network.
      targets: the truth.
      mask: bool [B], false for windows that are not learned from.
      periodicity: weight of the second term.

    Returns:
      (loss, {"period", "periodicity"}), means over frames.
    """
    cross = optax.softmax_cross_entropy(output.periods, targets.periods)  # [B, N]
    binary = optax.sigmoid_binary_cross_entropy(output.periodicity, targets.periodicity)
    rows = mask[:, None]
    terms = {
        "period": mean(cross, rows & targets.period_mask),
        "periodicity": mean(binary, rows & targets.periodicity_mask),
    }
    values = {
        name: one.total / jnp.maximum(one.weight, 1.0) for name, one in terms.items()
    }
    return values["period"] + periodicity * values["periodicity"], terms
