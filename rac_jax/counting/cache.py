"""JAX's persistent compilation cache in the user's cache folder."""

import contextlib
import os
import pathlib

import platformdirs

VARIABLE = "RAC_JAX_CACHE"  # a folder, or "off"


def cache_folder() -> pathlib.Path | None:
    """Where compiled functions are kept, or None when that is switched off.

    The environment variable RAC_JAX_CACHE names a folder or says "off"; otherwise it is `xla` in
    the system's folder for what `rac_jax` caches.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen == "off":
        return None
    if chosen:
        return pathlib.Path(chosen)
    return platformdirs.user_cache_path("rac_jax", appauthor=False) / "xla"


def enable_compilation_cache() -> pathlib.Path | None:
    """Turns the cache on for this process, unless it is switched off.

    Must be called before the first function is compiled.

    Returns:
      The folder, or None when the cache is off or its folder cannot be written to.
    """
    folder = cache_folder()
    if folder is None:
        return None
    # A home that is missing or read-only only costs time. Where a user's new files are open to
    # his group, programs that others could change would be no use: see `programs`.
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        return None
    import jax  # the command line calls this before anything has imported JAX

    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    return folder
