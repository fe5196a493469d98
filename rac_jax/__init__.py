"""Repetitive activity counting in video, by sight and sound, in JAX/Flax.

Importing the package opens no file, touches no device and imports neither JAX nor PyAV;
the names below are resolved on first use.
"""

import importlib

from rac_jax.version import __version__

_PUBLIC = {
    "CountResult": "rac_jax.counting.result",
    "MediaError": "rac_jax.media",
    "to_table": "rac_jax.view",
    "load": "rac_jax.models.loading",
}

__all__ = ["CountResult", "MediaError", "__version__", "load", "to_table"]


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'rac_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
