"""TensorFlow's checkpoints as named arrays; the extra `tensorflow` reads them, and nothing else."""

import os

import numpy as np

from rac_jax.interop.torch_io import ConversionError

# After the name of every variable of an object-based checkpoint.
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
OPTIMISER = ".OPTIMIZER_SLOT"


def read_checkpoint(path: str | os.PathLike, lead: str) -> dict[str, np.ndarray]:
    """Reads the variables of an object-based checkpoint.

    Args:
      path: its prefix, as ".../ckpt-88", or a folder, whose newest is read.
      lead: of the names wanted; it is dropped. The optimiser's variables are left out.

    Returns:
      Arrays by name.

    Raises:
      ConversionError: if TensorFlow is not installed, or there is no such checkpoint.
    """
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ConversionError(
            "reading a TensorFlow checkpoint needs TensorFlow: "
            "pip install 'rac_jax[tensorflow]'"
        ) from error
    place = os.fspath(path)
    if os.path.isdir(place):
        place = tf.train.latest_checkpoint(place)
        if place is None:
            raise ConversionError(f"{os.fspath(path)}: holds no TensorFlow checkpoint")
    try:
        reader = tf.train.load_checkpoint(place)
    except (tf.errors.OpError, ValueError) as error:
        text = " ".join(str(error).split())
        raise ConversionError(f"{os.fspath(path)}: {text}") from error
    return plain_names(
        {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()},
        lead,
    )


def plain_names(arrays: dict[str, np.ndarray], lead: str) -> dict[str, np.ndarray]:
    """The variables whose names begin with `lead`, without it and the suffix."""
    return {
        name.removeprefix(lead).removesuffix(SUFFIX): value
        for name, value in arrays.items()
        if name.startswith(lead) and name.endswith(SUFFIX) and OPTIMISER not in name
    }
