"""Compiled programs on disk, so that a warm process neither traces nor compiles again.

JAX's own cache saves compiling alone: Python has to trace and lower a model again to find its
key, and for a small model that takes longer than to run it. The key of a program here is what
it is made from: the sources, the versions, the shapes and the machine. Like JAX's, the folder
is its owner's own: what lies in it is run.
"""

import functools
import hashlib
import importlib.util
import json
import logging
import os
import pathlib
import pickle
import platform
import stat
import tempfile
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import flax
import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from jax.experimental import serialize_executable

from rac_jax.ops import compiling

LOG = logging.getLogger(__name__)
OURS = __name__.partition(".")[0]


@functools.cache
def _code(package: str) -> str:
    """A digest of a package's sources and of the versions that trace them."""
    versions = f"{jax.__version__} {jaxlib.__version__} {flax.__version__}"
    digest = hashlib.sha256(versions.encode())
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations or () if spec else ()
    paths = [path for folder in folders for path in pathlib.Path(folder).rglob("*.py")]
    if not paths and spec and spec.origin:
        paths = [pathlib.Path(spec.origin)]
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources(identity: tuple) -> str:
    """A digest of the sources of ours, and of the packages that the networks come from."""
    networks = [one for one in identity if isinstance(one, nn.Module)]
    packages = {type(one).__module__.partition(".")[0] for one in networks}
    return " ".join(_code(package) for package in sorted({OURS, *packages}))


def _cache_file(*identity: Any) -> pathlib.Path | None:
    """Where something is cached; None while there is no compilation cache."""
    folder = jax.config.jax_compilation_cache_dir
    if not folder:
        return None
    text = " ".join([_sources(identity), *map(repr, identity)])
    name = hashlib.sha256(text.encode()).hexdigest()
    return pathlib.Path(folder) / "programs" / name


def _store(path: pathlib.Path, content: bytes) -> None:
    """Writes a file whole; a folder that cannot be written to only costs time."""
    try:
        for folder in (path.parent.parent, path.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What would not be read is not written either.
        if not _is_private(path.parent.parent, path.parent):
            return
        handle, draft = tempfile.mkstemp(dir=path.parent)
        with open(handle, "wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
        os.replace(draft, path)
    except OSError as error:
        LOG.debug("not cached: %s", error)


def _is_private(*places: pathlib.Path) -> bool:
    """Whether only this user can have written there: reading a program runs code.

    Raises:
      OSError: if a place is not there.
    """
    if os.name == "nt":
        # A user's folders are his own.
        return True
    for place in places:
        about = place.stat()
        others = about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if about.st_uid != os.geteuid() or others:
            LOG.debug("not used: %s is not this user's alone", place)
            return False
    return True


def _stored(path: pathlib.Path) -> bytes | None:
    """What `_store` wrote; None if there is nothing, or something else."""
    try:
        if not _is_private(path.parent.parent, path.parent, path):
            return None
        found = path.read_bytes()
    except OSError:
        return None
    digest, content = found[:32], found[32:]
    return content if hashlib.sha256(content).digest() == digest else None


def abstract_variables(
    network: nn.Module, inputs: Sequence[jax.ShapeDtypeStruct]
) -> dict[str, Any]:
    """Shapes and types of a network's variables, computing nothing.

    Args:
      network: the module.
      inputs: of its `init`.

    Returns:
      {"params", "batch_stats"}: nested dicts of `jax.ShapeDtypeStruct`.
    """
    path = _cache_file("variables", network, tuple(inputs))
    known = path and _stored(path)
    if known is not None:
        flat = {
            name: jax.ShapeDtypeStruct(shape, jnp.dtype(dtype))
            for name, (shape, dtype) in json.loads(known).items()
        }
    else:
        nested = jax.eval_shape(network.init, jax.random.key(0), *inputs)
        flat = flax.traverse_util.flatten_dict(dict(nested), sep="/")
        if path is not None:
            plain = {name: (leaf.shape, str(leaf.dtype)) for name, leaf in flat.items()}
            _store(path, json.dumps(plain).encode())
    nested = flax.traverse_util.unflatten_dict(flat, sep="/")
    return {"params": {}, "batch_stats": {}} | nested


def array_shapes(
    network: nn.Module, inputs: Sequence[jax.ShapeDtypeStruct]
) -> dict[str, tuple[int, ...]]:
    """Shapes of a network's arrays by path, "params/..." and "batch_stats/...".

    Args:
      network, inputs: as in `abstract_variables`.
    """
    flat = flax.traverse_util.flatten_dict(abstract_variables(network, inputs), sep="/")
    return {path: leaf.shape for path, leaf in flat.items()}


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
        LOG.debug("not cached: %s", error)
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


class _Shared:
    """The programs of one identity in this process."""

    def __init__(self):
        self.programs: dict[Any, Callable] = {}
        self.building = threading.Lock()  # two files may be counted at once


_SHARED: dict[str, _Shared] = {}


class CompiledProgram:
    """A pure function as compiled programs, one for each set of shapes.

    They run on the default device, are shared by all of equal identity in this process, so
    that a second counter of the same network compiles nothing, and outlive the process where
    there is a compilation cache.

    Args:
      function: of pytrees of arrays, returning one.
      *identity: what tells it from every other function; things whose `repr` says all.

    Attributes:
      programs: by structure, shapes and types of the arguments.
    """

    def __init__(self, function: Callable, *identity: Any):
        self._function, self._identity = function, identity
        shared = _SHARED.setdefault(" ".join(map(repr, identity)), _Shared())
        self.programs, self._building = shared.programs, shared.building

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
        path = _cache_file(*self._identity, specs, _target(device))
        known = path and _stored(path)
        found = known and _load(known, device, arguments)
        if found:
            return found
        program = self._compile(specs)
        content = path and _write(program)
        tried = content and _load(content, device, arguments)
        if tried:
            _store(path, content)
            return tried
        return program, program(*arguments)

    def _compile(self, specs: tuple) -> jax.stages.Compiled:
        def run(*arguments):
            return self._function(*arguments)

        # XLA:CPU writes a program that came from JAX's cache without some of its functions, so
        # this one gets a name under which it cannot be there.
        run.__name__ = f"program_{uuid.uuid4().hex}"
        return compiling.jit(run).lower(*specs).compile()
