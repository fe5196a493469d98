"""A released model's folder and its `config.json`, found and checked without JAX.

See `rac_jax.counting.weights` for what is in them. Models that ship with the package lie in
`rac_jax/weights`.
"""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

SHIPPED = pathlib.Path(__file__).parent.parent / "weights"
CONFIG_FILE = "config.json"
REQUIRED = {"name": str, "family": str, "arguments": dict, "preprocessing": dict}
KINDS = {str: "text", dict: "an object"}


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
    except (ValueError, RecursionError) as error:
        raise failure(f"{path}: not valid JSON ({error})") from error


def read_config(model: str | os.PathLike) -> dict[str, Any]:
    """Reads and checks a model's `config.json`.

    Raises:
      ModelError: if it is missing, is not JSON, or lacks a field or has another type there.
    """
    path = find_model(model) / CONFIG_FILE
    config = read_json_file(path, ModelError)
    check_config(path, config)
    return config


def check_config(path: pathlib.Path, config: Any) -> None:
    """Checks what every model's `config.json` has.

    Raises:
      ModelError: for a field that is missing or of another type; names the file and the field.
    """
    if not isinstance(config, dict):
        raise ModelError(f"{path}: must hold an object, not {type(config).__name__}")
    missing = [field for field in REQUIRED if field not in config]
    if missing:
        raise ModelError(f"{path}: lacks {', '.join(missing)}")
    for field, kind in REQUIRED.items():
        if not isinstance(config[field], kind):
            raise ModelError(
                f"{path}: {field} must be {KINDS[kind]}, not {config[field]!r:.60}"
            )


@contextlib.contextmanager
def naming_config(model: str | os.PathLike) -> Iterator[None]:
    """What a family finds wrong with the values in `config.json` names the file.

    Raises:
      ModelError: in place of the errors that values of a wrong type or size lead to.
    """
    try:
        yield
    except ModelError:
        raise
    except KeyError as error:
        path = find_model(model) / CONFIG_FILE
        raise ModelError(f"{path}: lacks {error.args[0]!r}") from error
    except (
        TypeError,
        ValueError,
        AttributeError,
        LookupError,
        ArithmeticError,
    ) as error:
        path = find_model(model) / CONFIG_FILE
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{path}: holds a value that cannot be ({line})") from error
