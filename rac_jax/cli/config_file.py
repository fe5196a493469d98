"""Experiment configs: Python files with a `get_config`."""

import importlib.util
import pathlib
from typing import Any


def load_config(path: pathlib.Path) -> Any:
    """Runs a config file's `get_config`.

    Raises:
      OSError: if it cannot be read.
      ValueError: if it has no `get_config`.
    """
    spec = importlib.util.spec_from_file_location("config", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path}: is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise ValueError(f"{path}: has no get_config()")
    return module.get_config()
