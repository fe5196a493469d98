"""Constants of a TensorFlow Lite model, read by `ai_edge_litert` (extra `pose`)."""

import numpy as np


def read_constants(content: bytes) -> dict[str, np.ndarray]:
    """The half precision weights of a model, by their names.

    Args:
      content: of the file.

    Returns:
      Name to array, float16.

    Raises:
      ModuleNotFoundError: without `ai_edge_litert`.
      ValueError: if it is no such model.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    return {
        one["name"]: interpreter.get_tensor(one["index"])
        for one in interpreter.get_tensor_details()
        if one["dtype"] == np.float16
    }
