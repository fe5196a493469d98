"""Compiled programs kept on disk, so that a warm process neither traces nor compiles again.

JAX's own cache saves compiling alone: Python has to trace and lower a model again to find its
key, and for a small model that takes longer than to run it. The key of a kept program is what
it is made from: the package's sources, the versions, the shapes and the machine. Like JAX's,
the folder is its owner's own: what lies in it is run.
"""

import functools
import hashlib
import json
import logging
import os
import pathlib
import pickle
import platform
import tempfile
import threading
import uuid
from collections.abc import Callable
from typing import Any

import flax
import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from jax.experimental import serialize_executable

import rac_jax
from rac_jax.models import registry
from rac_jax.ops import compiling

LOG = logging.getLogger(__name__)
SOURCES = ("counting", "models", "ops")  # what programs are traced from


@functools.cache
def _code() -> str:
    """A digest of the package's own sources and of the versions that trace them."""
    versions = f"{jax.__version__} {jaxlib.__version__} {flax.__version__}"
    digest = hashlib.sha256(versions.encode())
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


@functools.cache
def _processor() -> str:
    """The host's processor: code that is compiled for one may not run on another."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    # "flags" on x86, "Features" on Arm.
    known = [line for line in lines if line.lower().startswith(("flags", "features"))]
    return known[0] if known else f"{platform.machine()} {platform.processor()}"


def _target(device: jax.Device) -> tuple:
    """What compiled code depends on, beside the function."""
    return (
        _processor(),
        os.cpu_count(),
        device.device_kind,
        device.client.platform_version,
        os.environ.get("XLA_FLAGS", ""),
        jax.config.jax_default_matmul_precision,
        jax.config.jax_enable_x64,
    )


def _write(program: jax.stages.Compiled) -> bytes | None:
    """A program as bytes; None where its backend or its arguments do not allow for it."""
    try:
        return pickle.dumps(serialize_executable.serialize(program))
    except Exception as error:  # noqa: BLE001, backends differ in what they raise
        LOG.debug("not kept: %s", error)
        return None


def _load(content: bytes, device: jax.Device, arguments: tuple) -> tuple | None:
    """What `_write` wrote, and what it makes of the arguments; None where it does not run."""
    try:
        program = serialize_executable.deserialize_and_load(
            *pickle.loads(content), execution_devices=[device]
        )
        return program, jax.block_until_ready(program(*arguments))
    except Exception as error:  # noqa: BLE001, backends differ in what they raise
        LOG.debug("does not run: %s", error)
        return None


class Kept:
    """A pure function as compiled programs, one for each set of shapes.

    They run on the default device, and outlive the process where there is a compilation cache.

    Args:
      function: of pytrees of arrays, returning one.
      *identity: what tells it from every other function; things whose `repr` says all.

    Attributes:
      programs: by structure, shapes and types of the arguments.
    """

    def __init__(self, function: Callable, *identity: Any):
        self._function, self._identity = function, identity
        self.programs: dict[Any, Callable] = {}
        self._building = threading.Lock()  # two files may be counted at once

    def __call__(self, *arguments: Any) -> Any:
        leaves, structure = jax.tree.flatten(arguments)
        key = (structure, *((leaf.shape, leaf.dtype) for leaf in leaves))
        with self._building:
            if key not in self.programs:
                self.programs[key], first = self._build(arguments)
                return first
        return self.programs[key](*arguments)

    def _build(self, arguments: tuple) -> tuple[jax.stages.Compiled, Any]:
        """A program, and what it makes of the arguments."""
        specs = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), arguments
        )
        (device,) = jax.device_put(np.zeros(())).devices()  # the default one
        path = _kept_file(*self._identity, specs, _target(device))
        kept = path and _kept(path)
        found = kept and _load(kept, device, arguments)
        if found:
            return found
        program = self._compile(specs)
        content = path and _write(program)
        tried = content and _load(content, device, arguments)
        if tried:
            _keep(path, content)
            return tried
        return program, program(*arguments)

    def _compile(self, specs: tuple) -> jax.stages.Compiled:
        def run(*arguments):
            return self._function(*arguments)

        # XLA:CPU writes a program that came from JAX's cache without some of its functions, so
        # this one gets a name under which it cannot be there.
        run.__name__ = f"kept_{uuid.uuid4().hex}"
        return compiling.jit(run).lower(*specs).compile()
