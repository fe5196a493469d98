"""One run: its config, its videos, its devices, and the counter of the model in training."""

import contextlib
import dataclasses
import json
import pathlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import ml_collections
import numpy as np

from rac_jax.counting.ahead import read_ahead
from rac_jax.counting.counter import Counter
from rac_jax.counting.family import Family, TrainableFamily, Variables
from rac_jax.counting.result import CountResult
from rac_jax.data.labelled import LabelledVideo, VideoSummary
from rac_jax.data.pipeline import Source
from rac_jax.train import hosts, loop, settings, splits
from rac_jax.train.recipe import Recipe, Stage
from rac_jax.train.state import make_optimiser
from rac_jax.train.step import check_rematerialise

# Fields that say how fast or how often something is done, not what comes out.
WITHOUT_EFFECT = {
    "workers",
    "cache",
    "features",
    "log_steps",
    "checkpoint_steps",
    "rematerialise",
    "test",
}


@dataclasses.dataclass
class Run:
    """One run of a recipe.

    Attributes:
      config: resolved.
      workdir: the run's folder.
      family: that is trained.
      recipe: of the family.
      network: the Flax module.
      mesh: devices.
      stop: asks to stop; nobody does by default.
      sources: the videos of splits that are open; those of other splits are opened from the
        config's `data` when they are first asked for.
    """

    config: ml_collections.ConfigDict
    workdir: pathlib.Path
    family: TrainableFamily
    recipe: Recipe
    network: nn.Module
    mesh: jax.sharding.Mesh
    stop: loop.StopSignal = dataclasses.field(default_factory=loop.StopSignal)
    sources: dict[str, Source] = dataclasses.field(default_factory=dict)
    _videos: dict[str, list[VideoSummary]] = dataclasses.field(
        default_factory=dict, init=False
    )

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that are run, in order: without optional ones that have no epochs."""
        return tuple(
            stage for stage in self.recipe.stages if self.config[stage.name].epochs
        )

    def own_split(self, stage: str, split: str) -> str:
        """The split from which a stage learns or by which it is judged.

        Args:
          stage: its name.
          split: "train" or "val".

        Returns:
          "STAGE_SPLIT" where the config's data have such a section of a kind, else `split`.
        """
        own = f"{stage}_{split}"
        return own if own in self.config.data and self.config.data[own].kind else split

    def source(self, split: str) -> Source:
        """The videos of a split, decoded once; opened when first asked for."""
        if split not in self.sources:
            self.sources[split] = splits.open_split(
                self.config.data, split, self.workdir
            )
        return self.sources[split]

    def check_splits(self, names: Iterable[str]) -> None:
        """Checks the sections of splits, and that what they name is there; decodes nothing.

        Raises:
          ValueError: naming the field.
        """
        for split in dict.fromkeys(names):
            splits.check_split(self.config.data, split)
            if split not in self.sources:
                splits.check_files(self.config.data, split)

    def videos(self, split: str) -> list[VideoSummary]:
        """What is known of the videos of a split before they are read."""
        if split not in self._videos:
            self._videos[split] = splits.summaries(self.source(split))
        return self._videos[split]

    def counter(self, variables: Variables) -> Counter:
        """Counts with the model in training as `rac count` will with the exported one.

        Raises:
          TypeError: if the family does not count.
        """
        if not isinstance(self.family, Family):
            raise TypeError(f"family: {self.family.name} does not count")
        config = self.recipe.model_config(self)
        return Counter(self.family, self.network, variables, config)

    def measure(
        self,
        split: str,
        function: Callable[[LabelledVideo, int], Sequence[float]],
        indices: Sequence[int] | None = None,
    ) -> np.ndarray:
        """Numbers of a split's videos; the run's processes share the work.

        A video is read while the one before it is measured.

        Args:
          split: of the config's data.
          function: a video and its index to K numbers, the same K for all.
          indices: of the videos, None for all.

        Returns:
          float64 [N, K].
        """
        source = self.source(split)
        chosen = range(len(source)) if indices is None else indices

        def rows(places: Sequence[int]) -> Iterator[np.ndarray]:
            wanted = [chosen[place] for place in places]
            videos = read_ahead(source[index] for index in wanted)
            with contextlib.closing(videos):
                for index, video in zip(wanted, videos, strict=True):
                    yield np.asarray(function(video, index))

        return hosts.share_out(len(chosen), rows)

    def counts(self, variables: Variables, split: str, **options: Any) -> np.ndarray:
        """Counts of a split's videos, float64 [N]; the run's processes share the work.

        Args:
          variables: of the network, on the host.
          split: of the config's data.
          **options: of the family.
        """
        counter = self.counter(variables)

        def one(video: LabelledVideo, index: int) -> list[float]:
            del index
            return [count_video(counter, video, **options).count]

        return self.measure(split, one).ravel()

    def key(self, name: str) -> jax.Array:
        """A PRNG key of the run's seed and a name."""
        return stage_key(self.config.seed, name)


def count_video(counter: Counter, video: LabelledVideo, **options: Any) -> CountResult:
    """Counts a labelled video as a file would be counted.

    Args:
      counter: of the model in training.
      video: the video.
      **options: of the family.

    Returns:
      The result.
    """
    return counter.count(
        video.frames,
        fps=video.fps,
        waveform=video.waveform,
        audio_rate=video.audio_rate or None,
        **options,
    )


def stage_key(seed: int, name: str) -> jax.Array:
    """The key of a stage, of the run's seed and the stage's name."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))


def identity(config: ml_collections.ConfigDict, stage: Stage) -> dict[str, Any]:
    """The fields of the config that a stage's result depends on, by dotted name.

    Raises:
      ValueError: for a field of `stage.reads` that the config does not have.
    """
    known, flat = config.to_dict(), {}

    def add(name: str, value: Any) -> None:
        if not isinstance(value, Mapping):
            flat[name] = value
            return
        for inner, part in value.items():
            if inner not in WITHOUT_EFFECT:
                add(f"{name}.{inner}", part)

    for name in ("seed", "precision", *stage.reads):
        add(name, settings.find_field(known, name))
    # As it will be read again from JSON: tuples become lists.
    return json.loads(json.dumps(flat))


def check_stages(run: Run) -> None:
    """Checks what the config says of each stage, as far as it is the same for every family.

    Raises:
      ValueError: naming the field.
    """
    for stage in run.recipe.stages:
        settings.check_stage(run.config, stage.name, stage.optional)
        # Asks for every field that the stage says it reads.
        identity(run.config, stage)
        section = run.config[stage.name]
        make_optimiser(section.optimiser, 1, {})
        check_rematerialise(section.rematerialise)
        if section.batch % run.mesh.size:
            raise ValueError(
                f"{stage.name}.batch: {section.batch} does not divide by "
                f"{run.mesh.size} devices"
            )
        if section.batch % section.accumulate:
            raise ValueError(
                f"{stage.name}.accumulate: {section.accumulate} does not divide the "
                f"batch of {section.batch}"
            )
