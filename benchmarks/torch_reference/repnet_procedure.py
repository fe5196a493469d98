"""RepNet's released counting, frames in, count out, for one plain array of frames.

Written from the description of the notebook: windows of 64 frames at a stride with clamped
indices, scores, the best stride, repetition, median filters, the least score.
"""

import numpy as np
import torch


def median(values, size=5):
    """Median over a sliding window, zeros beyond the ends."""
    padded = np.pad(values.astype(np.float64), size // 2)
    return np.array([np.median(padded[i : i + size]) for i in range(len(values))])


@torch.inference_mode()
def count(network, frames, first_period, strides=(1, 2, 3, 4), length=64):
    """Counts frames.

    Args:
      network: the reference, in eval mode.
      frames: uint8 [T, 224, 224, 3] as the notebook's OpenCV resizes them.
      first_period: what class 0 stands for.
      strides: to choose from.
      length: of a window.

    Returns:
      (stride, count).
    """
    x = torch.from_numpy(frames.astype(np.float32))
    x = (x - 127.5) / 127.5
    total = len(frames)
    best = None
    for stride in strides:
        scores, periods = [], []
        for window in range(-(-total // (length * stride))):
            index = (window * length + np.arange(length)) * stride
            index = np.minimum(index, total - 1)
            images = x[index].permute(0, 3, 1, 2)
            # Bilinear to half the size with half-pixel centres is a mean of 2 x 2.
            images = torch.nn.functional.avg_pool2d(images, 2)
            logits, inside = network(images.permute(1, 0, 2, 3)[None])
            p = torch.softmax(logits[0], -1).max(-1)
            period = p.indices.numpy() + first_period
            q = np.where(period < 3, 0.0, p.values.numpy())
            scores.append(np.sqrt(torch.sigmoid(inside[0]).numpy() * q))
            periods.append(period)
        scores, periods = np.concatenate(scores), np.concatenate(periods)
        if best is None or scores.mean() > best[0]:
            best = scores.mean(), stride, scores, periods
    mean, stride, scores, periods = best
    scores = np.repeat(scores, stride)[:total]
    periods = np.repeat(periods, stride)[:total]
    mask = median((scores > 0.5).astype(np.float64))
    rate = np.where(periods < 3, 0.0, 1 / (stride * np.maximum(periods, 1)))
    rate = median(mask * rate)
    return stride, float(rate.sum()) if mean >= 0.2 else 0.0
