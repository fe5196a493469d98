"""The released counting procedure in plain PyTorch: what a user of the authors' code runs.

Written from the description of the procedure, over arrays that hold the whole video, step by
step and in its order: normalise, choose the stride, count by sound, count by sight, weigh the
two. Every step cuts its own clips and sends them through the networks, so a clip that two of
them need is encoded twice. It is the reference that our counting is held to, and the other side
of `rac bench --suite full --mode count`.
"""

import dataclasses

import numpy as np
import scipy.signal
import torch
from torch.nn import functional

from benchmarks.torch_reference.release import Release

STRIDES = (1, 2, 3, 4, 5)
CLIP = 64
ROWS, SEGMENT = 257, 500
RATE = 22050
SIGHT_BINS = torch.arange(2, 36, dtype=torch.float32)
SOUND_BINS = torch.arange(2, 20, dtype=torch.float32)
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


@dataclasses.dataclass
class Answer:
    """What the procedure gives; without sound, "sound" and "sight_weight" are None."""

    stride: int
    stride_scores: list[float]
    sight: float
    sound: float | None
    sight_weight: float | None
    count: float


@dataclasses.dataclass
class ReleasedProcedure:
    """Counts one video.

    Attributes:
      networks: the released networks, in eval mode.
      frames: uint8 [n, 112, 112, 3].
      waveform: float32 [S] at 22050 Hz, None without sound.
      stride: the temporal stride in frames; None chooses it by the networks' scores.
      seed: of the random pairs.
    """

    networks: Release
    frames: np.ndarray
    waveform: np.ndarray | None
    stride: int | None = None
    seed: int = 0

    @torch.inference_mode()
    def count(self) -> Answer:
        """Runs the whole procedure."""
        video = (self.frames.astype(np.float32) / 255 - MEAN) / STD
        spectrogram = standardised_spectrogram(self.waveform)
        scores = []
        if self.stride is None:
            scores = stride_scores(self.networks, video, spectrogram)
            stride = STRIDES[int(np.argmax(scores))]
        else:
            stride = self.stride
        sight = count_sight(self.networks, video, stride)
        if self.waveform is None:
            return Answer(stride, scores, sight, None, None, sight)

        sound = count_sound(self.networks, spectrogram)
        clips, segments = reliability_inputs(
            video, spectrogram, stride, sound, np.random.default_rng(self.seed)
        )
        weight = sight_weight(self.networks, clips, segments)
        fused = weight * sight + (1 - weight) * sound
        return Answer(stride, scores, sight, sound, weight, fused)


# The inputs.


def standardised_spectrogram(waveform: np.ndarray | None) -> np.ndarray:
    """[257, n] float32, standardised as a whole; n is 0 without sound."""
    if waveform is None:
        return np.zeros((ROWS, 0), np.float32)
    _, _, density = scipy.signal.spectrogram(waveform, RATE, nperseg=512, noverlap=353)
    log = np.log(density + 1e-7)
    return ((log - log.mean()) / (log.std() + 1e-9)).astype(np.float32)


def zeros_until(array: np.ndarray, length: int, axis: int) -> np.ndarray:
    """The array with zeros appended up to a length; one as long as that stays as it is."""
    missing = [(0, 0)] * array.ndim
    missing[axis] = (0, max(0, length - array.shape[axis]))
    return np.pad(array, missing)


def every(video: np.ndarray, start: int, stride: int) -> np.ndarray:
    """64 frames from `start` on, `stride` apart; past the end they are zeros."""
    padded = zeros_until(video, start + CLIP * stride, axis=0)
    return padded[start + stride * np.arange(CLIP)]


def resized(part: np.ndarray) -> np.ndarray:
    """Bilinear resize to 500 columns."""
    image = torch.from_numpy(np.ascontiguousarray(part))[None, None]
    size = (ROWS, SEGMENT)
    found = functional.interpolate(image, size, mode="bilinear", align_corners=False)
    return found[0, 0].numpy()


# The networks.


def device_of(networks: Release) -> torch.device:
    """Where the networks are."""
    return next(networks.parameters()).device


def run_sight(networks: Release, clips: list[np.ndarray]):
    """(bin logits, class logits, stage-3, features) of clips [n, H, W, 3] of one length."""
    batch = torch.from_numpy(np.stack(clips)).permute(0, 4, 1, 2, 3).contiguous()
    return networks.sight(batch.to(device_of(networks)))


def run_sound(networks: Release, segments: list[np.ndarray]):
    """(bin logits, class logits, stage-3, features) of segments [257, 500]."""
    batch = torch.from_numpy(np.stack(segments))[:, None]
    return networks.sound(batch.to(device_of(networks)))


