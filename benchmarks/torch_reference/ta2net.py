"""TA2Net with the names of its released modules, joined as its paper's figure joins them.

The authors' own model hands tensors of the wrong rank from one module to the next and does not run;
its modules do. They are here as they are known: ResNet-50 to the third stage and 1x1 to 256, attention
that asks with the image, a convolution across time, similarities over the root of 64 and TransRAC's
transformer with two classes.
"""

import torch
from torch import nn

from benchmarks.torch_reference.resnet50 import ResNet50
from benchmarks.torch_reference.transrac import HEADS, Encoder, Head, Similarities


class FrameNet(ResNet50):
    """An encoder of frames."""

    def __init__(self, base):
        super().__init__(0, base, ("firstconv", "firstbn"))
        self.conv_256 = nn.Conv2d(16 * base, 4 * base, 1, bias=False)
        self.bn_256 = nn.BatchNorm2d(4 * base)

    def forward(self, x):
        return torch.relu(self.bn_256(self.conv_256(super().forward(x))))


class Attention(nn.Module):
    """Asks with the image, keys are the kinematics', values the image's."""

    def __init__(self, wide):
        super().__init__()
        self.query_conv = nn.Conv2d(wide, wide // 8, 1)
        self.key_conv = nn.Conv2d(2 * wide, wide // 8, 1)
        self.value_conv = nn.Conv2d(wide, wide, 1)

    def forward(self, image, motion):
        query = self.query_conv(image).flatten(2).transpose(1, 2)  # [B, P, c]
        key = self.key_conv(motion).flatten(2)  # [B, c, P]
        value = self.value_conv(image).flatten(2).transpose(1, 2)  # [B, P, C]
        weights = (query @ key / query.shape[-1] ** 0.5).softmax(-1)
        return (weights @ value).transpose(1, 2).reshape(image.shape)


class Disentangler(nn.Module):
    """The discriminative map, and what is seen with and without it."""

    def __init__(self, wide):
        super().__init__()
        self.activation_head = nn.Conv2d(wide, 1, 3, padding=1, bias=False)
        self.bn_head = nn.BatchNorm2d(1)

    def forward(self, x):
        shown = torch.sigmoid(self.bn_head(self.activation_head(x)))  # [B, 1, h, w]
        flat, features = shown.flatten(1), x.flatten(2)  # [B, P], [B, C, P]
        places = flat.shape[1]
        motion = torch.einsum("bp,bcp->bc", flat, features) / places
        rest = torch.einsum("bp,bcp->bc", 1 - flat, features) / places
        return shown[:, 0], motion, rest


class Decoder(nn.Module):
    """Features of a clip to two classes per frame."""

    def __init__(self, depth, wide, frames):
        super().__init__()
        self.conv3D = nn.Conv3d(depth, wide, 3, padding=(3, 1, 1), dilation=(3, 1, 1))
        self.bn1 = nn.BatchNorm3d(wide)
        self.sims = Similarities(wide)
        self.conv3x3 = nn.Conv2d(HEADS, 32, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(32)
        self.input_projection = nn.Linear(frames * 32, wide)
        self.ln1 = nn.LayerNorm(wide)
        self.transEncoder = Encoder(frames, wide, wide)
        self.cls = Head(wide, wide // 2)
        self.cls.layers[7] = nn.Linear(wide // 2, 2)

    def forward(self, x):
        """x [B, C, N, h, w] to [B, N, 2]."""
        y = torch.relu(self.bn1(self.conv3D(x))).amax(dim=(3, 4)).transpose(1, 2)
        y = torch.relu(self.bn2(self.conv3x3(self.sims(y, 64))))
        y = y.permute(0, 2, 3, 1).flatten(2)
        y = self.ln1(torch.relu(self.input_projection(y)))
        return self.cls(self.transEncoder(y.transpose(0, 1)).transpose(0, 1))


class TA2Net(nn.Module):
    """All modules; `base` 64 and 64 frames are the published sizes."""

    def __init__(self, base=64, frames=64):
        super().__init__()
        wide = 4 * base
        self.video_net, self.flow_net = FrameNet(base), FrameNet(base)
        self.d2f_net = FrameNet(base)
        self.sim_decoder = Decoder(3 * wide, 8 * base, frames)
        self.disent = Disentangler(3 * wide)
        self.v2f, self.v2df = Attention(wide), Attention(wide)

    def forward(self, video, flow, inflection):
        """Pictures [B, N, 3, H, W], and of both kinds of flow a pair, backward and forward."""
        batch, frames = video.shape[:2]

        def both(net, pair):
            return torch.cat([net(one.flatten(0, 1)) for one in pair], dim=1)

        image = self.video_net(video.flatten(0, 1))
        moved = self.v2f(image, both(self.flow_net, flow))
        turned = self.v2df(image, both(self.d2f_net, inflection))
        x = torch.cat([image, moved, turned], dim=1)  # [B·N, C, h, w]
        shown, motion, rest = self.disent(x)
        clip = x.unflatten(0, (batch, frames)).transpose(1, 2)
        found = (shown, motion, rest)
        maps = [one.unflatten(0, (batch, frames)) for one in found]
        return self.sim_decoder(clip), *maps
