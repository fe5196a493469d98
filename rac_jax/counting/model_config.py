"""A released model's folder and its `config.json`, found and checked without JAX.

See `rac_jax.counting.weights` for what is in them. Models that ship with the package lie in
`rac_jax/weights`.
"""

import json
import os
import pathlib
from typing import Any

SHIPPED = pathlib.Path(__file__).parent.parent / "weights"
CONFIG_FILE = "config.json"
REQUIRED = ("name", "family", "arguments", "preprocessing")


class ModelError(ValueError):
    """A model that cannot be found or loaded: one line with the file and the reason."""


def shipped_models() -> list[str]:
    """Names of the models that ship with the package."""
    return sorted(folder.parent.name for folder in SHIPPED.glob(f"*/{CONFIG_FILE}"))


def find_model(model: str | os.PathLike) -> pathlib.Path:
    """The folder of a model given by the name of a shipped one or by its folder.

    Raises:
      ModelError: if there is no such model; the message lists the names there are.
    """
    if str(model) in shipped_models():
        return SHIPPED / str(model)
    folder = pathlib.Path(model)
    if folder.is_dir():
        return folder
    known = ", ".join(shipped_models())
    raise ModelError(
        f"{model}: no such model folder, and no shipped model of that name ({known})"
    )


def read_json_file(path: pathlib.Path, failure: type[ValueError]) -> Any:
    """What a JSON file holds.

    Raises:
      failure: if it is missing or is not JSON; one line with the file and the reason.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise failure(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise failure(f"{path}: not valid JSON ({error})") from error


def read_config(model: str | os.PathLike) -> dict[str, Any]:
    """Reads and checks a model's `config.json`.

    Raises:
      ModelError: if it is missing, is not JSON, or lacks a field.
    """
    path = find_model(model) / CONFIG_FILE
    config = read_json_file(path, ModelError)
    missing = [field for field in REQUIRED if field not in config]
    if missing:
        raise ModelError(f"{path}: lacks {', '.join(missing)}")
    return config
