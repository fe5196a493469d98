"""From a file, a stream or arrays to a `CountResult`."""

import importlib

_PUBLIC = {
    "Counter": "rac_jax.counting.counter",
    "Family": "rac_jax.counting.family",
    "TrainableFamily": "rac_jax.counting.family",
    "CountResult": "rac_jax.counting.result",
    "ModelError": "rac_jax.counting.model_config",
    "enable_compilation_cache": "rac_jax.counting.cache",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'rac_jax.counting' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
