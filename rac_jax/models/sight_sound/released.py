"""Counting exactly as the authors' released code does, for their released weights.

It differs from the paper (see the README): the stride is chosen on the first clip of each
stride; an incomplete last window is averaged with one taken at a wider stride; short counts by
sound are made again on the whole spectrogram squeezed into one segment; reliability is
estimated on complete windows paired by position, the shorter list filled up at random; the
number of complete windows follows the release's strict comparison, which leaves out a last
window that ends exactly where the video ends.

The release reads windows from arrays that hold the whole video. We read the video twice
instead, once for its length and the first clips, once for the windows at the chosen stride.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator

import numpy as np

from rac_jax import media
from rac_jax.counting.result import SightCount, SoundCount, WindowCount
from rac_jax.counting.source import Source
from rac_jax.models.sight_sound import clips as clip_index
from rac_jax.models.sight_sound.programs import Pass

SQUEEZE_BELOW = 16.0  # counts by sound under this are made again on the squeezed whole


def count(
    run: Pass,
    source: Source,
    *,
    strides: tuple[int, ...],
    use_sight: bool,
    progress: Callable[[int], None],
    seed: int = 0,
) -> tuple[SightCount | None, SoundCount | None, float | None, float]:
    """Counts one source; arguments and results as `rac_jax.models.sight_sound.paper.count`.

    `seed` draws the random pairs of the reliability estimate (unseeded in the release).
    """
    with_sound = run.track.columns > 0
    if not use_sight:
        sound, _ = _count_sound(run, source.start_s)
        return None, sound, None, 0.0
    frames, fps, end_s, first_clips = _first_clips(run, source, strides, progress)
    if not frames:
        sound, _ = _count_sound(run, source.start_s) if with_sound else (None, None)
        return None, sound, None, 0.0
    scores = _stride_scores(run, frames, first_clips) if len(strides) > 1 else {}
    stride = max(scores, key=scores.get) if scores else strides[0]
    sight, sight_keys = _count_sight(run, source, frames, fps, stride)
    sight = SightCount(sight.count, stride, scores, sight.windows)
    if not with_sound:
        return sight, None, None, end_s
    sound, sound_keys = _count_sound(run, source.start_s)
    complete = clip_index.released_reliability_windows(frames, stride)
    pairs = clip_index.pair_windows(
        complete, len(sound_keys), np.random.default_rng(seed)
    )
    gammas = run.networks.reliability(
        run.sight.rows([sight_keys[i] for i in pairs[0]]),
        run.sound.rows([sound_keys[i] for i in pairs[1]]),
    )
    return sight, sound, float(np.mean(gammas)), end_s


def _first_clips(run: Pass, source: Source, strides, progress):
    """Reads the video once: its number of frames, and the first clip of each stride."""
    frames, end_s, first_s = 0, 0.0, None
    reach = max(strides) * run.networks.clip_frames
    head = []
    for chunk in source.frames():
        if frames < reach:
            head.append(chunk.frames[: reach - frames])
        frames += len(chunk.frames)
        first_s = chunk.times_s[0] if first_s is None else first_s
        end_s = float(chunk.times_s[-1])
        progress(len(chunk.frames))
    if not frames:
        return 0, 0.0, 0.0, {}
    if end_s > first_s:
        fps = (frames - 1) / (end_s - first_s)
    else:
        fps = source.fps or 1 / clip_index.FRAME_S
    head = np.concatenate(head)
    keys = {}
    for stride in strides if len(strides) > 1 else ():
        index = clip_index.clip_indices(frames, stride, 0, run.networks.clip_frames)
        keys[stride] = _add(run, index, head[np.maximum(index, 0)], stride)
    return frames, fps, end_s + 1 / fps, keys


def _add(run: Pass, index: np.ndarray, clip: np.ndarray, stride: int) -> Hashable:
    return run.add_clip(stride, int(index[0]), int((index >= 0).sum()), clip)


def _stride_scores(
    run: Pass, frames: int, first_clips: dict[int, Hashable]
) -> dict[int, float]:
    segments = [
        run.add_segment(
            clip_index.released_stride_columns(frames, run.track.columns, stride)
            if run.track.columns
            else np.full(run.networks.columns, -1.0)
        )
        for stride in first_clips
    ]
    scores = run.networks.score(
        run.sight.rows(list(first_clips.values())), run.sound.rows(segments)
    )
    return {s: float(v) for s, v in zip(first_clips, scores, strict=True)}


def _count_sight(run: Pass, source: Source, frames: int, fps: float, stride: int):
    """Counts the windows at a stride in a second reading; returns their keys too."""
    windows, extra = clip_index.released_sight_windows(frames, stride)
    wanted = [(index, stride) for index in windows]
    if extra is not None:
        wanted.append((extra, stride + 2))
    keys = [
        run.clip_key(step, int(index[0]), int((index >= 0).sum()))
        for index, step in wanted
    ]
    missing = [
        item for key, item in zip(keys, wanted, strict=True) if key not in run.sight
    ]
    missing.sort(key=lambda item: item[0][0])
    for index, step, clip in gather_clips(source.frames(), missing) if missing else ():
        _add(run, index, clip, step)
    counts = run.sight.rows(keys).count
    window_counts = counts[: len(windows)]
    total = clip_index.released_sight_count(
        window_counts, None if extra is None else float(counts[-1])
    )
    span = stride * run.networks.clip_frames
    records = tuple(
        WindowCount(
            source.start_s + i * span / fps,
            source.start_s + min((i + 1) * span, frames) / fps,
            float(c),
        )
        for i, c in enumerate(window_counts)
    )
    return SightCount(float(total), stride, {}, records), keys[: len(windows)]


def gather_clips(
    chunks: Iterable[media.FrameChunk], wanted: list[tuple[np.ndarray, int]]
) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
    """Collects clips given by frame indices while frames stream by.

    Args:
      chunks: frames in order, from frame 0.
      wanted: (indices [64] with -1 for padding, stride) of each clip, by rising first index.

    Yields:
      (indices, stride, clip uint8 [64, H, W, 3]) as soon as a clip is complete; padding is 0.
    """
    waiting = list(wanted)
    first = 0
    partial: dict[int, np.ndarray] = {}
    for chunk in chunks:
        if not waiting:
            return
        end = first + len(chunk.frames)
        done = []
        for place, (index, stride) in enumerate(waiting):
            if index[0] >= end:
                break
            clip = partial.setdefault(
                id(index), np.zeros((len(index), *chunk.frames.shape[1:]), np.uint8)
            )
            here = (index >= first) & (index < end)
            clip[here] = chunk.frames[index[here] - first]
            if index.max() < end:
                done.append(place)
                yield index, stride, partial.pop(id(index))
        waiting = [item for place, item in enumerate(waiting) if place not in done]
        first = end


def _count_sound(run: Pass, start_s: float) -> tuple[SoundCount, list[Hashable]]:
    """Counts by sound; the keys returned are the reliability estimate's segments."""
    columns, width = run.track.columns, run.networks.columns
    positions = clip_index.segment_columns(columns, width)
    keys = [run.add_segment(p) for p in positions]
    counts = run.sound.rows(keys).count
    total = float(counts.sum())
    step = width
    if total < SQUEEZE_BELOW and columns > width:
        keys = [run.add_segment(clip_index.resized_columns(0, columns, width))]
        counts = run.sound.rows(keys).count
        total = float(counts.sum())
        step = columns
    inputs = clip_index.released_reliability_segments(columns, total, width)
    windows = run.track.window_counts(counts, step, start_s)
    return SoundCount(total, windows), [run.add_segment(p) for p in inputs]
