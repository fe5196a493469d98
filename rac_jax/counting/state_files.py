"""States of estimators on disk, so that a stream that stopped is counted on.

What a state refers to and does not contain, such as compiled networks, is left out and put back
from the estimator that reads it. Only records of this package, of the family's own and of numpy are
read: a file from elsewhere runs nothing.
"""

import os
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from rac_jax import drafts
from rac_jax.counting.estimator import Estimator
from rac_jax.counting.reading import CausalEstimator

# What numpy's arrays and numbers are made of.
NUMPY = {
    "ndarray",
    "dtype",
    "_reconstruct",
    "scalar",
    "_frombuffer",
    "_array_converter",
}


def _programs(estimator: Estimator) -> Mapping[str, Callable]:
    return estimator.programs if isinstance(estimator, CausalEstimator) else {}


class _Writer(pickle.Pickler):
    def __init__(self, file, programs: Mapping[str, Callable]):
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._names = {id(program): name for name, program in programs.items()}

    def persistent_id(self, value: Any) -> str | None:
        return self._names.get(id(value))

    def reducer_override(self, value: Any) -> Any:
        # Arrays of a device come back as those of the host.
        if isinstance(value, jax.Array):
            return np.asarray(value).__reduce__()
        return NotImplemented


class _Reader(pickle.Unpickler):
    def __init__(self, file, programs: Mapping[str, Callable], packages: set[str]):
        super().__init__(file)
        self._programs, self._packages = programs, packages

    def persistent_load(self, name: str) -> Callable:
        return self._programs[name]

    def find_class(self, module: str, name: str) -> Any:
        package = module.partition(".")[0]
        known = package == "numpy" and name in NUMPY
        if known or (package in self._packages and "." not in name):
            found = super().find_class(module, name)
            if known or isinstance(found, type):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} does not belong into a state")


def save_state(path: str | os.PathLike, state: Any, estimator: Estimator) -> None:
    """Writes a state, whole or not at all.

    Args:
      path: the file.
      state: of `estimator`.
      estimator: that was fed.

    Raises:
      OSError: if it cannot be written.
      ValueError: if the family's states cannot be kept.
    """
    with drafts.draft_file(path) as draft, draft.open("wb") as file:
        try:
            _Writer(file, _programs(estimator)).dump(state)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: this state cannot be kept ({error})") from None


def load_state(path: str | os.PathLike, estimator: Estimator) -> Any:
    """Reads a state that `save_state` wrote.

    Args:
      path: the file.
      estimator: of the same model.

    Returns:
      The state, which goes on as it would have.

    Raises:
      OSError: if it cannot be read.
      ValueError: if it is no state of this estimator.
    """
    packages = {"rac_jax", type(estimator).__module__.partition(".")[0]}
    with open(path, "rb") as file:
        try:
            return _Reader(file, _programs(estimator), packages).load()
        # Damaged bytes raise whatever the record that they become raises.
        except Exception as error:  # noqa: BLE001
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"{path}: is no state of this model ({reason})") from None
