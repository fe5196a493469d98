"""`Counter`: a loaded model that counts files and arrays."""

import contextlib
import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import numpy as np

from rac_jax.counting.result import CountResult, Measured
from rac_jax.counting.source import ArraySource, FileSource, Source, frame_layout
from rac_jax.media import MediaError, collect_faults
from rac_jax.models.sight_sound import paper, released
from rac_jax.models.sight_sound.network import fuse
from rac_jax.models.sight_sound.programs import Networks, Pass
from rac_jax.models.sight_sound.soundtrack import Soundtrack

logger = logging.getLogger(__name__)

PROTOCOLS = {"paper": paper.count, "released": released.count}
DEFAULT_MAX_STRIDE = 5  # paper 1, appendix A
PROGRESS_DELAY_S = 3.0


class Counter:
    """A sight-and-sound model that counts repetitions in videos.

    Args:
      module: the Flax module.
      variables: its {"params", "batch_stats"}.
      config: the model's `config.json`.
      batch_sizes: encoder batch sizes in falling order; None chooses by the device's memory.

    Attributes:
      model: the Flax module, for `counter.model.apply(counter.variables, ..., method="sight")`.
      variables: its variables.
      config: the model's `config.json`.
    """

    def __init__(
        self,
        module: nn.Module,
        variables: Any,
        config: dict[str, Any],
        *,
        batch_sizes: tuple[int, ...] | None = None,
    ):
        self.model = module
        self.variables = variables
        self.config = config
        self.networks = Networks(
            module, variables, config["preprocessing"], batch_sizes
        )

    def count(
        self,
        video: str | os.PathLike | FileSource | np.ndarray | None,
        *,
        fps: float | None = None,
        waveform: np.ndarray | None = None,
        audio_rate: int | None = None,
        start_s: float = 0.0,
        end_s: float | None = None,
        stride: int | None = None,
        max_stride: int | None = None,
        sight: bool = True,
        sound: bool = True,
        protocol: str | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> CountResult:
        """Counts the repetitions in a video.

        Args:
          video: a media file, one that was opened for this model (see `FileSource`), or
            frames uint8 [T, H, W, 3] (None: sound alone).
          fps: frames per second of an array, 25 by default; not for files.
          waveform: float [S] samples that go with an array.
          audio_rate: their rate, 22050.
          start_s: where to start, in seconds of the file, at least 0.
          end_s: where to end, or None for the end of the file.
          stride: temporal stride in frames; None lets the ranker choose.
          max_stride: largest stride to choose from, at least 1; None takes the model's.
          sight: whether to look.
          sound: whether to listen.
          protocol: "paper" or "released"; None takes the model's.
          seed: for the random pairing of the released protocol.
          progress: show a progress bar on long videos.

        Returns:
          The result.

        Raises:
          MediaError: if the file cannot be read, or holds nothing to count by.
          ValueError: for arguments out of their range.
        """
        began = time.perf_counter()
        protocol = self._protocol(protocol)
        strides = self._strides(stride, max_stride)
        if not (sight or sound):
            raise ValueError("sight, sound: at least one of them is needed")
        if not (math.isfinite(start_s) and start_s >= 0):
            raise ValueError(f"start_s: must be at least 0, not {start_s}")
        if end_s is not None and not end_s > start_s:
            raise ValueError(f"end_s: must be after start_s {start_s}, not {end_s}")
        source = self._source(
            video, protocol, fps, waveform, audio_rate, start_s=start_s, end_s=end_s
        )
        use_sight = sight and source.has_picture
        use_sound = sound and source.has_sound
        if not (use_sight or use_sound):
            lacks = (
                "sound"
                if not sight
                else "picture"
                if not sound
                else "picture and no sound"
            )
            raise MediaError(f"{source.name}: has no {lacks} to count by")
        start_s = source.start_s
        chunks = source.sound() if use_sound else ()
        with (
            collect_faults() as faults,
            Soundtrack(chunks) as track,
            _progress_bar(source, progress and use_sight) as advance,
        ):
            if not (use_sight or track.samples):
                raise MediaError(f"{source.name}: has no sound in the part to count")
            found = self._measure(
                source,
                track,
                protocol=protocol,
                strides=strides,
                use_sight=use_sight,
                progress=advance,
                seed=seed,
            )
            for name, cost in found.encoders.items():
                logger.debug(
                    "%s: %s: %d clips in %d encoder calls, %d compiled shapes",
                    source.name,
                    name,
                    *cost.values(),
                )
            duration_s = max(found.end_s - start_s, track.duration_s)
        if found.sight is None and found.sound is None:
            raise MediaError(f"{source.name}: has no frames in the part to count")
        return CountResult(
            file=source.name,
            duration_s=duration_s,
            count=found.count,
            sight=found.sight,
            sound=found.sound,
            reliability=found.reliability,
            model=self.config["name"],
            protocol=protocol,
            seconds=time.perf_counter() - began,
            start_s=start_s,
            encoders=found.encoders,
            faults=tuple(faults),
            sets=found.sets,
            confidence=found.confidence,
        )

    def _measure(
        self,
        source: Source,
        track: Soundtrack,
        *,
        protocol: str,
        strides: tuple[int, ...],
        use_sight: bool,
        progress: Callable[[int], None],
        seed: int,
    ) -> Measured:
        """Counts a source whose sound is in `track`; arguments as `count`."""
        run = Pass(self.networks, track)
        options = {"seed": seed} if protocol == "released" else {}
        sight, sound, gamma, end_s = PROTOCOLS[protocol](
            run,
            source,
            strides=strides,
            use_sight=use_sight,
            progress=progress,
            **options,
        )
        if sight is not None and sound is not None:
            total = float(fuse(sight.count, sound.count, gamma))
        else:
            one = sight or sound
            total = one.count if one else 0.0
        return Measured(total, sight, sound, gamma, end_s, run.cost())

    def _protocol(self, protocol: str | None) -> str:
        protocol = protocol or self.config.get("protocol", "paper")
        if protocol not in PROTOCOLS:
            raise ValueError(
                f"protocol: {protocol!r} is not one of {', '.join(PROTOCOLS)}"
            )
        return protocol

    def _strides(self, stride: int | None, max_stride: int | None) -> tuple[int, ...]:
        if stride is not None:
            if stride < 1:
                raise ValueError(f"stride: must be at least 1, not {stride}")
            return (stride,)
        if max_stride is None:
            max_stride = self.config.get("max_stride", DEFAULT_MAX_STRIDE)
        if max_stride < 1:
            raise ValueError(f"max_stride: must be at least 1, not {max_stride}")
        return tuple(range(1, max_stride + 1))

    def _source(
        self, video, protocol, fps, waveform, audio_rate, *, start_s, end_s
    ) -> Source:
        layout = frame_layout(self.config, protocol)
        if isinstance(video, str | os.PathLike | FileSource):
            if fps is not None or waveform is not None or audio_rate is not None:
                raise ValueError(
                    "fps, waveform, audio_rate: are for arrays, a file has its own"
                )
            if not isinstance(video, FileSource):
                return FileSource(video, start_s=start_s, end_s=end_s, **layout)
            part, own = (start_s, end_s), (video.start_s, video.end_s)
            if part not in ((0.0, None), own):
                raise ValueError("start_s, end_s: an open file has its own")
            if layout != {"size": video.size, "interpolation": video.interpolation}:
                raise ValueError(f"{video.name}: was opened for another model")
            return video
        if start_s or end_s is not None:
            raise ValueError("start_s, end_s: are for files; cut the array instead")
        return ArraySource(
            video, fps=fps, waveform=waveform, audio_rate=audio_rate, **layout
        )


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
