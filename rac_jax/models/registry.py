"""Model families by name, and variables without running a model."""

import dataclasses
import zlib
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.encoders.layers import HEAD_SCALE
from rac_jax.encoders.r2plus1d import R2Plus1D18
from rac_jax.encoders.resnet import ResNet18
from rac_jax.encoders.s3d import S3D
from rac_jax.models.compact import network as compact
from rac_jax.models.sight_sound.network import SightSound

FAMILIES: dict[str, type[nn.Module]] = {
    "sight_sound": SightSound,
    "s3d": S3D,
    "r2plus1d18": R2Plus1D18,
    "resnet18": ResNet18,
    "compact": compact.Compact,
}
# Arguments whose name a method of the family has already: public name to field.
RENAMED = {"sight_sound": {"reliability": "reliability_form"}}

# The smallest inputs of each family; variables do not depend on the size.
_CLIPS = (1, 8, 32, 32, 3)
_INPUTS = {
    SightSound: (_CLIPS, (1, 32, 32)),
    S3D: (_CLIPS,),
    R2Plus1D18: (_CLIPS,),
    ResNet18: ((1, 32, 32, 1),),
    compact.Compact: (
        (1, 64, 32, 32),
        (1, 64, 4, 32),
        (1, 1, compact.GRID_BINS, 2 * len(compact.STRIDES)),
        (1, 1, compact.GRID_BINS, 2 * len(compact.STRIDES)),
    ),
}


def build_model(family: str, **arguments: Any) -> nn.Module:
    """Builds a model.

    Args:
      family: a key of `FAMILIES`.
      **arguments: of the family's class, as `config.json` keeps them; lists become tuples.

    Returns:
      The module.

    Raises:
      ValueError: for an unknown family or a value that the family does not know.
      TypeError: for an argument that the family does not have; known ones are listed.
    """
    if family not in FAMILIES:
        raise ValueError(
            f"unknown model family {family!r}, known: {', '.join(sorted(FAMILIES))}"
        )
    names = {
        field.name: field.name
        for field in dataclasses.fields(FAMILIES[family])
        if field.name not in ("parent", "name")
    }
    for public, field in RENAMED.get(family, {}).items():
        del names[field]
        names[public] = field
    unknown = sorted(set(arguments) - set(names))
    if unknown:
        raise TypeError(
            f"{family} has no argument {unknown[0]!r}, known: {', '.join(sorted(names))}"
        )
    return FAMILIES[family](
        **{
            names[name]: tuple(value) if isinstance(value, list) else value
            for name, value in arguments.items()
        }
    )


def abstract_variables(module: nn.Module) -> dict[str, Any]:
    """Shapes and types of a model's variables, computing nothing.

    Args:
      module: a module of one of the `FAMILIES`.

    Returns:
      {"params", "batch_stats"}: nested dicts of `jax.ShapeDtypeStruct`.
    """
    inputs = [
        jax.ShapeDtypeStruct(shape, jnp.float32) for shape in _INPUTS[type(module)]
    ]
    return jax.eval_shape(module.init, jax.random.key(0), *inputs)


def init_variables(module: nn.Module, key: jax.Array) -> dict[str, Any]:
    """Draws a model's first variables as its `init` would, without compiling it.

    `init` of an S3D takes 25 s on two CPU cores. Here every leaf is drawn by numpy from the key
    and its own path, so a leaf does not change when another one is added.

    Args:
      module: a module of one of the `FAMILIES`.
      key: a typed PRNG key; not to be traced.

    Returns:
      {"params", "batch_stats"}: nested dicts of float32 arrays. Convolution kernels are normal
      with variance 2 / (taps · out), kernels of heads with 0.01²; scales and running variances
      are 1, biases and running means 0.
    """
    if isinstance(module, compact.Compact):  # its own init compiles in a moment
        inputs = [jnp.zeros(shape) for shape in _INPUTS[compact.Compact]]
        variables = jax.device_get(jax.jit(module.init)(key, *inputs))
        return {"batch_stats": {}} | variables  # pixels and sound keep none
    words = np.asarray(jax.random.key_data(key)).ravel().tolist()

    def draw(path, leaf):
        name = path[-1].key
        if name in ("scale", "var"):
            return jnp.ones(leaf.shape, leaf.dtype)
        if name in ("bias", "mean"):
            return jnp.zeros(leaf.shape, leaf.dtype)
        if name != "kernel":
            raise ValueError(f"no initialiser for {jax.tree_util.keystr(path)}")
        if len(leaf.shape) == 2:
            scale = HEAD_SCALE
        else:
            *taps, _, channels = leaf.shape
            scale = np.sqrt(2 / (np.prod(taps) * channels))
        place = zlib.crc32("/".join(part.key for part in path).encode())
        rng = np.random.default_rng([*words, place])
        normal = rng.standard_normal(leaf.shape, np.float32)
        return jnp.asarray(np.float32(scale) * normal, leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, abstract_variables(module))
