"""What a model family is: the one contract behind which everything of its own lies."""

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rac_jax.counting.needs import FrameNeeds, Needs
from rac_jax.counting.options import NoOptions

if TYPE_CHECKING:
    import argparse

    import flax.linen as nn
    import jax
    import numpy as np

    from rac_jax.counting.estimator import Estimator

Variables = dict[str, Any]  # {"params", "batch_stats"}, nested dicts of arrays
Model = tuple["nn.Module", Variables, Mapping[str, Any]]  # network, variables, config
# (kernel [in, out], bias [out]) of dense layers, with a rectifier between each two.
Layers = list[tuple["np.ndarray", "np.ndarray"]]


@dataclasses.dataclass(frozen=True)
class Conversion:
    """A kind of published checkpoint that becomes a model folder (`rac convert KIND`).

    Attributes:
      kind: on the command line.
      summary: one line.
      add_arguments: adds the files it reads to a parser.
      read: (parsed arguments) -> (config.json, variables); raises ConversionError.
    """

    kind: str
    summary: str
    add_arguments: Callable[["argparse.ArgumentParser"], None]
    read: Callable[["argparse.Namespace"], tuple[dict[str, Any], Variables]]


@dataclasses.dataclass(frozen=True)
class Pupil:
    """A model that can be taught one exercise: all but its head of phases is as it stays.

    Phases are 0 for background, 1 and 2 for the first and the second half of a repetition.

    Attributes:
      needs: of the frames.
      fps: that it looks at.
      every: frames from one output to the next.
      hidden: units of the head's layers before the last.
      phases: outputs of the last.
      features: uint8 [n, H, W, C] of a whole clip at `fps` to float32 [n // every, F], what
        the head reads.
      make: the head's layers to a model; its config lacks "name", "family" and "training".
    """

    needs: FrameNeeds
    fps: float
    every: int
    hidden: tuple[int, ...]
    phases: int
    features: Callable[["np.ndarray"], "np.ndarray"]
    make: Callable[[Layers], Model]


class TrainableFamily(abc.ABC):
    """A family of models, whatever they are for: how its networks are built, trained, converted.

    What does not count, such as a network that names actions and whose encoder others start
    from, subclasses this; what counts subclasses `Family`. A subclass lies in the `__init__` of
    the family's package and imports what it needs inside its methods: the command line asks it
    before JAX is imported.

    Attributes:
      name: as in the table of families and in `config.json`.
      config_fields: what its `config.json` must hold beside the common fields.
    """

    name: str
    config_fields: tuple[str, ...] = ()

    @abc.abstractmethod
    def network(self, **arguments: Any) -> "nn.Module":
        """Builds the Flax module from the arguments of `config.json` and `dtype`.

        Raises:
          TypeError, ValueError: for an argument that the family does not know.
        """

    @abc.abstractmethod
    def example_inputs(
        self, network: "nn.Module"
    ) -> tuple["jax.ShapeDtypeStruct", ...]:
        """The smallest inputs with which the module's `init` makes all variables."""

    def initialise(self, network: "nn.Module", key: "jax.Array") -> Variables:
        """Draws first variables; overridden where compiling `init` would take long."""
        import jax
        import jax.numpy as jnp

        inputs = [
            jnp.zeros(one.shape, one.dtype) for one in self.example_inputs(network)
        ]
        variables = jax.device_get(jax.jit(network.init)(key, *inputs))
        return {"params": {}, "batch_stats": {}} | variables

    def recipe(self) -> Any:
        """The family's `rac_jax.train.recipe.Recipe`, or None if it cannot be trained."""
        return None

    def conversions(self) -> tuple[Conversion, ...]:
        """The published checkpoints that the family reads."""
        return ()

    def to_torch(
        self, network: "nn.Module", variables: Variables
    ) -> dict[str, Any] | None:
        """A model as PyTorch files, {file name: nested dicts of arrays}; None if it cannot be."""
        return None


class Family(TrainableFamily):
    """A family whose models count.

    The command line asks for `Options` and `needs` before JAX is imported, too.

    Attributes:
      Options: frozen dataclass of the family's options of counting, see `options.option`.
    """

    Options: type = NoOptions

    @abc.abstractmethod
    def needs(self, config: Mapping[str, Any], options: Any) -> Needs:
        """What a model with this `config.json` wants of a file, with these options."""

    @abc.abstractmethod
    def estimator(
        self,
        network: "nn.Module",
        variables: Variables,
        config: Mapping[str, Any],
        batch_sizes: tuple[int, ...] | None = None,
    ) -> "Estimator":
        """The estimator of a model.

        Args:
          network: as `network` builds it.
          variables: its variables.
          config: its `config.json`.
          batch_sizes: of the encoders, in falling order; None chooses by the device's memory.
        """

    def pupil(self, model: Model | None) -> Pupil | None:
        """Who is taught an exercise (`rac teach`); None if models of this family cannot be.

        Args:
          model: of this family, to start from; None for one that knows nothing.
        """
        return None
