"""ST-GCN and MS-G3D in PyTorch, in the layouts of their authors' checkpoints.

Written from the two papers and the published names and shapes. Poses come as [N, 3, T, V, M]; both
networks return the features of every fourth frame [N, T', C], means over joints and people.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional


def graph_hops(edges, joints):
    """[V, V] shortest distances, by breadth-first search."""
    near = {joint: set() for joint in range(joints)}
    for a, b in edges:
        near[a].add(b)
        near[b].add(a)
    hops = np.full((joints, joints), np.inf)
    for start in range(joints):
        front, distance = {start}, 0
        seen = set()
        while front:
            for joint in front:
                hops[start, joint] = distance
            seen |= front
            front = set().union(*(near[joint] for joint in front)) - seen
            distance += 1
    return hops


def partition(edges, joints, centre):
    """ST-GCN's [3, V, V] of the spatial strategy."""
    hops = graph_hops(edges, joints)
    parts = np.zeros((3, joints, joints), np.float32)
    for target in range(joints):
        sources = [joint for joint in range(joints) if hops[joint, target] <= 1]
        for source in sources:
            far = hops[source, centre].min() - hops[target, centre].min()
            part = 0 if source == target else 2 if far < 0 else 1
            parts[part, source, target] = 1 / len(sources)
    return parts


class GraphConvolution(nn.Module):
    def __init__(self, inputs, channels):
        super().__init__()
        self.conv = nn.Conv2d(inputs, 3 * channels, 1)

    def forward(self, x, graph):
        y = self.conv(x)
        y = y.view(len(y), 3, -1, *y.shape[2:])
        return sum(y[:, part] @ graph[part] for part in range(3))


class STGCNBlock(nn.Module):
    def __init__(self, inputs, channels, stride, first):
        super().__init__()
        self.gcn = GraphConvolution(inputs, channels)
        self.tcn = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, (9, 1), (stride, 1), (4, 0)),
            nn.BatchNorm2d(channels),
        )
        self.first = first
        if not first and (inputs != channels or stride > 1):
            self.residual = nn.Sequential(
                nn.Conv2d(inputs, channels, 1, (stride, 1)), nn.BatchNorm2d(channels)
            )

    def forward(self, x, graph):
        y = self.tcn(self.gcn(x, graph))
        if not self.first:
            y = y + (self.residual(x) if hasattr(self, "residual") else x)
        return functional.relu(y)


class STGCN(nn.Module):
    """`graph` is [3, V, V]; `widths` (channels, stride) of its blocks."""

    def __init__(self, graph, widths=None, classes=400):
        super().__init__()
        widths = widths or [
            *[(64, 1)] * 4,
            *[(128, 2), (128, 1), (128, 1)],
            *[(256, 2), (256, 1), (256, 1)],
        ]
        self.register_buffer("A", torch.as_tensor(graph))
        self.data_bn = nn.BatchNorm1d(3 * graph.shape[1])
        inputs, blocks = 3, []
        for channels, stride in widths:
            blocks.append(STGCNBlock(inputs, channels, stride, not blocks))
            inputs = channels
        self.st_gcn_networks = nn.ModuleList(blocks)
        self.edge_importance = nn.ParameterList(
            nn.Parameter(torch.ones(self.A.shape)) for _ in blocks
        )
        self.fcn = nn.Conv2d(inputs, classes, 1)

    def forward(self, poses):
        number, wide, frames, joints, people = poses.shape
        x = poses.permute(0, 4, 3, 1, 2).reshape(-1, joints * wide, frames)
        x = self.data_bn(x).view(-1, joints, wide, frames).permute(0, 2, 3, 1)
        for block, importance in zip(
            self.st_gcn_networks, self.edge_importance, strict=True
        ):
            x = block(x, self.A * importance)
        return x.mean(3).view(number, people, x.shape[1], -1).mean(1).transpose(1, 2)


def disentangled(near, scales):
    """MS-G3D's [K · V, V]: joints at exactly k hops, and oneself."""
    reach = [
        np.linalg.matrix_power(near + np.eye(len(near)), k) > 0 for k in range(scales)
    ]
    found = []
    for k in range(scales):
        exactly = np.eye(len(near))
        if k:
            exactly = exactly + (reach[k] & ~reach[k - 1])
        degree = np.diag(exactly.sum(1) ** -0.5)
        found.append(degree @ exactly @ degree)
    return np.concatenate(found).astype(np.float32)


class MLP(nn.Module):
    def __init__(self, inputs, channels):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, channels, 1), nn.BatchNorm2d(channels)
        )

    def forward(self, x):
        return self.layers(x)


