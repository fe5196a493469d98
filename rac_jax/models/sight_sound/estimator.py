"""Counting with a sight-and-sound model: by the paper's procedure or by the released one."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rac_jax.counting.estimator import Chunk, Partial, ReadAgain, SourceInfo
from rac_jax.counting.family import Variables
from rac_jax.counting.model_config import ModelError
from rac_jax.counting.options import chosen
from rac_jax.counting.result import Measurement
from rac_jax.models.sight_sound.fusion import ClassNames
from rac_jax.models.sight_sound.network import SightSound
from rac_jax.models.sight_sound.paper import PaperProcedure, PaperState
from rac_jax.models.sight_sound.programs import SightSoundPrograms
from rac_jax.models.sight_sound.released import ReleasedProcedure, ReleasedState

if TYPE_CHECKING:
    from rac_jax.models.sight_sound import SightSoundOptions

DEFAULT_MAX_STRIDE = 5  # paper 1, appendix A


@dataclasses.dataclass(frozen=True)
class SightSoundState:
    """What is known of a video so far.

    Attributes:
      protocol: "paper" or "released".
      inner: that procedure's own state.
    """

    protocol: str
    inner: PaperState | ReleasedState


# A clip at this stride is a minute of video: more is a mistake in a model's config.
LARGEST_STRIDE = 32


class SightSoundEstimator:
    """Counts by the procedure that the options, or else the model, say.

    Args:
      network: a `SightSound` module.
      variables: its variables; those of the head that fuses by itself may be among them.
      config: the model's `config.json`.
      batch_sizes: encoder batch sizes in falling order; None chooses by the device's memory.

    Attributes:
      programs: the compiled programs.

    Raises:
      ModelError: if the config names other classes than the network has.
    """

    def __init__(
        self,
        network: SightSound,
        variables: Variables,
        config: Mapping[str, Any],
        batch_sizes: tuple[int, ...] | None = None,
    ):
        self.programs = SightSoundPrograms(
            network, variables, config["preprocessing"], batch_sizes
        )
        self._config = config
        largest = config.get("max_stride", DEFAULT_MAX_STRIDE)
        if not isinstance(largest, int) or not 1 <= largest <= LARGEST_STRIDE:
            raise ValueError(
                f"max_stride: must be from 1 to {LARGEST_STRIDE}, not {largest!r:.60}"
            )
        names = _class_names(network, config)
        self._procedures = {
            "paper": PaperProcedure(self.programs, names),
            "released": ReleasedProcedure(self.programs, names),
        }

    def start(self, info: SourceInfo, options: "SightSoundOptions") -> SightSoundState:
        protocol = chosen(options, "protocol", self._config)
        strides = self._strides(options)
        inner = self._procedures[protocol].start(info, strides, options.seed)
        return SightSoundState(protocol, inner)

    def feed(
        self, state: SightSoundState, chunk: Chunk
    ) -> tuple[SightSoundState, Partial]:
        inner = self._procedures[state.protocol].feed(state.inner, chunk)
        return dataclasses.replace(state, inner=inner), Partial()

    def finish(self, state: SightSoundState) -> Measurement | ReadAgain:
        found = self._procedures[state.protocol].finish(state.inner)
        if isinstance(found, ReadAgain):
            return ReadAgain(dataclasses.replace(state, inner=found.state))
        return found

    def _strides(self, options: "SightSoundOptions") -> tuple[int, ...]:
        """The strides to choose from."""
        if options.stride is not None:
            return (options.stride,)
        largest = options.max_stride
        if largest is None:
            largest = self._config.get("max_stride", DEFAULT_MAX_STRIDE)
        return tuple(range(1, largest + 1))


def _class_names(network: SightSound, config: Mapping[str, Any]) -> ClassNames:
    """The `class_names` of a model's config: stream to a name per repetition class.

    Raises:
      ModelError: for another stream than there is, or not one name per class, all different.
    """
    names = config.get("class_names", {})
    classes = {"sight": network.sight_classes, "sound": network.sound_classes}
    for stream, given in names.items():
        if stream not in classes:
            raise ModelError(
                f"{config['name']}: class_names.{stream}: is not sight or sound"
            )
        if len(set(given)) != len(given) or len(given) != classes[stream]:
            raise ModelError(
                f"{config['name']}: class_names.{stream}: has {len(set(given))} different "
                f"names for {classes[stream]} repetition classes"
            )
    return names
