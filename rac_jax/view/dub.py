"""A dubbing track: a sound at every cue, as loud as the cue is strong, written in constant memory."""

import os
import wave
from collections.abc import Iterator, Sequence

import numpy as np

from rac_jax import drafts, media
from rac_jax.view.cues import Cue

RATE = 44100  # samples per second, the usual one for AAC, too
CLICK = "click"
# A knock that is synthesised: a burst of noise and two tones that die away.
CLICK_S, NOISE_FADE_S, TONE_FADE_S = 0.12, 0.006, 0.03
TONES_HZ = (1100.0, 2350.0)
PEAK = 0.9
LONGEST_S = 10.0  # of a sound from a file
BLOCK_S = 1.0


def click(rate: int = RATE) -> np.ndarray:
    """The synthesised knock, always the same: float32 [n], its peak 0.9."""
    time = np.arange(round(CLICK_S * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(len(time))
    sound = noise * np.exp(-time / NOISE_FADE_S)
    for tone in TONES_HZ:
        sound += np.sin(2 * np.pi * tone * time) * np.exp(-time / TONE_FADE_S)
    sound *= np.linspace(1, 0, len(time))
    return (PEAK * sound / np.abs(sound).max()).astype(np.float32)


def read_sound(name: str, rate: int = RATE) -> np.ndarray:
    """`click`, or the sound of a file without its silent lead: float32 [n], its peak 0.9.

    Raises:
      MediaError: if the file cannot be read or has no sound.
      ValueError: if it is silent.
    """
    if name == CLICK:
        return click(rate)
    sound = media.read_audio(name, rate=rate, end_s=LONGEST_S)
    loudest = float(np.abs(sound).max(initial=0.0))
    if not loudest > 0:
        raise ValueError(f"{name}: is silent")
    # It is heard where the cue is, not after a pause of the recording.
    first = int(np.argmax(np.abs(sound) > 0.1 * loudest))
    return (PEAK * sound[first:] / loudest).astype(np.float32)


def blocks(
    cues: Sequence[Cue], duration_s: float, sound: np.ndarray, rate: int = RATE
) -> Iterator[np.ndarray]:
    """The track block by block.

    Args:
      cues: in the order of time.
      duration_s: of the track.
      sound: [n] of a cue of strength 1, at `rate`.
      rate: samples per second.

    Yields:
      float32 [n], a second at most; what would be louder than full scale is cut off.
    """
    total = round(duration_s * rate)
    starts = np.asarray([round(cue.time_s * rate) for cue in cues], np.int64)
    step = round(BLOCK_S * rate)
    for begin in range(0, total, step):
        end = min(total, begin + step)
        block = np.zeros(end - begin)
        first = np.searchsorted(starts, begin - len(sound), side="right")
        for place in range(first, int(np.searchsorted(starts, end))):
            start = int(starts[place])
            own = sound[max(0, begin - start) : end - start]
            at = max(0, start - begin)
            block[at : at + len(own)] += cues[place].strength * own
        yield np.clip(block, -1, 1).astype(np.float32)


def write_dub(
    path: str | os.PathLike, cues: Sequence[Cue], duration_s: float, sound: np.ndarray
) -> None:
    """Writes the track as a WAV file of 16 bits, mono; it appears whole or not at all.

    Args:
      path: of the file.
      cues, duration_s, sound: as in `blocks`, at `RATE`.

    Raises:
      OSError: if it cannot be written.
    """
    with drafts.draft_file(path) as draft, wave.open(str(draft), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for block in blocks(cues, duration_s, sound):
            file.writeframes(np.round(32767 * block).astype("<i2").tobytes())
