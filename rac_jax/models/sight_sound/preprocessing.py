"""What frames and sound go through before the networks, as every model of the family has it."""

from typing import Any

from rac_jax.models.sight_sound.clips import CLIP_FRAMES, SEGMENT_COLUMNS
from rac_jax.ops.sound_format import OVERLAP, RATE, WINDOW

# Of ImageNet, by which paper 1's code normalises frames.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def preprocessing(size: int) -> dict[str, Any]:
    """The `preprocessing` of a model's `config.json`.

    Args:
      size: height and width of its frames, in pixels.

    Returns:
      Plain values, ready for JSON.
    """
    return {
        "clip_frames": CLIP_FRAMES,
        "size": size,
        "mean": list(MEAN),
        "std": list(STD),
        "audio_rate": RATE,
        "nperseg": WINDOW,
        "noverlap": OVERLAP,
        "columns": SEGMENT_COLUMNS,
    }