def expected_counts(outputs, bins: torch.Tensor) -> list[float]:
    """Counts: per class the mean of the bins under its softmax, then the mean over classes."""
    bin_logits, class_logits = (logits.cpu() for logits in outputs[:2])
    classes = class_logits.shape[-1]
    found = []
    for row, class_row in zip(bin_logits, class_logits, strict=True):
        per_class = [part.softmax(dim=-1) @ bins for part in row.chunk(classes)]
        found.append(float(torch.stack(per_class) @ class_row.softmax(dim=-1)))
    return found


# The steps.


def stride_scores(
    networks: Release, video: np.ndarray, spectrogram: np.ndarray
) -> list[float]:
    """The score of every stride: its first 64 frames beside the matching share of the sound."""
    columns = spectrogram.shape[1]
    clips, segments = [], []
    for stride in STRIDES:
        clips.append(every(video, 0, stride))
        # What the share has past the end of the sound is padding, rounded by itself.
        share = CLIP * stride / len(video)
        if share > 1:
            past = int(np.round((share - 1) * columns))
            part = zeros_until(spectrogram, columns + past, axis=1)
        else:
            part = spectrogram[:, : int(np.round(share * columns))]
        short = part.shape[1] < SEGMENT
        segments.append(zeros_until(part, SEGMENT, axis=1) if short else resized(part))
    _, class_logits, sight_stage3, _ = run_sight(networks, clips)
    _, _, sound_stage3, _ = run_sound(networks, segments)
    units = networks.stride(sight_stage3, networks.stride_sound(sound_stage3))
    return (units * class_logits.softmax(dim=-1)).sum(dim=-1).tolist()


def count_sight(networks: Release, video: np.ndarray, stride: int) -> float:
    """The count by sight at a stride."""
    frames, span = len(video), CLIP * stride

    # A short video is padded to the span, and all of that is one clip: it is not subsampled.
    if frames < span:
        whole = zeros_until(video, span, axis=0)
        return expected_counts(run_sight(networks, [whole]), SIGHT_BINS)[0]

    starts = list(range(0, frames, span))
    clips = [every(video, start, stride) for start in starts]
    counts = expected_counts(run_sight(networks, clips), SIGHT_BINS)
    if frames % span == 0:
        return sum(counts)

    # An incomplete last window is looked at again, from one window earlier and wider apart.
    again = every(video, starts[-1] - span, stride + 2)
    (wide,) = expected_counts(run_sight(networks, [again]), SIGHT_BINS)
    if len(counts) <= 2:
        return (sum(counts) + wide) / 2
    return sum(counts[:-2]) + (wide + sum(counts[-2:])) / 2


def count_sound(networks: Release, spectrogram: np.ndarray) -> float:
    """The count by sound."""
    columns = spectrogram.shape[1]
    segments = [
        zeros_until(spectrogram[:, start : start + SEGMENT], SEGMENT, axis=1)
        for start in range(0, columns, SEGMENT)
    ]
    total = sum(expected_counts(run_sound(networks, segments), SOUND_BINS))
    if total < 16 and columns > SEGMENT:
        whole = run_sound(networks, [resized(spectrogram)])
        (total,) = expected_counts(whole, SOUND_BINS)
    return total


def reliability_inputs(
    video: np.ndarray,
    spectrogram: np.ndarray,
    stride: int,
    sound: float,
    rng: np.random.Generator,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The pairs of clips and segments that the reliability is estimated on.

    Complete windows are those that end before the last frame or column does. A video shorter
    than a window is padded and, unlike for its count, subsampled.
    """
    columns = spectrogram.shape[1]
    if columns <= SEGMENT:
        segments = [zeros_until(spectrogram, SEGMENT, axis=1)]
    elif sound > 11:
        starts = range(0, columns - SEGMENT, SEGMENT)
        segments = [spectrogram[:, start : start + SEGMENT] for start in starts]
    else:
        segments = [resized(spectrogram)]
    span = CLIP * stride
    starts = list(range(0, len(video) - span, span)) or [0]
    clips = [every(video, start, stride) for start in starts]

    # The shorter list is filled up from itself.
    missing = len(clips) - len(segments)
    if missing > 0:
        segments += [segments[i] for i in rng.choice(len(segments), missing)]
    elif missing < 0:
        clips += [clips[i] for i in rng.choice(len(clips), -missing)]
    return clips, segments


def sight_weight(
    networks: Release, clips: list[np.ndarray], segments: list[np.ndarray]
) -> float:
    """The reliability of sight: the mean over pairs of the sigmoid of the first unit."""
    _, _, sound_stage3, _ = run_sound(networks, segments)
    _, _, _, features = run_sight(networks, clips)
    units = networks.reliability(sound_stage3, features)
    return float(torch.sigmoid(units[:, 0]).mean())
