"""Long videos spliced of real clips, for `benchmarks/skim.py`.

Ten minutes of 320 x 240 pixels at 25 frames per second: five labelled clips in which something
repeats, between clips in which nothing does (those labelled 0, again and again, every second time
mirrored, and their sound louder or softer). All fade into each other in picture and sound over
half a second, so that no cut tells where a set begins. A clip's own shape is not kept.
"""

import dataclasses
import json
import pathlib
from collections.abc import Iterator

import numpy as np

from benchmarks.long_video import LongVideo
from benchmarks.skim_scenes import Truth
from rac_jax import media
from rac_jax.data import annotations
from rac_jax.data.annotations import Annotation

FPS, SIZE, RATE = 25, (240, 320), 22050
LENGTH_S = 600
FADE = 12  # frames
SETS = 5
SHORTEST_S, LONGEST_S = 4.0, 40.0  # of a set
FILES = 2


def clip(record: Annotation) -> tuple[np.ndarray, np.ndarray]:
    """A labelled part: frames uint8 [T, H, W, 3] at `FPS`, and as many seconds of samples [S]."""
    start_s = record.start_s or 0.0
    video = media.read_video(
        record.path, size=SIZE, start_s=start_s, end_s=record.end_s
    )
    times = video.times_s - video.times_s[0]
    number = round((times[-1] + 1 / video.fps) * FPS)
    index = np.searchsorted(times, np.arange(number) / FPS + 1e-3, side="right") - 1
    samples = np.zeros(round(number / FPS * RATE), np.float32)
    if media.probe(record.path).has_audio:
        heard = media.read_audio(
            record.path, rate=RATE, start_s=start_s, end_s=record.end_s
        )[: len(samples)]
        samples[: len(heard)] = heard
    return video.frames[index], samples


def spliced(
    labels: str, folder: pathlib.Path
) -> Iterator[tuple[str, int, pathlib.Path, Truth]]:
    """Yields (kind, sets, path, truth) of every file; made if it is not there.

    Args:
      labels: a CSV of labelled clips.
      folder: for the files.

    Raises:
      ValueError: if there are not enough clips with and without repetitions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    records = annotations.read_csv(labels)
    nothing = [one for one in records if not one.count]
    sets = [
        one
        for one in records
        if one.count >= 3
        and one.end_s is not None
        and SHORTEST_S <= one.end_s - (one.start_s or 0.0) <= LONGEST_S
    ]
    files = min(FILES, len(sets) // SETS)
    if not nothing or not files:
        raise ValueError(
            f"{labels}: {len(sets)} clips with and {len(nothing)} without repetitions"
        )
    order = np.random.default_rng(0).permutation(len(sets))
    for number in range(files):
        path = folder / f"clips-{number}.mp4"
        known = path.with_suffix(".json")
        if not known.exists():
            own = [sets[place] for place in order[SETS * number : SETS * (number + 1)]]
            truth = _make(path, own, nothing, number)
            known.write_text(json.dumps(dataclasses.asdict(truth)))
        held = json.loads(known.read_text())
        spans = tuple((a, b) for a, b in held["spans"])
        yield "real", SETS, path, Truth(held["count"], spans)


def _make(
    path: pathlib.Path, sets: list[Annotation], nothing: list[Annotation], seed: int
) -> Truth:
    """Writes a file; the same arguments give the same one."""
    rng = np.random.default_rng(seed)
    others = [clip(one) for one in nothing]
    moving = [clip(one) for one in sets]
    # Where the sets begin at the earliest: one in each part of the file.
    part_s = LENGTH_S / len(sets)
    earliest = [
        part_s * place
        + rng.uniform(0.1, 0.9) * (part_s - len(frames) / FPS - 2 * FADE / FPS)
        for place, (frames, _) in enumerate(moving)
    ]
    spans, count, mirrored = [], 0.0, False
    fade_samples = round(FADE / FPS * RATE)
    tail = None
    with LongVideo(path, SIZE, FPS, RATE) as file:
        while file.end_s < LENGTH_S:
            if len(spans) < len(moving) and file.end_s >= earliest[len(spans)]:
                frames, samples = moving[len(spans)]
                count += sets[len(spans)].count
                spans.append((file.end_s, file.end_s + len(frames) / FPS))
            else:
                frames, samples = others[rng.integers(len(others))]
                # Never the whole of a long one: the next set would come late.
                frames, samples = frames[: 10 * FPS], samples[: 10 * RATE]
                frames = frames[:, :, ::-1] if mirrored else frames
                samples = samples * np.float32(rng.uniform(0.5, 1.5))
                mirrored = not mirrored
            frames, samples = frames.copy(), samples.copy()
            if tail is not None:
                rise = np.linspace(0, 1, FADE).reshape(-1, 1, 1, 1)
                frames[:FADE] = tail[0] * (1 - rise) + frames[:FADE] * rise
                ramp = np.linspace(0, 1, fade_samples)
                samples[:fade_samples] = (
                    tail[1] * (1 - ramp) + samples[:fade_samples] * ramp
                )
            file.add(frames[:-FADE], samples[:-fade_samples])
            tail = frames[-FADE:], samples[-fade_samples:]
    return Truth(count, tuple(spans))
