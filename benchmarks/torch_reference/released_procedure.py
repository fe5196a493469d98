"""The released counting procedure in plain PyTorch: what a user of the authors' code runs.

Written from the description of the procedure, over arrays that hold the whole video, the way
one writes it first: strides, windows and reliability each cut their own clips and send them
through the networks, so a clip that two of them need is encoded twice. It is the reference
that our counting is held to, and the other side of `rac bench --suite full --mode count`.
"""

import dataclasses

import numpy as np
import scipy.signal
import torch
from torch.nn import functional

from benchmarks.torch_reference.release import Release

STRIDES = (1, 2, 3, 4, 5)
CLIP = 64
SEGMENT = 500
SIGHT_BINS = torch.arange(2, 36, dtype=torch.float32)
SOUND_BINS = torch.arange(2, 20, dtype=torch.float32)
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


@dataclasses.dataclass
class Answer:
    """What the procedure gives, and how many clips and segments it encoded."""

    stride: int
    stride_scores: list[float]
    sight: float
    sound: float
    sight_weight: float
    count: float
    sight_clips: int
    sound_segments: int
    random_pairs: int


class ReleasedProcedure:
    """Counts one video.

    Args:
      networks: the released networks, in eval mode.
      frames: uint8 [n, 112, 112, 3].
      waveform: float32 [S] at 22050 Hz.
      seed: for the random pairs.
    """

    def __init__(
        self,
        networks: Release,
        frames: np.ndarray,
        waveform: np.ndarray,
        seed: int = 0,
    ):
        self.networks = networks
        self.video = (frames.astype(np.float32) / 255 - MEAN) / STD
        _, _, density = scipy.signal.spectrogram(
            waveform, 22050, nperseg=512, noverlap=353
        )
        log = np.log(density + 1e-7)
        self.spectrogram = ((log - log.mean()) / (log.std() + 1e-9)).astype(np.float32)
        self.rng = np.random.default_rng(seed)
        self.sight_clips = 0
        self.sound_segments = 0

    @torch.inference_mode()
    def count(self) -> Answer:
        """Runs the whole procedure."""
        scores = self.stride_scores()
        stride = STRIDES[int(np.argmax(scores))]
        sound = self.sound_count()
        sight = self.sight_count(stride)
        weight, random_pairs = self.sight_weight(stride, sound)
        return Answer(
            stride=stride,
            stride_scores=scores,
            sight=sight,
            sound=sound,
            sight_weight=weight,
            count=weight * sight + (1 - weight) * sound,
            sight_clips=self.sight_clips,
            sound_segments=self.sound_segments,
            random_pairs=random_pairs,
        )

    def clip(self, start: int, stride: int) -> np.ndarray:
        """64 frames from `start` on at a stride, zeros beyond the end."""
        out = np.zeros((CLIP, *self.video.shape[1:]), np.float32)
        frames = self.video[start : start + CLIP * stride : stride]
        out[: len(frames)] = frames
        return out

    def encode_sight(self, clips: list[np.ndarray]):
        """The sight network on a list of clips, one call."""
        self.sight_clips += len(clips)
        batch = torch.from_numpy(np.stack(clips)).permute(0, 4, 1, 2, 3).contiguous()
        return self.networks.sight(batch)

    def encode_sound(self, segments: list[np.ndarray]):
        """The sound network on a list of segments [257, 500], one call."""
        self.sound_segments += len(segments)
        return self.networks.sound(torch.from_numpy(np.stack(segments))[:, None])

    @staticmethod
    def pad(segment: np.ndarray) -> np.ndarray:
        """Zeros up to 500 columns."""
        return np.pad(segment, ((0, 0), (0, SEGMENT - segment.shape[1])))

    @staticmethod
    def squeeze(segment: np.ndarray) -> np.ndarray:
        """Bilinear resize to 500 columns."""
        resized = functional.interpolate(
            torch.from_numpy(np.ascontiguousarray(segment))[None, None],
            size=(segment.shape[0], SEGMENT),
            mode="bilinear",
            align_corners=False,
        )
        return resized[0, 0].numpy()

    def fit(self, segment: np.ndarray) -> np.ndarray:
        """A segment of 500 columns, padded or resized."""
        return (
            self.pad(segment) if segment.shape[1] < SEGMENT else self.squeeze(segment)
        )

    @staticmethod
    def expectation(bin_logits, class_logits, bins) -> np.ndarray:
        """Expected count under the softmax over bins, averaged over the classes' softmax."""
        per_class = (
            bin_logits.reshape(len(bin_logits), -1, len(bins)).softmax(dim=-1) @ bins
        )
        return (per_class * class_logits.softmax(dim=-1)).sum(dim=-1).numpy()

    def stride_scores(self) -> list[float]:
        """The score of each stride on the first clip and its share of the spectrogram."""
        frames, columns = len(self.video), self.spectrogram.shape[1]
        segments = []
        for stride in STRIDES:
            share = CLIP * stride / frames
            if share > 1:
                beyond = int(np.round((share - 1) * columns))
                segments.append(
                    self.fit(np.pad(self.spectrogram, ((0, 0), (0, beyond))))
                )
            else:
                segments.append(
                    self.fit(self.spectrogram[:, : int(np.round(share * columns))])
                )
        _, _, sound_stage3, _ = self.encode_sound(segments)
        _, class_logits, stage3, _ = self.encode_sight(
            [self.clip(0, s) for s in STRIDES]
        )
        units = self.networks.stride(stage3, self.networks.stride_sound(sound_stage3))
        return (units * class_logits.softmax(dim=-1)).sum(dim=-1).tolist()

    def sight_count(self, stride: int) -> float:
        """Windows at the stride, the tail averaged with a window at stride + 2."""
        frames, span = len(self.video), CLIP * stride
        starts = list(range(0, frames, span))
        logits = self.encode_sight([self.clip(start, stride) for start in starts])
        counts = self.expectation(logits[0], logits[1], SIGHT_BINS)
        if frames < span or starts[-1] + span <= frames:
            return float(counts.sum())
        logits = self.encode_sight([self.clip(max(0, starts[-1] - span), stride + 2)])
        wide = float(self.expectation(logits[0], logits[1], SIGHT_BINS)[0])
        if len(counts) <= 2:
            return float(counts.sum() + wide) / 2
        return float(counts[:-2].sum()) + (wide + float(counts[-2:].sum())) / 2

    def sound_count(self) -> float:
        """Segments of 500 columns, or the squeezed whole when they hold few repetitions."""
        columns = self.spectrogram.shape[1]
        segments = [
            self.pad(self.spectrogram[:, k : k + SEGMENT])
            for k in range(0, columns, SEGMENT)
        ]
        logits = self.encode_sound(segments)
        total = float(self.expectation(logits[0], logits[1], SOUND_BINS).sum())
        if total < 16 and columns > SEGMENT:
            logits = self.encode_sound([self.squeeze(self.spectrogram)])
            total = float(self.expectation(logits[0], logits[1], SOUND_BINS)[0])
        return total

    def sight_weight(self, stride: int, sound: float) -> tuple[float, int]:
        """The mean reliability of sight over paired windows, and how many pairs are random."""
        frames, span, columns = (
            len(self.video),
            CLIP * stride,
            self.spectrogram.shape[1],
        )
        if sound > 11 and columns > SEGMENT:
            starts = [
                k for k in range(0, columns, SEGMENT) if k + SEGMENT < columns
            ] or [0]
            segments = [self.spectrogram[:, k : k + SEGMENT] for k in starts]
        elif columns > SEGMENT:
            segments = [self.squeeze(self.spectrogram)]
        else:
            segments = [self.pad(self.spectrogram)]
        starts = [k for k in range(0, frames, span) if k + span < frames] or [0]
        clips = [self.clip(start, stride) for start in starts]
        missing = len(clips) - len(segments)
        segments += [
            segments[i] for i in self.rng.choice(len(segments), max(0, missing))
        ]
        clips += [clips[i] for i in self.rng.choice(len(clips), max(0, -missing))]
        _, _, sound_stage3, _ = self.encode_sound(segments)
        _, _, _, features = self.encode_sight(clips)
        units = self.networks.reliability(sound_stage3, features)
        return float(torch.sigmoid(units[:, 0]).mean()), abs(missing)
