"""Posteriors of labelled videos as the counter sees them: what the decoders learn from."""

import dataclasses
import functools
import hashlib
import json
import logging
import pathlib

import jax
import numpy as np
import safetensors
import safetensors.numpy

from rac_jax.counting.counter import Counter
from rac_jax.counting.estimator import SourceInfo
from rac_jax.counting.family import Variables
from rac_jax.counting.source import ArraySource
from rac_jax.data.labelled import LabelledVideo, VideoSummary, summarise
from rac_jax.data.pipeline import Source
from rac_jax.drafts import draft_file
from rac_jax.models.compact import CompactOptions
from rac_jax.models.compact.estimator import CompactEstimator
from rac_jax.models.compact.grid import STEP_FRAMES, step_count
from rac_jax.models.compact.posteriors import (
    Steps,
    StreamPosteriors,
    stack_posteriors,
)
from rac_jax.models.compact.stream_task import SLOWEST, STREAM_GROUPS
from rac_jax.models.compact.window_batches import HELPFUL
from rac_jax.scenes import SOUND_DAMAGE
from rac_jax.train import hosts, splits
from rac_jax.train.run import Run

LOG = logging.getLogger("rac_jax.train")
STREAMS = ("sight", "sound")
FOLDER = "posteriors"  # of the workdir
REPORTS = 8  # to the log, per split

# Of a sound that does not have the picture's rhythm in it.
UNHELPFUL = frozenset(f"{name} sound" for name in SOUND_DAMAGE if name not in HELPFUL)

# What `count_posteriors` says of each video: counts, the reliability, how sure it is, and whether
# there is a set at all.
COLUMNS = ("sight", "sound", "average", "fused", "reliability", "score", "found")


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledPosteriors:
    """Posteriors of N videos, and what is true of them; G steps are those of the longest.

    Attributes:
      videos: what is known of each.
      frames: int [N], frames that were looked at.
      sight: float16 [N, G, 54, 2 S], zeros past a video's end.
      sound: likewise; zeros without sound.
      heard: bool [N], whether there is sound.
      helpful: bool [N], whether the sound has the picture's rhythm.
      log_period: float32 [N, G], of frames per repetition.
      periodic: bool [N, G], whether something repeats.
      real: bool [N, G], whether the step is of the video.
      changes: float16 [N, T, LAGS] of the picture, see `returns.Changes`.
    """

    videos: tuple[VideoSummary, ...]
    frames: np.ndarray
    sight: np.ndarray
    sound: np.ndarray
    heard: np.ndarray
    helpful: np.ndarray
    log_period: np.ndarray
    periodic: np.ndarray
    real: np.ndarray
    changes: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """All but the summaries, by name."""
        return {name: value for name, value in vars(self).items() if name != "videos"}

    def draw(self, seed: int, batch: int, step: int) -> dict[str, np.ndarray]:
        """A batch for `DecoderTask.prepare`; a function of seed and step."""
        rng = np.random.default_rng([seed, step])
        index = rng.integers(len(self.videos), size=batch)
        names = ("sight", "sound", "log_period", "periodic", "real", "helpful")
        return {name: getattr(self, name)[index] for name in names}


def posteriors_of(counter: Counter, video: LabelledVideo) -> StreamPosteriors:
    """What the streams say of a labelled video, fed to the estimator as `Counter.count` does.

    Args:
      counter: of the family.
      video: the video.

    Returns:
      The posteriors.
    """
    options = CompactOptions()
    source = ArraySource(
        video.frames,
        counter.family.needs(counter.config, options),
        fps=video.fps,
        waveform=video.waveform,
        audio_rate=video.audio_rate or None,
    )
    info = SourceInfo(
        video.video_id, 0.0, source.fps, source.has_picture, source.has_sound
    )
    estimator: CompactEstimator = counter.estimator
    state = estimator.start(info, options)
    for chunk in source.chunks():
        state, _ = estimator.feed(state, chunk)
    return estimator.posteriors(state)


