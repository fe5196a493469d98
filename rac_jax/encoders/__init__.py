"""Networks that several families start from, by name, and the layers they are made of.

An encoder alone can be a model folder, too: one to start training from.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import flax.linen as nn
    import jax

# Name to "module:class"; a module is imported when its encoder is asked for.
ENCODERS = {
    "efficientnet_lite": "rac_jax.encoders.efficientnet_lite:EfficientNetLite",
    "gmflow": "rac_jax.encoders.gmflow:GMFlow",
    "i3d": "rac_jax.encoders.i3d:I3D",
    "ms_g3d": "rac_jax.encoders.ms_g3d:MSG3D",
    "r2plus1d18": "rac_jax.encoders.r2plus1d:R2Plus1D18",
    "resnet18": "rac_jax.encoders.resnet:ResNet18",
    "resnet50": "rac_jax.encoders.resnet50:ResNet50",
    "s3d": "rac_jax.encoders.s3d:S3D",
    "st_gcn": "rac_jax.encoders.st_gcn:STGCN",
    "strided_inflated": "rac_jax.encoders.strided_inflated:StridedInflated",
    "video_swin": "rac_jax.encoders.video_swin:VideoSwin",
}


class Encoder:
    """An encoder by its name, built as a family's network is.

    Args:
      name: a key of `ENCODERS`.
    """

    def __init__(self, name: str):
        module, _, attribute = ENCODERS[name].partition(":")
        self.name = name
        self._module = importlib.import_module(module)
        self._kind = getattr(self._module, attribute)

    def network(self, **arguments: Any) -> "nn.Module":
        """Builds the Flax module."""
        from rac_jax.encoders.initialise import build

        return build(self._kind, self.name, arguments)

    def example_inputs(
        self, network: "nn.Module"
    ) -> tuple["jax.ShapeDtypeStruct", ...]:
        """The smallest input."""
        import jax
        import jax.numpy as jnp

        # Of skeletons it depends on their joints.
        shape = self._module.EXAMPLE
        shape = shape(network) if callable(shape) else shape
        return (jax.ShapeDtypeStruct(shape, jnp.float32),)

    def to_torch(
        self, network: "nn.Module", variables: dict[str, Any]
    ) -> dict[str, Any]:
        """The encoder as PyTorch files, {file name: nested dicts of arrays}."""
        from rac_jax.encoders.conversion import to_torch

        return to_torch(self.name, network, variables)
