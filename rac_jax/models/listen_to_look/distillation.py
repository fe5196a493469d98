"""What IMGAUD2VID learns by: the teacher's descriptor, and its softened scores.

Listen to Look, section 3.1: L1 between the descriptors plus λ times the divergence of softened
class scores; the main paper has λ = 100. It names no temperature: 2 is ours.
"""

import jax
import jax.numpy as jnp
import optax

WEIGHT = 100.0  # λ
TEMPERATURE = 2.0

# Supplement, section C.
LEARNING_RATE = 1e-3
EPOCHS = 60
DECAY_EPOCHS = (30, 50)
DECAY = 0.1
MOMENTUM = 0.9
WEIGHT_DECAY = 1e-4


def descriptor_loss(student: jax.Array, teacher: jax.Array) -> jax.Array:
    """The L1 distance of descriptors [B, C] to [B, C]: the sum over C, [B].

    Raises:
      ValueError: if the shapes differ.
    """
    _same("descriptors", student, teacher)
    return jnp.sum(jnp.abs(student - teacher), axis=-1)


def score_loss(
    student: jax.Array, teacher: jax.Array, temperature: float = TEMPERATURE
) -> jax.Array:
    """The divergence KL(teacher ‖ student) of softmax(logits / temperature).

    Args:
      student: [B, P] logits.
      teacher: [B, P] logits, constant.
      temperature: above 0; 1 does not soften.

    Returns:
      [B], at least 0.

    Raises:
      ValueError: if the shapes differ or the temperature is not above 0.
    """
    _same("logits", student, teacher)
    if not temperature > 0:
        raise ValueError(f"temperature: must be above 0, not {temperature}")
    wanted = jax.nn.log_softmax(teacher / temperature)
    found = jax.nn.log_softmax(student / temperature)
    return jnp.sum(jnp.exp(wanted) * (wanted - found), axis=-1)


def distillation_loss(
    descriptors: tuple[jax.Array, jax.Array],
    logits: tuple[jax.Array, jax.Array],
    weight: float = WEIGHT,
    temperature: float = TEMPERATURE,
) -> jax.Array:
    """L1 of the descriptors plus `weight` times the divergence of the scores.

    Args:
      descriptors: [B, C] of the student and of the teacher.
      logits: [B, P] of the student and of the teacher.
      weight: λ.
      temperature: of the scores.

    Returns:
      [B].
    """
    # The teacher does not learn.
    learnt, given = (jax.lax.stop_gradient(pair[1]) for pair in (descriptors, logits))
    return descriptor_loss(descriptors[0], learnt) + weight * score_loss(
        logits[0], given, temperature
    )


def optimiser(steps_per_epoch: int) -> optax.GradientTransformation:
    """SGD as in the supplement: 1e-3, a tenth of it after epochs 30 and 50 of 60."""
    return falling_sgd(LEARNING_RATE, DECAY_EPOCHS, steps_per_epoch)


def falling_sgd(
    rate: float, decay_epochs: tuple[int, ...], steps_per_epoch: int
) -> optax.GradientTransformation:
    """SGD with Nesterov momentum 0.9, weight decay 1e-4 and a rate that falls by ten.

    Args:
      rate: at first.
      decay_epochs: after which it falls.
      steps_per_epoch: at least 1.
    """
    schedule = optax.piecewise_constant_schedule(
        rate, {epoch * steps_per_epoch: DECAY for epoch in decay_epochs}
    )
    return optax.chain(
        optax.add_decayed_weights(WEIGHT_DECAY),
        optax.sgd(schedule, momentum=MOMENTUM, nesterov=True),
    )


def _same(name: str, student: jax.Array, teacher: jax.Array) -> None:
    if student.shape != teacher.shape:
        raise ValueError(
            f"{name}: the student's are {list(student.shape)}, "
            f"the teacher's {list(teacher.shape)}"
        )
