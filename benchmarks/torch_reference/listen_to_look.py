"""Listen to Look's networks in PyTorch, with the names of the authors' released files."""

import torch
from torch import nn

from benchmarks.torch_reference.resnet import stage

MASKED = -1e35


class VisualNet(nn.Module):
    """Frames [B, 3, H, W] to [B, 8·base]."""

    def __init__(self, base: int = 64, channels: int = 3, stride: int = 2):
        super().__init__()
        self.feature_extraction = nn.Sequential(
            nn.Conv2d(channels, base, 7, stride, 3, bias=False),
            nn.BatchNorm2d(base),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            stage(base, base, stride=1),
            stage(base, 2 * base),
            stage(2 * base, 4 * base),
            stage(4 * base, 8 * base),
        )

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """The mean over places."""
        return self.feature_extraction(frames).mean((2, 3))


class AudioNet(VisualNet):
    """Patches [B, 1, 101, 40] to [B, 8·base]."""

    def __init__(self, base: int = 64):
        super().__init__(base, channels=1, stride=1)
        self.conv1 = self.feature_extraction[0]
        self.freq_conv1x1 = nn.Conv2d(3, 1, 1)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Rows of frequency merged, the maximum over time."""
        x = self.feature_extraction(patches)  # [B, C, 7, 3]
        x = self.freq_conv1x1(x.permute(0, 3, 1, 2))  # [B, 1, C, 7]
        return x[:, 0].amax(-1)


def pooled_over_time(x: torch.Tensor, linear: nn.Linear) -> torch.Tensor:
    """The supplement's end of the audio network: [B, C, T, 3] to the linear layer's units."""
    return linear(x.mean(2).transpose(1, 2).flatten(1))


class _Fusion(nn.Module):
    def __init__(self, features, hidden, fused):
        super().__init__()
        self.imageAudio_fc1 = nn.Linear(2 * features, hidden)
        self.imageAudio_fc2 = nn.Linear(hidden, fused)

    def forward(self, image, audio):
        x = torch.cat([image, audio], -1)
        return self.imageAudio_fc2(torch.relu(self.imageAudio_fc1(x)))


class _Classifier(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.classifier = nn.Linear(features, classes)

    def forward(self, x):
        return self.classifier(x)


def _query(hidden, keys):
    return nn.Sequential(
        nn.Linear(hidden, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, keys),
    )


def _key(features, keys):
    return nn.Sequential(nn.Conv2d(features, keys, 1), nn.BatchNorm2d(keys), nn.ReLU())


class _NormalisedCell(nn.Module):
    """An LSTM cell whose matrices are a length and a direction per row, lengths drawn anew."""

    def __init__(self, cell):
        super().__init__()
        self.bias_ih, self.bias_hh = cell.bias_ih, cell.bias_hh
        for name in ("weight_hh", "weight_ih"):
            direction = getattr(cell, name)
            length = nn.Parameter(torch.linspace(0.5, 1.5, len(direction))[:, None])
            setattr(self, f"{name}_g", length)
            setattr(self, f"{name}_v", nn.Parameter(direction.detach().clone()))

    def forward(self, x, state):
        if state is None:
            nothing = x.new_zeros(len(x), self.bias_ih.shape[0] // 4)
            state = (nothing, nothing)
        weights = [
            length * direction / direction.norm(dim=1, keepdim=True)
            for length, direction in (
                (self.weight_ih_g, self.weight_ih_v),
                (self.weight_hh_g, self.weight_hh_v),
            )
        ]
        return torch.lstm_cell(x, state, *weights, self.bias_ih, self.bias_hh)


class Skimming(nn.Module):
    """Skimming of two banks, or of one.

    Args:
      classes, features, hidden, keys, fused: widths.
      banks: 1 or 2.
      normalised: weight normalisation of the LSTM.
    """

    def __init__(
        self, classes, features, hidden, keys, fused, banks=2, normalised=True
    ):
        super().__init__()
        self.banks, self.keys = banks, keys
        if banks == 2:
            self.net_imageAudio = _Fusion(features, hidden, fused)
            self.image_queryfeature_mlp = _query(hidden, keys)
            self.audio_queryfeature_mlp = _query(hidden, keys)
            self.image_key_conv1x1 = _key(features, keys)
            self.audio_key_conv1x1 = _key(features, keys)
            self.modality_attention = nn.Linear(hidden, 2)
        else:
            self.queryfeature_mlp = _query(hidden, keys)
            self.key_conv1x1 = _key(features, keys)
            fused = features
        self.net_classifier = _Classifier(fused, classes)
        self.prediction_fc = nn.Linear(hidden, classes)
        self.rnn = nn.LSTMCell(fused, hidden)
        if normalised:
            self.rnn = _NormalisedCell(self.rnn)

    def forward(self, banks, valid, steps, indexing="soft", start=None):
        """Scores of the mean [B, P], of the states [B, T, P], and indices [B, T, banks]."""
        if self.banks == 2:
            asks = (self.image_queryfeature_mlp, self.audio_queryfeature_mlp)
            makes = (self.image_key_conv1x1, self.audio_key_conv1x1)
        else:
            asks, makes = (self.queryfeature_mlp,), (self.key_conv1x1,)
        keys = [
            make(bank.transpose(1, 2)[..., None])[..., 0]
            for make, bank in zip(makes, banks, strict=True)
        ]  # [B, keys, N]
        rows = torch.arange(len(valid))
        free = [valid.clone() for _ in banks]
        if start is not None:
            for one in free:
                one[rows, start] = False
        lengths = valid.sum(1, keepdim=True)
        x = self._joined([(bank * valid[..., None]).sum(1) / lengths for bank in banks])
        state, read, states, indices = None, [], [], []
        for _ in range(steps):
            state = self.rnn(x, state)
            weights = []
            for ask, key, one in zip(asks, keys, free, strict=True):
                scores = (ask(state[0])[:, :, None] * key).sum(1) / self.keys**0.5
                weights.append(scores.masked_fill(~one, MASKED).softmax(-1))
            tops = [one.argmax(-1) for one in weights]
            for one, top in zip(free, tops, strict=True):
                one[rows, top] = False
            if indexing == "visual":
                image = (weights[0][..., None] * banks[0]).sum(1)
                parts = [image, banks[1][rows, tops[0]]]
            else:
                share = torch.ones(len(valid), 1)
                if self.banks == 2:
                    share = self.modality_attention(state[0]).softmax(-1)
                parts = []
                for bank in banks:
                    total = 0
                    for place, (one, top) in enumerate(zip(weights, tops, strict=True)):
                        seen = (one[..., None] * bank).sum(1)
                        if indexing == "hard":
                            seen = bank[rows, top]
                        total = total + share[:, place, None] * seen
                    parts.append(total)
            x = self._joined(parts)
            read.append(x)
            states.append(self.prediction_fc(state[0]))
            indices.append(torch.stack(tops, -1))
        mean = torch.stack(read, 1).mean(1)
        return (
            self.net_classifier(mean),
            torch.stack(states, 1),
            torch.stack(indices, 1),
        )

    def _joined(self, parts):
        return self.net_imageAudio(*parts) if self.banks == 2 else parts[0]
