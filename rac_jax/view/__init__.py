"""Looking at a result: plots, annotated videos, notebooks and tables.

The names below are resolved on first use, so that importing this room imports neither
matplotlib nor PyAV.
"""

import importlib

_PUBLIC = {
    "annotate_video": "rac_jax.view.annotate",
    "plot_result": "rac_jax.view.plot",
    "result_html": "rac_jax.view.notebook",
    "to_table": "rac_jax.view.table",
}

__all__ = ["annotate_video", "plot_result", "result_html", "to_table"]


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'rac_jax.view' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
