"""Media files: what is in them, their frames and sound, how to find and how to write them.

numpy only, no JAX. Times are seconds after the first frame that is shown; without a picture,
after the start of the sound.
"""

from rac_jax.media.audio import read_audio, resample, stream_audio
from rac_jax.media.container import MediaError, collect_faults, pass_on_fault
from rac_jax.media.files import (
    MediaInfo,
    Video,
    find_media,
    probe,
    read_video,
    sibling_sound,
)
from rac_jax.media.frames import stream_frames
from rac_jax.media.pixels import FrameChunk, resize_frames, to_grey

__all__ = [
    "FrameChunk",
    "MediaError",
    "MediaInfo",
    "Video",
    "collect_faults",
    "find_media",
    "pass_on_fault",
    "probe",
    "read_audio",
    "read_video",
    "resample",
    "resize_frames",
    "sibling_sound",
    "stream_audio",
    "stream_frames",
    "to_grey",
]
