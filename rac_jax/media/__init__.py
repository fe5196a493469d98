"""Media files: what is in them, their frames and sound, how to find and how to write them.

numpy only, no JAX. Times are seconds after the first frame that is shown; without a picture,
after the start of the sound.
"""

from rac_jax.media.audio import resample
from rac_jax.media.container import MediaError, collect_faults, pass_on_fault
from rac_jax.media.files import MediaInfo, find_media, sibling_sound
from rac_jax.media.frames import least_gap_s
from rac_jax.media.isolation import (
    DecoderCrashed,
    Video,
    probe,
    read_audio,
    read_video,
    start_worker,
    stream_audio,
    stream_frames,
)
from rac_jax.media.pixels import FrameChunk, resize_frames, to_grey

__all__ = [
    "DecoderCrashed",
    "FrameChunk",
    "MediaError",
    "MediaInfo",
    "Video",
    "collect_faults",
    "find_media",
    "least_gap_s",
    "pass_on_fault",
    "probe",
    "read_audio",
    "read_video",
    "resample",
    "resize_frames",
    "sibling_sound",
    "start_worker",
    "stream_audio",
    "stream_frames",
    "to_grey",
]
