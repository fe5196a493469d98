"""The five networks of the sight-and-sound release, with the names of its four files.

visual_checkpoint.pt  state_dict       SightNet, every name led by "module."
audio_checkpoint.pt   state_dict       SoundNet
sr_checkpoint.pt      sr_state_dict    StrideNet, every name led by "module."
                      a_sr_state_dict  StrideSoundNet
conf_checkpoint.pt    v_state_dict     ReliabilityNet
"""

import os
import pathlib

import torch
from torch import nn

from benchmarks.torch_reference import r2plus1d, resnet
from benchmarks.torch_reference.layers import pooled, randomise, scaled_unit

SIGHT_CLASSES, SIGHT_BINS = 41, 34
SOUND_CLASSES, SOUND_BINS = 43, 18
# (file, key, attribute of `Release`, what leads every name)
FILES = (
    ("visual_checkpoint.pt", "state_dict", "sight", "module."),
    ("audio_checkpoint.pt", "state_dict", "sound", ""),
    ("sr_checkpoint.pt", "sr_state_dict", "stride", "module."),
    ("sr_checkpoint.pt", "a_sr_state_dict", "stride_sound", ""),
    ("conf_checkpoint.pt", "v_state_dict", "reliability", ""),
)


class SightNet(r2plus1d.R2Plus1D18):
    """Clips [B, 3, 64, 112, 112] to (bin logits, class logits, stage-3, pooled features)."""

    def __init__(self, base: int = 64, middle: int = 45):
        super().__init__(SIGHT_CLASSES * SIGHT_BINS, base, middle)
        self.fc2 = nn.Linear(8 * base, SIGHT_CLASSES)

    def forward(self, clips):
        encoded = super().forward(clips)
        features = encoded.features
        return self.fc(features), self.fc2(features), encoded.stage3, features


class SoundNet(nn.Module):
    """Spectrograms [B, 1, 257, 500] to (bin logits, class logits, stage-3, features)."""

    def __init__(self, base: int = 64):
        super().__init__()
        self.audnet = resnet.ResNet18(SOUND_CLASSES * SOUND_BINS, base)
        self.audnet.fc2 = nn.Linear(8 * base, SOUND_CLASSES)

    def forward(self, spectrograms):
        encoded = self.audnet(spectrograms)
        features = encoded.features
        logits = self.audnet.fc(features), self.audnet.fc2(features)
        return *logits, encoded.stage3, features


class StrideSoundNet(nn.Module):
    """Sound stage-3 features to a vector [B, 512]; `fc` is in the file and never used."""

    def __init__(self, base: int = 64):
        super().__init__()
        self.layer4 = resnet.stage(4 * base, 8 * base)
        self.fc = nn.Linear(8 * base, 1000)

    def forward(self, stage3):
        return pooled(self.layer4(stage3))


class StrideNet(nn.Module):
    """Sight stage-3 features and the sound vector to a score per sight class, [B, 41]."""

    def __init__(self, base: int = 64):
        super().__init__()
        self.layer4 = r2plus1d.stage(4 * base, 8 * base)
        self.fc = nn.Sequential(nn.Linear(16 * base, SIGHT_CLASSES))

    def forward(self, stage3, sound):
        sight = scaled_unit(pooled(self.layer4(stage3)), 9.0)
        return self.fc(torch.cat([sight, scaled_unit(sound, 9.0)], dim=-1))


class ReliabilityNet(nn.Module):
    """Sound stage-3 and pooled sight features to two units, [B, 2]."""

    def __init__(self, base: int = 64):
        super().__init__()
        self.layer4 = resnet.stage(4 * base, 8 * base)
        self.fc = nn.Sequential(nn.Dropout(0.27), nn.Linear(16 * base, 2))

    def forward(self, stage3, sight):
        sound = scaled_unit(pooled(self.layer4(stage3)), 14.0)
        return self.fc(torch.cat([sound, scaled_unit(sight, 14.0)], dim=-1))


class Release(nn.Module):
    """All five, with random weights.

    Args:
      seed: of the weights.
      base: channels of both encoders' first stage; 64 in the release.
      middle: channels between the convolutions of the sight encoder's stem; 45 there.
    """

    def __init__(self, seed: int = 0, base: int = 64, middle: int = 45):
        super().__init__()
        self.sight = SightNet(base, middle)
        self.sound = SoundNet(base)
        self.stride = StrideNet(base)
        self.stride_sound = StrideSoundNet(base)
        self.reliability = ReliabilityNet(base)
        randomise(self, seed)


def checkpoints(release: Release) -> dict[str, dict[str, dict[str, torch.Tensor]]]:
    """What the four files hold: {file: {key: state dict}}."""
    files = {}
    for file, key, part, lead in FILES:
        state = getattr(release, part).state_dict()
        named = {lead + name: tensor for name, tensor in state.items()}
        files.setdefault(file, {})[key] = named
    return files


def save(release: Release, folder: str | os.PathLike) -> dict[str, pathlib.Path]:
    """Writes the four files; returns their paths by name."""
    folder = pathlib.Path(folder)
    paths = {}
    for file, content in checkpoints(release).items():
        paths[file] = folder / file
        torch.save(content, paths[file])
    return paths
