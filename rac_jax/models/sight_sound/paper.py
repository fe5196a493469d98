"""Counting as paper 1's appendix A describes it.

The video is divided into clips at every temporal stride, with the sound that goes with each;
the stride with the highest score resamples the video; its clips' counts add up to the sight
count, the spectrogram's segments to the sound count; Eq. 10 fuses them. Where the paper is
silent we read it so:

* A stride's score and its reliability are means over its clips, weighted by their real frames.
* The last clip is padded with zeros after normalisation.
* The sound of a clip is the part of the spectrogram under it: padded to 500 columns when it is
  shorter, resized to 500 when it is longer (as the release does).
* "Resize the spectrogram to ensure each segment to have at least two repetitions" (section
  3.3): segments of 500 columns are counted; while they hold under two repetitions on average
  and there is more than one, each next try squeezes twice as much sound into a segment.
* No clip and no segment counts less than zero, and digital silence counts as no sound.
"""

import logging
from collections.abc import Callable

import numpy as np

from rac_jax.counting.result import SightCount, SoundCount, WindowCount
from rac_jax.counting.source import Source
from rac_jax.models.sight_sound import clips as clip_index
from rac_jax.models.sight_sound.programs import Pass
from rac_jax.models.sight_sound.soundtrack import COLUMNS_PER_S

logger = logging.getLogger(__name__)

LEAST_REPETITIONS = 2.0  # per sound segment, section 3.3


def count(
    run: Pass,
    source: Source,
    *,
    strides: tuple[int, ...],
    use_sight: bool,
    progress: Callable[[int], None],
) -> tuple[SightCount | None, SoundCount | None, float | None, float]:
    """Counts one source.

    Args:
      run: a fresh pass through the model, with the source's soundtrack.
      source: frames are read from it once.
      strides: the temporal strides to choose from; a single one is simply used.
      use_sight: whether to look at the picture.
      progress: called with the number of frames read since the last call.

    Returns:
      (sight, sound, reliability of the sound, end of the picture in seconds of the file).
    """
    with_sound = run.track.audible or (run.track.columns > 0 and not use_sight)
    clips, end_s = (
        _add_clips(run, source, strides, progress) if use_sight else ([], 0.0)
    )
    sound = _count_sound(run, source.start_s) if with_sound else None
    if not clips:
        return None, sound, None, end_s
    sight_rows = run.sight.rows([clip["key"] for clip in clips])
    stride_of = np.array([clip["stride"] for clip in clips])
    weights = np.array([clip["valid"] for clip in clips], np.float64)
    use_solo = not with_sound and run.networks.has_solo_ranker
    sound_rows = (
        None if use_solo else run.sound.rows([clip["segment"] for clip in clips])
    )
    scores = {}
    if len(strides) > 1:
        each = (
            sight_rows.solo_score
            if use_solo
            else run.networks.score(sight_rows, sound_rows)
        )
        scores = {
            s: float(np.average(each[stride_of == s], weights=weights[stride_of == s]))
            for s in strides
        }
    stride = max(scores, key=scores.get) if scores else strides[0]
    chosen = np.flatnonzero(stride_of == stride)
    windows = tuple(
        WindowCount(
            clips[i]["start_s"], clips[i]["end_s"], max(0.0, float(sight_rows.count[i]))
        )
        for i in chosen
    )
    sight = SightCount(sum(w.count for w in windows), stride, scores, windows)
    if not with_sound:
        return sight, None, None, end_s
    gammas = run.networks.reliability(
        run.sight.rows([clips[i]["key"] for i in chosen]),
        run.sound.rows([clips[i]["segment"] for i in chosen]),
    )
    return sight, sound, float(np.average(gammas, weights=weights[chosen])), end_s


def _add_clips(
    run: Pass, source: Source, strides, progress
) -> tuple[list[dict], float]:
    """Queues every clip of every stride, with its sound; returns what is known of them."""
    networks = run.networks
    assembler = clip_index.ClipAssembler(strides, networks.clip_frames)
    needs_segments = run.track.audible or not networks.has_solo_ranker
    clips = []

    def add(clip):
        known = {
            "key": run.add_clip(clip.stride, clip.first_frame, clip.valid, clip.frames),
            "stride": clip.stride,
            "valid": clip.valid,
            "start_s": clip.start_s,
            "end_s": clip.end_s,
        }
        if needs_segments:
            # A padded clip still means its full span: the sound is padded alike.
            span_s = (clip.end_s - clip.start_s) * (
                networks.clip_frames * clip.stride / (clip.end_frame - clip.first_frame)
            )
            start_s = clip.start_s - source.start_s
            first = round(start_s * COLUMNS_PER_S)
            last = max(first + 1, round((start_s + span_s) * COLUMNS_PER_S))
            known["segment"] = run.add_segment(
                clip_index.span_columns(
                    first, last, run.track.columns, networks.columns
                )
            )
        clips.append(known)

    for chunk in source.frames():
        for clip in assembler.feed(chunk):
            add(clip)
        progress(len(chunk.frames))
    for clip in assembler.finish():
        add(clip)
    return clips, max((clip["end_s"] for clip in clips), default=0.0)


def _count_sound(run: Pass, start_s: float) -> SoundCount:
    columns, width = run.track.columns, run.networks.columns
    if not run.track.audible:
        return SoundCount(0.0, run.track.window_counts(np.zeros(1), columns, start_s))
    squeeze = 1
    while True:
        step = width * squeeze
        starts = range(0, columns, step)
        keys = [
            run.add_segment(clip_index.span_columns(k, k + step, columns, width))
            for k in starts
        ]
        counts = np.maximum(0, run.sound.rows(keys).count)
        if len(keys) == 1 or counts.sum() / (columns / step) >= LEAST_REPETITIONS:
            break
        squeeze *= 2
    logger.debug("%d sound segments of %d columns each", len(keys), step)
    windows = run.track.window_counts(counts, step, start_s)
    return SoundCount(float(counts.sum()), windows)
