"""Building networks from plain arguments, and their first variables without running them."""

import dataclasses
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.encoders.layers import HEAD_SCALE, TABLE_SCALE


def build(
    kind: type[nn.Module],
    owner: str,
    arguments: Mapping[str, Any],
    renamed: Mapping[str, str] | None = None,
) -> nn.Module:
    """Builds a module from the arguments that a `config.json` keeps.

    Args:
      kind: the module's class.
      owner: name of the family or the encoder, for messages.
      arguments: by public name; lists become tuples.
      renamed: public name to field, where the class has a method of the public name.

    Returns:
      The module.

    Raises:
      TypeError: for an argument that the class does not have; known ones are listed.
      ValueError: for a value that the class does not know.
    """
    names = {
        field.name: field.name
        for field in dataclasses.fields(kind)
        if field.name not in ("parent", "name")
    }
    for public, field in (renamed or {}).items():
        del names[field]
        names[public] = field
    unknown = sorted(set(arguments) - set(names))
    if unknown:
        known = ", ".join(sorted(names))
        raise TypeError(f"{owner} has no argument {unknown[0]!r}, known: {known}")
    return kind(
        **{
            names[name]: tuple(value) if isinstance(value, list) else value
            for name, value in arguments.items()
        }
    )


def draw_variables(
    shapes: Mapping[str, Any],
    key: jax.Array,
    scale_of: Callable[[tuple[str, ...], tuple[int, ...]], float | None] | None = None,
) -> dict[str, Any]:
    """Draws first variables as `init` would, without compiling it.

    `init` of an S3D takes 25 s on two CPU cores. Here every leaf is drawn by numpy from the key
    and its own path, so a leaf does not change when another one is added.

    Args:
      shapes: {"params", "batch_stats"} of `jax.ShapeDtypeStruct`; leaves are named kernel,
        bias, scale, mean and var, or end in "_table".
      key: a typed PRNG key; not to be traced.
      scale_of: (path, shape) of a kernel to the standard deviation of its first weights, None
        for the usual one; None for the usual ones.

    Returns:
      {"params", "batch_stats"}: nested dicts of float32 arrays. Convolution kernels are normal
      with variance 2 / (taps · out), matrices with 0.01² as those of heads, tables with 0.02²;
      scales and running variances are 1, biases and running means 0.

    Raises:
      ValueError: for a leaf of another name.
    """
    words = np.asarray(jax.random.key_data(key)).ravel().tolist()

    def draw(path, leaf):
        name = path[-1].key
        if name in ("scale", "var"):
            return jnp.ones(leaf.shape, leaf.dtype)
        if name in ("bias", "mean"):
            return jnp.zeros(leaf.shape, leaf.dtype)
        if name != "kernel" and not name.endswith("_table"):
            raise ValueError(f"no initialiser for {jax.tree_util.keystr(path)}")
        place = tuple(part.key for part in path)
        chosen = scale_of and name == "kernel" and scale_of(place, leaf.shape)
        if chosen:
            scale = chosen
        elif name != "kernel":
            scale = TABLE_SCALE
        elif len(leaf.shape) == 2:
            scale = HEAD_SCALE
        else:
            *taps, _, channels = leaf.shape
            scale = np.sqrt(2 / (np.prod(taps) * channels))
        number = zlib.crc32("/".join(place).encode())
        rng = np.random.default_rng([*words, number])
        normal = rng.standard_normal(leaf.shape, np.float32)
        return jnp.asarray(np.float32(scale) * normal, leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, dict(shapes))
