"""The sight-and-sound system in the paper's reading, with the names `rac convert to-torch` writes.

The state dict of a model of ours in this form loads into `SightSound` as it is.
"""

import torch
from torch import nn

from benchmarks.torch_reference import resnet, s3d
from benchmarks.torch_reference.layers import pooled


class S3DVector(nn.Module):
    """A copy of S3D's last stage, pooled to [B, 1024], with the names it has in the S3D."""

    def __init__(self):
        super().__init__()
        self.features = nn.ModuleDict(
            zip(("13", "14", "15"), s3d.stage4(), strict=True)
        )

    def forward(self, stage3):
        for layer in self.features.values():
            stage3 = layer(stage3)
        return pooled(stage3)


class ResNetVector(nn.Module):
    """A copy of ResNet-18's last stage, pooled to [B, 512]."""

    def __init__(self):
        super().__init__()
        self.layer4 = resnet.stage(256, 512)

    def forward(self, stage3):
        return pooled(self.layer4(stage3))


class Head(nn.Module):
    """Features to (count [B], counts [B, P], classes [B, P]), Eq. 2-3."""

    def __init__(self, width: int, classes: int):
        super().__init__()
        self.counts = nn.Linear(width, classes)
        self.classes = nn.Linear(width, classes)

    def forward(self, features):
        counts, classes = self.counts(features), self.classes(features).softmax(dim=-1)
        return (counts * classes).sum(dim=-1), counts, classes


class Ranker(nn.Module):
    """Stage-3 features of both streams to a score [B]; `sound` is None for sight alone."""

    def __init__(self, with_sound: bool):
        super().__init__()
        self.sight = S3DVector()
        self.sound = ResNetVector() if with_sound else None
        self.score = nn.Linear(1024 + 512 * with_sound, 1)

    def forward(self, sight, sound=None):
        vectors = [self.sight(sight)]
        if self.sound is not None:
            vectors.append(self.sound(sound))
        return self.score(torch.cat(vectors, dim=-1))[:, 0]


class Reliability(nn.Module):
    """Sound stage-3 and pooled sight features to the weight of the sound, [B]."""

    def __init__(self):
        super().__init__()
        self.sound = ResNetVector()
        self.score = nn.Linear(512 + 1024, 1)

    def forward(self, sound, sight):
        both = torch.cat([self.sound(sound), sight], dim=-1)
        return torch.sigmoid(self.score(both)[:, 0])


class SightSound(nn.Module):
    """The whole system."""

    def __init__(self, sight_classes: int = 41, sound_classes: int = 43):
        super().__init__()
        self.sight_encoder = s3d.S3D()
        self.sound_encoder = resnet.ResNet18()
        del self.sight_encoder.classifier, self.sound_encoder.fc
        self.sight_head = Head(1024, sight_classes)
        self.sound_head = Head(512, sound_classes)
        self.ranker = Ranker(with_sound=True)
        self.solo_ranker = Ranker(with_sound=False)
        self.reliability_head = Reliability()

    def forward(self, clips, spectrograms):
        """Clips [B, 3, T, H, W] and spectrograms [B, 1, F, n] to a dict of [B] and [B, P]."""
        sight = self.sight_encoder(clips)
        sound = self.sound_encoder(spectrograms)
        sight_count, sight_counts, sight_classes = self.sight_head(sight.features)
        sound_count, sound_counts, sound_classes = self.sound_head(sound.features)
        return {
            "sight_count": sight_count,
            "sight_counts": sight_counts,
            "sight_classes": sight_classes,
            "sound_count": sound_count,
            "sound_counts": sound_counts,
            "sound_classes": sound_classes,
            "solo_score": self.solo_ranker(sight.stage3),
            "score": self.ranker(sight.stage3, sound.stage3),
            "reliability": self.reliability_head(sound.stage3, sight.features),
        }
