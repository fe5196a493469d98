"""First weights of inverted residual blocks on real input, as if they had batch normalisations.

The published networks were trained with batch normalisations and have them folded into their
convolutions. A network that starts without loses them: in a narrow one each layer shrinks what
changes beside what stays, until the features say the same of every frame. So before the first
step every convolution is scaled and shifted to a mean of 0 and a variance of 1 in each of its
channels on some examples (Mishkin and Matas, "All you need is a good init", 2016; per channel as
Salimans and Kingma, "Weight Normalization", 2016), of a variance of `ADDED` where a block adds it
to what came in. That is a batch normalisation of those examples, folded.
"""

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp

from rac_jax.encoders.inverted_residuals import (
    ADDED,
    SEEN,
    Convolution,
    InvertedResidual,
)
from rac_jax.ops import compiling

# First weights of filters that see changes: what moves changes pixels little beside what the
# pictures show.
CHANGES = 4.0
EPSILON = 1e-3  # added to variances: a channel that hardly changes is not blown up


def seeing_changes(kernel: jax.Array) -> jax.Array:
    """First weights of a convolution that sees three frames, half of whose filters see changes.

    Args:
      kernel: [kh, kw, 3 C, O], drawn; the oldest frame's channels are the first ones.

    Returns:
      The same, but every second filter the newest frame less the one before, or less the oldest,
      by turns.
    """
    oldest, middle, newest = jnp.split(kernel, SEEN, axis=2)
    number = jnp.arange(kernel.shape[-1]) % 4
    changes = CHANGES * newest
    oldest = jnp.where(number == 3, -changes, jnp.where(number == 1, 0, oldest))
    middle = jnp.where(number == 1, -changes, jnp.where(number == 3, 0, middle))
    newest = jnp.where(number % 2 == 1, changes, newest)
    return jnp.concatenate([oldest, middle, newest], axis=2)


def standardised(
    network: nn.Module, variables: dict, clips: jax.Array
) -> dict[str, dict]:
    """Variables with which every convolution's result is standardised on these examples.

    Args:
      network: that holds inverted residual blocks; called with the clips alone.
      variables: its {"params", ...}, as drawn.
      clips: what it is shown; all of it is one batch.

    Returns:
      The variables with other kernels and biases of those convolutions, float32.
    """
    found = {}

    def fold(call, args, kwargs, context):
        layer = context.module
        # The layer by itself, which is asked below, has no path.
        if not isinstance(layer, Convolution) or not layer.path:
            return call(*args, **kwargs)
        block = layer.parent
        adds = isinstance(block, InvertedResidual) and block.block.adds
        own = layer.variables["params"]
        linear = layer.clone(relu=False, parent=None)
        y = linear.apply({"params": own}, *args).astype(jnp.float32)  # [B, H, W, O]
        mean, variance = jnp.mean(y, (0, 1, 2)), jnp.var(y, (0, 1, 2))  # [O]
        wanted = ADDED if adds and layer.name == "project" else 1.0
        scale = jnp.sqrt(wanted / (variance + EPSILON))
        found[layer.path] = {
            "kernel": own["kernel"] * scale,
            "bias": (own["bias"] - mean) * scale,
        }
        y = ((y - mean) * scale).astype(layer.dtype)
        return jnp.clip(y, 0, 6) if layer.relu else y

    def run(variables, clips):
        with nn.intercept_methods(fold):
            network.apply(variables, clips)
        return dict(found)

    folded = jax.device_get(compiling.jit(run)(variables, clips))
    flat = flax.traverse_util.flatten_dict(variables["params"])
    for path, leaves in folded.items():
        flat |= {(*path, name): leaf for name, leaf in leaves.items()}
    return variables | {"params": flax.traverse_util.unflatten_dict(flat)}
