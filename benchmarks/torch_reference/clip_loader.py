"""A plain PyTorch input pipeline of clips: decoding in the loader's workers, augmentation in the loop.

The usual way of a training script: a Dataset that decodes a video with PyAV up to the last frame
it wants, a DataLoader with workers, and random crops, flips and brightness on the batch.
"""

import pathlib

import av
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, RandomSampler

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1, 1)
ENDLESS = 10**6
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1, 1)


class Clips(Dataset):
    """A random clip of each video below a folder, uint8 [T, H, W, 3], and its class's number."""

    def __init__(
        self,
        folder: pathlib.Path,
        classes: tuple[str, ...],
        frames: int,
        stride: int,
        size: int,
    ):
        self.files = sorted(
            path for name in classes for path in (folder / name).glob("*.mp4")
        )
        self.classes, self.frames, self.stride = classes, frames, stride
        self.size = size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        path = self.files[index]
        with av.open(str(path)) as container:
            (stream,) = container.streams.video
            span = (self.frames - 1) * self.stride + 1
            first = int(torch.randint(0, max(1, stream.frames - span + 1), ()))
            wanted = first + self.stride * np.arange(self.frames)
            shown = []
            for place, frame in enumerate(container.decode(stream)):
                if place > wanted[-1]:
                    break
                if place >= first and (place - first) % self.stride == 0:
                    small = frame.reformat(self.size, self.size, "rgb24")
                    shown.append(small.to_ndarray())
        clip = np.stack([shown[i % len(shown)] for i in range(self.frames)])
        return torch.from_numpy(clip), self.classes.index(path.parent.name)


def make_loader(
    folder: pathlib.Path,
    classes: tuple[str, ...],
    *,
    frames: int,
    stride: int,
    size: int,
    batch: int,
    workers: int,
) -> DataLoader:
    """Batches (uint8 [B, T, H, W, 3], int64 [B]) without end: no epoch starts workers anew."""
    clips = Clips(folder, classes, frames, stride, size)
    sampler = RandomSampler(clips, replacement=True, num_samples=ENDLESS)
    return DataLoader(clips, batch, sampler=sampler, num_workers=workers)


def augmented(clips: torch.Tensor, size: int) -> torch.Tensor:
    """uint8 [B, T, H, W, 3] to normalised float [B, 3, T, size, size], cropped at random."""
    pixels = clips.permute(0, 4, 1, 2, 3).float() / 255
    batch, _, _, height, width = pixels.shape
    area = torch.empty(batch).uniform_(0.3, 1.0).sqrt()
    cropped = []
    for index in range(batch):
        side = max(1, int(height * area[index]))
        top = int(torch.randint(0, height - side + 1, ()))
        left = int(torch.randint(0, width - side + 1, ()))
        part = pixels[index, :, :, top : top + side, left : left + side]
        part = torch.nn.functional.interpolate(
            part.transpose(0, 1), (size, size), mode="bilinear", antialias=True
        )
        cropped.append(part.transpose(0, 1))  # [3, T, size, size]
    found = torch.stack(cropped)
    flip = torch.rand(batch, device=found.device) < 0.5
    found = torch.where(flip.view(-1, 1, 1, 1, 1), found.flip(-1), found)
    gain = torch.empty(batch, 1, 1, 1, 1, device=found.device).uniform_(0.6, 1.4)
    found = (found * gain).clamp(0, 1)
    return (found - MEAN.to(found)) / STD.to(found)
