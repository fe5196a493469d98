"""PyTorch checkpoint files: tensors only, never unpickled objects; written whole or not at all.

PyTorch is imported when a file is read or written, and only then.
"""

import os
import pathlib
import pickle
import shutil
import struct
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np

LEAD = "module."  # what PyTorch's data parallelism puts before every name


class ConversionError(ValueError):
    """A file that cannot be read or written: one line with the file and the reason."""


def _torch():
    try:
        import torch
    except ImportError as error:
        raise ConversionError(
            'PyTorch checkpoints need PyTorch: pip install "rac_jax[bench]"'
        ) from error
    return torch


def read_checkpoint(path: str | os.PathLike) -> Any:
    """Reads a checkpoint on the CPU: nested dicts of tensors and plain values.

    Args:
      path: of the file.

    Returns:
      What the file holds.

    Raises:
      ConversionError: if it is missing, damaged, or holds more than tensors and plain values.
    """
    torch = _torch()
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ConversionError(f"{path}: {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        raise ConversionError(
            f"{path}: not a PyTorch checkpoint of tensors alone, so it is not loaded"
        ) from error
    # Damaged pickles and tables of the older format fail wherever the reader happens to be.
    except (
        *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError),
        *(MemoryError, RuntimeError, struct.error, TypeError, ValueError),
    ) as error:
        raise ConversionError(f"{path}: not a readable PyTorch checkpoint") from error


def state_dict(
    path: str | os.PathLike, checkpoint: Any, keys: tuple[str | None, ...]
) -> dict[str, np.ndarray]:
    """Takes a state dict out of a checkpoint.

    Args:
      path: of the file, for messages.
      checkpoint: what `read_checkpoint` gave.
      keys: under which it may lie, in order of preference; None for the checkpoint itself.

    Returns:
      Arrays by name, without a leading "module."; floating point ones are float32.

    Raises:
      ConversionError: if it is not there, or holds something else than tensors.
    """
    torch = _torch()
    if not isinstance(checkpoint, Mapping):
        raise ConversionError(
            f"{path}: holds a {type(checkpoint).__name__}, not a dictionary"
        )
    for key in keys:
        state = checkpoint if key is None else checkpoint.get(key)
        if isinstance(state, Mapping):
            break
    else:
        wanted = " or ".join(repr(key) for key in keys)
        held = ", ".join(map(str, checkpoint)) or "nothing"
        raise ConversionError(f"{path}: has no dictionary {wanted}, it holds {held}")
    arrays = {}
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor):
            raise ConversionError(
                f"{path}: {name} is a {type(tensor).__name__}, not a tensor"
            )
        if (kind := _unusual(torch, tensor)) is not None:
            raise ConversionError(f"{path}: {name} is {kind}, not a plain tensor")
        if tensor.is_floating_point():
            tensor = tensor.to(torch.float32)
        arrays[str(name).removeprefix(LEAD)] = tensor.detach().numpy()
    if len(arrays) < len(state):
        raise ConversionError(f"{path}: holds names both with and without {LEAD!r}")
    return arrays


def read_state_dict(
    path: str | os.PathLike, keys: tuple[str | None, ...] = ("state_dict", None)
) -> dict[str, np.ndarray]:
    """Reads the state dict of a checkpoint's file.

    Args:
      path: of the file.
      keys: as in `state_dict`.

    Returns:
      As `state_dict`.

    Raises:
      ConversionError: if the file cannot be read, or as `state_dict`.
    """
    return state_dict(path, read_checkpoint(path), keys)


def _unusual(torch, tensor) -> str | None:
    """Why a tensor is not made an array: what makes it may ask for any amount of memory."""
    if tensor.is_meta:
        return "without values (device meta)"
    if tensor.is_quantized:
        return "quantised"
    if tensor.layout is not torch.strided:
        return f"sparse ({tensor.layout})"
    # A view that repeats a small storage: a file of a kilobyte can stand for any size.
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return f"expanded to {list(tensor.shape)} from less"
    if tensor.is_complex():
        return "complex"
    return None


def write_checkpoints(
    folder: str | os.PathLike, files: Mapping[str, Any]
) -> list[pathlib.Path]:
    """Writes checkpoints; all of them are complete before the first one appears.

    Args:
      folder: created if needed; files of the same names are replaced, others stay.
      files: what each file holds, by its name: nested dicts of arrays.

    Returns:
      The files' paths.

    Raises:
      ConversionError: if they cannot be written.
    """
    torch = _torch()

    def tensors(value):
        if isinstance(value, Mapping):
            return {name: tensors(part) for name, part in value.items()}
        return torch.from_numpy(np.array(value))

    folder = pathlib.Path(folder)
    draft = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft = pathlib.Path(tempfile.mkdtemp(prefix=".draft-", dir=folder))
        for name, content in files.items():
            with open(draft / name, "wb") as file:
                torch.save(tensors(content), file)
        for name in files:
            os.replace(draft / name, folder / name)
    except OSError as error:
        raise ConversionError(f"{folder}: {error.strerror or error}") from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
    return [folder / name for name in files]
