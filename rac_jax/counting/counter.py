"""`Counter`: a loaded model that counts files and arrays, whatever its family."""

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rac_jax import media
from rac_jax.counting.estimator import ReadAgain, SourceInfo
from rac_jax.counting.family import Family, Variables
from rac_jax.counting.options import make_options
from rac_jax.counting.result import CountResult, Measurement
from rac_jax.counting.source import ArraySource, FileSource, Source

if TYPE_CHECKING:
    import flax.linen as nn

PROGRESS_DELAY_S = 3.0


class Counter:
    """A model that counts repetitions in videos.

    Args:
      family: of the model.
      network: the Flax module.
      variables: its {"params", "batch_stats"}.
      config: the model's `config.json`.
      batch_sizes: encoder batch sizes in falling order; None chooses by the device's memory.

    Attributes:
      family, network, variables, config: the same;
        `counter.network.apply(counter.variables, ...)` runs the network itself.
      estimator: what counts; it is fed by `count`, or by hand.
    """

    def __init__(
        self,
        family: Family,
        network: "nn.Module",
        variables: Variables,
        config: Mapping[str, Any],
        *,
        batch_sizes: tuple[int, ...] | None = None,
    ):
        self.family = family
        self.network = network
        self.variables = variables
        self.config = config
        self.estimator = family.estimator(network, variables, config, batch_sizes)

    def options(self, **values: Any) -> Any:
        """The family's options, checked.

        Raises:
          ValueError: for an option that the family does not have, or a value out of range.
        """
        return make_options(self.family.Options, values, self.config["name"])

    def count(
        self,
        video: str
        | bytes
        | os.PathLike
        | FileSource
        | Sequence[np.ndarray]
        | np.ndarray
        | None,
        *,
        fps: float | None = None,
        waveform: np.ndarray | None = None,
        audio_rate: int | None = None,
        start_s: float = 0.0,
        end_s: float | None = None,
        progress: bool = False,
        **options: Any,
    ) -> CountResult:
        """Counts the repetitions in a video.

        Args:
          video: a media file, one that was opened for this model (see `FileSource`), or
            frames uint8 [T, H, W, 3], as an array or a list (None: sound alone).
          fps: frames per second of an array, 25 by default; not for files.
          waveform: float [S] samples that go with an array.
          audio_rate: their rate.
          start_s: where to start, in seconds of the file, at least 0.
          end_s: where to end, or None for the end of the file.
          progress: show a progress bar on long videos.
          **options: of the model's family (`counter.family.Options`).

        Returns:
          The result.

        Raises:
          MediaError: if the file cannot be read, or holds nothing to count by.
          ValueError: for an option that the family does not have, or a value out of range.
        """
        began = time.perf_counter()
        chosen = self.options(**options)
        if not (math.isfinite(start_s) and start_s >= 0):
            raise ValueError(f"start_s: must be at least 0, not {start_s}")
        if end_s is not None and not end_s > start_s:
            raise ValueError(f"end_s: must be after start_s {start_s}, not {end_s}")
        source = self._source(
            video, chosen, fps, waveform, audio_rate, start_s=start_s, end_s=end_s
        )
        if not (source.has_picture or source.has_sound):
            why = [fault.removeprefix(f"{source.name}: ") for fault in source.faults]
            lacks = f"{source.name}: has no {_wanted(source)}"
            raise media.MediaError("; ".join([lacks, *why]))
        with media.collect_faults() as faults:
            for fault in source.faults:
                media.pass_on_fault(fault)
            found, heard_s = self._measure(source, chosen, progress)
        return self.result(
            found,
            source.name,
            source.start_s,
            heard_s=heard_s,
            seconds=time.perf_counter() - began,
            faults=tuple(faults),
        )

    def result(
        self,
        found: Measurement,
        name: str,
        start_s: float,
        *,
        heard_s: float = 0.0,
        seconds: float = 0.0,
        faults: tuple[str, ...] = (),
    ) -> CountResult:
        """The result of what the estimator measured.

        Args:
          found: by `estimator.finish`.
          name: of the source.
          start_s: where what was counted starts, in seconds of the source.
          heard_s: how many seconds of sound there were.
          seconds: that the count took.
          faults: of the source.
        """
        return CountResult(
            file=name,
            start_s=start_s,
            duration_s=max(found.end_s - start_s, heard_s),
            count=found.count,
            rate=found.rate,
            streams=found.streams,
            model=self.config["name"],
            family=self.family.name,
            seconds=seconds,
            sets=found.sets,
            confidence=found.confidence,
            events=found.events,
            density=found.density,
            foreground=found.foreground,
            details=found.details,
            faults=faults,
            panel=found.panel,
        )

    def _measure(
        self, source: Source, options: Any, progress: bool
    ) -> tuple[Measurement, float]:
        """The measurement of a source, and how many seconds of sound it had.

        Raises:
          MediaError: if it has nothing in the part to count.
        """
        looks = source.has_picture
        while True:
            info = SourceInfo(
                source.name,
                source.start_s,
                source.fps if looks else 0.0,
                looks,
                source.has_sound,
            )
            with _progress_bar(source, progress and looks) as advance:
                found, frames, samples = self._read(source, info, options, advance)
            # A picture that has no frames in the part to count is none.
            if not looks or frames or not samples:
                break
            looks = False
        if not (frames or samples):
            lacks = "frames" if source.has_picture else "sound"
            raise media.MediaError(
                f"{source.name}: has no {lacks} in the part to count"
            )
        return found, samples / source.needs.sound.rate if samples else 0.0

    def _read(
        self,
        source: Source,
        info: SourceInfo,
        options: Any,
        advance: Callable[[int], None],
    ) -> tuple[Measurement, int, int]:
        """Feeds a source to the estimator, more than once if it asks for that.

        Returns:
          (measurement, frames, samples).
        """
        state = self.estimator.start(info, options)
        while True:
            frames = samples = 0
            for chunk in source.chunks():
                state, _ = self.estimator.feed(state, chunk)
                frames += len(chunk.times_s)
                samples += len(chunk.samples)
                advance(len(chunk.times_s))
            found = self.estimator.finish(state)
            if not isinstance(found, ReadAgain):
                return found, frames, samples
            state = found.state

    def _source(
        self, video, options, fps, waveform, audio_rate, *, start_s, end_s
    ) -> Source:
        needs = self.family.needs(self.config, options)
        if isinstance(video, bytes):
            video = os.fsdecode(video)
        if not isinstance(
            video, str | os.PathLike | FileSource | np.ndarray | Sequence | None
        ):
            raise ValueError(  # noqa: TRY004, one kind of error for arguments
                "video: must be a file's path, or frames uint8 [T, H, W, 3], not "
                f"{type(video).__name__}"
            )
        if isinstance(video, str | os.PathLike | FileSource):
            if fps is not None or waveform is not None or audio_rate is not None:
                raise ValueError(
                    "fps, waveform, audio_rate: are for arrays, a file has its own"
                )
            if not isinstance(video, FileSource):
                return FileSource(video, needs, start_s=start_s, end_s=end_s)
            part, own = (start_s, end_s), (video.start_s, video.end_s)
            if part not in ((0.0, None), own):
                raise ValueError("start_s, end_s: an open file has its own")
            if needs != video.needs:
                raise ValueError(f"{video.name}: was opened for another model")
            return video
        if start_s or end_s is not None:
            raise ValueError("start_s, end_s: are for files; cut the array instead")
        return ArraySource(
            video, needs, fps=fps, waveform=waveform, audio_rate=audio_rate
        )


def _wanted(source: Source) -> str:
    """What a source lacks that could have been counted by."""
    needs = source.needs
    if needs.frames is None:
        return "sound to count by"
    if needs.sound is None:
        return "picture to count by"
    return "picture and no sound to count by"


@contextlib.contextmanager
def _progress_bar(source: Source, wanted: bool) -> Iterator[Callable[[int], None]]:
    """Yields a function that advances a progress bar by a number of frames."""
    if not wanted:
        yield lambda frames: None
        return
    import tqdm  # only needed where there is someone to watch

    bar = tqdm.tqdm(
        total=source.frames_expected,
        desc=os.path.basename(source.name),
        unit="frame",
        delay=PROGRESS_DELAY_S,
        leave=False,
    )
    with bar:
        yield bar.update
