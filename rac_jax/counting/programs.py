"""Traced programs kept beside the compiled ones, so that a warm process does not trace again.

Compiled code comes back from JAX's own cache, but only after Python has traced the model once
more to find its key; for a small model that takes longer than to run it. A kept program is the
traced function as `jax.export` writes it.
"""

import functools
import hashlib
import json
import logging
import os
import pathlib
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import flax
import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp

import rac_jax
from rac_jax.models import registry
from rac_jax.ops import compiling

LOG = logging.getLogger(__name__)
SOURCES = ("models", "ops")  # what a traced model depends on


@functools.cache
def _code() -> str:
    """A digest of the package's own sources and of the versions that trace them."""
    digest = hashlib.sha256(f"{jax.__version__} {flax.__version__}".encode())
    root = pathlib.Path(rac_jax.__file__).parent
    for folder in SOURCES:
        for path in sorted((root / folder).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _kept_file(*identity: Any) -> pathlib.Path | None:
    """Where something is kept; None while there is no compilation cache."""
    folder = jax.config.jax_compilation_cache_dir
    if not folder:
        return None
    text = " ".join([_code(), *map(repr, identity)])
    name = hashlib.sha256(text.encode()).hexdigest()
    return pathlib.Path(folder) / "programs" / name


def _keep(path: pathlib.Path, content: bytes) -> None:
    """Writes a file whole; a folder that cannot be written to only costs time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent)
        with open(handle, "wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
        os.replace(draft, path)
    except OSError as error:
        LOG.debug("not kept: %s", error)


def _kept(path: pathlib.Path) -> bytes | None:
    """What `_keep` wrote; None if there is nothing, or something else."""
    try:
        found = path.read_bytes()
    except OSError:
        return None
    digest, content = found[:32], found[32:]
    return content if hashlib.sha256(content).digest() == digest else None


def abstract_variables(module: nn.Module) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and types of a model's variables by path, see `registry.abstract_variables`."""
    path = _kept_file("variables", module)
    kept = path and _kept(path)
    if kept is not None:
        return {
            name: jax.ShapeDtypeStruct(shape, jnp.dtype(dtype))
            for name, (shape, dtype) in json.loads(kept).items()
        }
    nested = registry.abstract_variables(module)
    found = flax.traverse_util.flatten_dict(nested, sep="/")
    if path is not None:
        plain = {name: (leaf.shape, str(leaf.dtype)) for name, leaf in found.items()}
        _keep(path, json.dumps(plain).encode())
    return found


class Program:
    """A model's method as a jitted function of (variables, *arrays).

    Args:
      module: the Flax module.
      method: its name; the result must be a flat dataclass.
      result: that dataclass.
    """

    def __init__(self, module: nn.Module, method: str, result: type):
        self._module, self._method, self._result = module, method, result
        self._runs: dict[Any, Callable] = {}
        self._building = threading.Lock()  # two files may be counted at once

    def __call__(self, variables: Any, *arrays: Any) -> Any:
        shapes = [(x.shape, x.dtype) for x in jax.tree.leaves(arrays)]
        key = (*shapes, jax.tree.structure(arrays))
        with self._building:
            if key not in self._runs:
                self._runs[key] = self._build(variables, *arrays)
        return self._result(**self._runs[key](variables, *arrays))

    def _build(self, *arguments: Any) -> Callable:
        specs = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), arguments
        )

        def run(variables, *arrays):
            out = self._module.apply(variables, *arrays, method=self._method)
            return dict(vars(out))

        device = jax.devices()[0]
        path = _kept_file(self._module, self._method, specs, device.device_kind)
        if path is None:
            return compiling.jit(run)
        kept = _kept(path)
        if kept is not None:
            return compiling.jit(jax.export.deserialize(kept).call)
        # The compiled code is found again by what is kept, so run that from the first time on.
        exported = jax.export.export(jax.jit(run))(*specs)
        _keep(path, exported.serialize())
        return compiling.jit(exported.call)
