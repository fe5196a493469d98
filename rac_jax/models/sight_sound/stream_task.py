"""What training sight and training sound have in common, paper 1, sections 3.1 and 3.2."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.models.sight_sound import epoch_records, evaluation, start
from rac_jax.models.sight_sound import repetition_loss as repetitions
from rac_jax.scenes import SceneConfig
from rac_jax.train.metrics import Mean
from rac_jax.train.recipe import Batch, Task, Variables
from rac_jax.train.run import Run


@dataclasses.dataclass(frozen=True, eq=False)
class StreamTask(Task):
    """What a stream's stage trains: its encoder and its head, by Eq. 4-7.

    Attributes:
      run: whose network is trained, by whose config.
      scenes: what examples are rendered from where they come from the device, None otherwise.
      classes: action labels of the data set.
      name: of the stage, the config's section, the network's method and, with "_encoder" and
        "_head" behind it, the parameter groups.
      input: field of a batch that the network is given.
      smallest: shape of an input small enough to look at the features' shape.
    """

    run: Run
    scenes: SceneConfig | None = None
    classes: tuple[str, ...] = ()

    name: ClassVar[str]
    input: ClassVar[str]
    smallest: ClassVar[tuple[int, ...]]
    auxiliary: ClassVar[tuple[str, ...]] = (repetitions.LOCAL,)

    def count(
        self, variables: Variables, split: str, indices: Sequence[int] | None = None
    ) -> np.ndarray:
        """Counts of a split's videos, all or some, by this stream alone: float64 [N]."""
        raise NotImplementedError

    @property
    def trained(self) -> tuple[str, ...]:
        """Prefixes of the parameters that change."""
        config = self.run.config
        whole = (f"{self.name}_encoder", f"{self.name}_head")
        chosen = tuple(config[self.name].trained) or whole
        return chosen + ((repetitions.LOCAL,) if config.loss.local else ())

    def first(self, variables: Variables) -> Variables:
        """The variables that this stage begins with."""
        config, network = self.run.config, self.run.network
        number = {"sight": network.sight_classes, "sound": network.sound_classes}
        start.check_classes(
            config.loss, f"{self.name}_classes", number[self.name], self.classes
        )
        channels = None
        if config.loss.local:
            smallest = jnp.zeros(self.smallest)
            output = jax.eval_shape(
                lambda: network.apply(variables, smallest, method=self.name)
            )
            channels = output.timeline.shape[-1]
        bias_range = config[self.name].class_bias_range
        return start.stream_start(variables, f"{self.name}_head", bias_range, channels)

    def loss(
        self, params: Any, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """Eq. 6 and 7: (loss, (batch statistics, metrics))."""
        del key
        output, updates = self.run.network.apply(
            {"params": params, "batch_stats": batch_stats},
            batch[self.input],
            train=(f"{self.name}_encoder",),
            method=self.name,
            mutable=["batch_stats"],
        )
        loss, metrics = repetitions.repetition_loss(
            self.run.config.loss, output, params.get(repetitions.LOCAL), batch
        )
        return loss, (updates["batch_stats"], metrics)

    def validate(self, variables: Variables, epoch: int) -> Mapping[str, float]:
        """Errors of the counts by this stream."""
        return evaluation.validate_stream(
            self.run, self.name, epoch, functools.partial(self.count, variables)
        )

    def report_epochs(self) -> None:
        """Says at the end of the stage if no epoch was as good as reliability wants it."""
        settings = self.run.config.reliability
        if settings.predictions == "empirical":
            epoch_records.report_unreached(
                self.run.workdir / self.name, settings[f"{self.name}_threshold"]
            )