def step_labels(
    video: LabelledVideo, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What is true of the steps of a decoder.

    Args:
      video: with cycles.
      edges: [T + 1] where the frames that are looked at begin and the last one ends, in frames
        of the video.

    Returns:
      (log_period float32 [G] of frames looked at per repetition, periodic bool [G]).

    Raises:
      ValueError: if the video has no cycles.
    """
    # Of each frame: repetitions in it, and whether its start lies inside a cycle.
    rate = np.diff(video.progress(edges, "cycles"))  # [T]
    begins, ends = np.asarray(video.cycles, np.float64).T
    start = edges[:-1, None]
    inside = ((start >= begins) & (start < ends)).any(axis=1)  # [T]

    # Of each step, its frames' means; the last step may lack some.
    number = step_count(len(rate))
    room = number * STEP_FRAMES - len(rate)

    def folded(values: np.ndarray) -> np.ndarray:
        padded = np.pad(values, (0, room), mode="edge")
        return padded.reshape(number, STEP_FRAMES).mean(axis=1)

    log_period = -np.log(np.maximum(folded(rate), SLOWEST))
    return log_period.astype(np.float32), folded(inside.astype(np.float64)) >= 0.5


def gather(counter: Counter, source: Source, split: str) -> LabelledPosteriors:
    """Runs the streams over all videos of a split.

    Args:
      counter: with trained streams.
      source: labelled videos with cycles.
      split: its name, for the log.

    Returns:
      Their posteriors.

    Raises:
      ValueError, OSError: if a video cannot be read or has no cycles.
    """
    videos, rows = [], []
    for index in range(len(source)):
        video = source[index]
        videos.append(summarise(video))
        rows.append(_row(video, posteriors_of(counter, video)))
        if (index + 1) % max(1, len(source) // REPORTS) == 0:
            LOG.info("posteriors of %s: %d of %d", split, index + 1, len(source))

    # Shorter videos are filled up with zeros to the longest.
    def stacked(name: str) -> np.ndarray:
        values = [np.asarray(row[name]) for row in rows]
        if not values[0].ndim:
            return np.stack(values)
        most, rest = max(map(len, values)), ((0, 0),) * (values[0].ndim - 1)
        return np.stack([np.pad(v, ((0, most - len(v)), *rest)) for v in values])

    return LabelledPosteriors(
        videos=tuple(videos), **{name: stacked(name) for name in rows[0]}
    )


def _row(video: LabelledVideo, streams: StreamPosteriors) -> dict[str, np.ndarray]:
    """The arrays of one video."""
    times_s = np.append(streams.times_s, streams.end_s)
    frames = len(streams.times_s)
    number = step_count(frames)
    log_period, periodic = step_labels(video, np.rint(times_s * video.fps))
    heard = streams.sound is not None
    return {
        "frames": np.int64(frames),
        "sight": stack_posteriors(streams.sight, 0, number),
        "sound": stack_posteriors(streams.sound or {}, 0, number),
        "heard": np.bool_(heard),
        "helpful": np.bool_(heard and not UNHELPFUL & set(video.challenges)),
        "log_period": log_period,
        "periodic": periodic,
        "real": np.ones(number, bool),
        "changes": streams.changes,
    }


def gathered(run: Run, variables: Variables, split: str) -> LabelledPosteriors:
    """`gather` of a run's split, stored in its workdir; the first process gathers for all.

    Videos are not stored: each is decoded or rendered once, and they would take gigabytes.

    Args:
      run: the run.
      variables: with trained streams, on the host.
      split: of the config's data.

    Returns:
      The posteriors.

    Raises:
      ValueError, OSError: as `gather`.
    """
    path = run.workdir / FOLDER / f"{split}.safetensors"
    key = _key(run, variables, split)
    if jax.process_index() == 0 and not _is_of(path, key):
        source = splits.open_source(run.config.data, split)
        _write(path, gather(run.counter(variables), source, split), key)
    hosts.barrier(f"posteriors of {split}")
    return _read(path)


def _key(run: Run, variables: Variables, split: str) -> str:
    """A digest of all that the posteriors depend on: the videos and the streams."""
    data = run.config.data
    known = [data[split].to_dict(), data.size, data.audio_rate]
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode())
    for kind, groups in sorted(variables.items()):
        streams = {name: groups[name] for name in STREAM_GROUPS if name in groups}
        for path, leaf in jax.tree_util.tree_leaves_with_path(streams):
            digest.update(f"{kind}{jax.tree_util.keystr(path)}".encode())
            digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def _is_of(path: pathlib.Path, key: str) -> bool:
    """Whether a file is there that holds what this key stands for."""
    if not path.exists():
        return False
    with safetensors.safe_open(path, "numpy") as file:
        return (file.metadata() or {}).get("key") == key


def _write(path: pathlib.Path, known: LabelledPosteriors, key: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    videos = json.dumps([video.to_json() for video in known.videos])
    arrays = {name: np.ascontiguousarray(a) for name, a in known.arrays().items()}
    with draft_file(path) as draft:
        safetensors.numpy.save_file(arrays, draft, {"key": key, "videos": videos})


def _read(path: pathlib.Path) -> LabelledPosteriors:
    with safetensors.safe_open(path, "numpy") as file:
        videos = json.loads(file.metadata()["videos"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return LabelledPosteriors(
        videos=tuple(map(VideoSummary.from_json, videos)), **arrays
    )


def count_posteriors(
    estimator: CompactEstimator, known: LabelledPosteriors
) -> dict[str, np.ndarray]:
    """Counts videos whose posteriors are known, by the estimator's own decision.

    Args:
      estimator: of the model; the run's processes share the work.
      known: of N videos.

    Returns:
      Each of `COLUMNS` to float64 [N]. Without sound its count and weight are 0, and the
      average is that of sight.
    """

    def steps(rows: np.ndarray) -> Steps:
        return lambda first, number: rows[first : first + number]

    def one(index: int) -> np.ndarray:
        sound = steps(known.sound[index]) if known.heard[index] else None
        frames = int(known.frames[index])
        changes = known.changes[index, :frames]
        found = estimator.decide(frames, steps(known.sight[index]), sound, changes)
        seen = found.sight.count
        heard = 0.0 if found.sound is None else found.sound.count
        average = seen if found.sound is None else (seen + heard) / 2
        weight = 0.0 if found.reliability is None else found.reliability
        fused = found.fused
        return np.array(
            [
                seen,
                heard,
                average,
                fused.count,
                weight,
                fused.score,
                len(fused.sets) > 0,
            ]
        )

    rows = hosts.share_out(len(known.videos), functools.partial(map, one))
    return dict(zip(COLUMNS, rows.T, strict=True))