class ScalesOfJoints(nn.Module):
    def __init__(self, inputs, channels, near, scales):
        super().__init__()
        self.scales = scales
        graph = torch.as_tensor(disentangled(near, scales))
        self.register_buffer("graph", graph, persistent=False)
        self.A_res = nn.Parameter(torch.empty(graph.shape).uniform_(-1e-6, 1e-6))
        self.mlp = MLP(inputs * scales, channels)

    def forward(self, x):
        joints = x.shape[-1]
        graph = (self.graph + self.A_res).view(self.scales, joints, joints)
        y = torch.cat([x @ one.T for one in graph], dim=1)
        return functional.relu(self.mlp(y))


class Windows(nn.Module):
    """Frames of a window side by side in the joints."""

    def __init__(self, size, stride):
        super().__init__()
        self.size, self.stride = size, stride

    def forward(self, x):
        half = self.size // 2
        padded = functional.pad(x, (0, 0, half, half))
        places = range(0, x.shape[2], self.stride)
        seen = [padded[:, :, place : place + self.size] for place in places]
        return torch.stack(seen, dim=2).flatten(3)


class WindowGraph(nn.Module):
    def __init__(self, inputs, channels, near, scales, size, stride):
        super().__init__()
        self.size = size
        inner = channels if inputs == 3 else inputs
        near = np.tile(near + np.eye(len(near)), (size, size))
        self.gcn3d = nn.Sequential(
            Windows(size, stride), ScalesOfJoints(inputs, inner, near, scales)
        )
        self.out_conv = nn.Conv3d(inner, channels, (1, size, 1))
        self.out_bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        y = self.gcn3d(x)
        y = y.unflatten(3, (self.size, -1))
        return self.out_bn(self.out_conv(y).squeeze(3))


class WindowGraphs(nn.Module):
    def __init__(self, inputs, channels, near, scales, stride):
        super().__init__()
        self.gcn3d = nn.ModuleList(
            WindowGraph(inputs, channels, near, scales, size, stride) for size in (3, 5)
        )

    def forward(self, x):
        return sum(one(x) for one in self.gcn3d)


class ConvNorm(nn.Module):
    def __init__(self, inputs, channels, taps=1, stride=1, dilation=1):
        super().__init__()
        reach = taps // 2 * dilation
        self.conv = nn.Conv2d(
            inputs, channels, (taps, 1), (stride, 1), (reach, 0), (dilation, 1)
        )
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        return self.bn(self.conv(x))


class ScalesOfTime(nn.Module):
    def __init__(self, inputs, channels, stride=1, relu=True):
        super().__init__()
        own = channels // 6

        def reduce(stride=1):
            return nn.Conv2d(inputs, own, 1, (stride, 1)), nn.BatchNorm2d(own)

        branches = [
            nn.Sequential(*reduce(), nn.ReLU(), ConvNorm(own, own, 3, stride, dilation))
            for dilation in (1, 2, 3, 4)
        ]
        pool = nn.MaxPool2d((3, 1), (stride, 1), (1, 0))
        branches.append(nn.Sequential(*reduce(), nn.ReLU(), pool, nn.BatchNorm2d(own)))
        branches.append(nn.Sequential(*reduce(stride)))
        self.branches = nn.ModuleList(branches)
        self.relu = relu
        if inputs != channels or stride > 1:
            self.residual = ConvNorm(inputs, channels, stride=stride)

    def forward(self, x):
        y = torch.cat([branch(x) for branch in self.branches], dim=1)
        y = y + (self.residual(x) if hasattr(self, "residual") else x)
        return functional.relu(y) if self.relu else y


class MSG3D(nn.Module):
    """`near` is [V, V] of 0 and 1; `widths` are the channels of its stages."""

    def __init__(
        self, near, scales=8, window_scales=8, people=2, widths=None, classes=400
    ):
        super().__init__()
        self.data_bn = nn.BatchNorm1d(people * 3 * len(near))
        inputs = 3
        for number, channels in enumerate(widths or (96, 192, 384), start=1):
            stride = 1 if number == 1 else 2
            inner = channels if number == 1 else inputs
            windows = WindowGraphs(inputs, channels, near, window_scales, stride)
            setattr(self, f"gcn3d{number}", windows)
            joints = nn.Sequential(
                ScalesOfJoints(inputs, inner, near, scales),
                ScalesOfTime(inner, channels, stride),
                ScalesOfTime(channels, channels, relu=False),
            )
            setattr(self, f"sgcn{number}", joints)
            setattr(self, f"tcn{number}", ScalesOfTime(channels, channels))
            inputs = channels
        self.fc = nn.Linear(inputs, classes)

    def forward(self, poses):
        number, wide, frames, joints, people = poses.shape
        x = poses.permute(0, 4, 3, 1, 2).reshape(number, -1, frames)
        x = self.data_bn(x).view(-1, joints, wide, frames).permute(0, 2, 3, 1)
        for stage in (1, 2, 3):
            seen = getattr(self, f"sgcn{stage}")(x) + getattr(self, f"gcn3d{stage}")(x)
            x = getattr(self, f"tcn{stage}")(functional.relu(seen))
        return x.mean(3).view(number, people, x.shape[1], -1).mean(1).transpose(1, 2)
