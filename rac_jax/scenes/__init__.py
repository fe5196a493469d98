"""The procedural audiovisual scene generator: a pure function of a PRNG key."""

from rac_jax.scenes.config import (
    CHALLENGES,
    KINDS,
    PICTURE_DAMAGE,
    SOUND_DAMAGE,
    SceneConfig,
)
from rac_jax.scenes.scene import Scene, render_scene

__all__ = [
    "CHALLENGES",
    "KINDS",
    "PICTURE_DAMAGE",
    "SOUND_DAMAGE",
    "Scene",
    "SceneConfig",
    "render_scene",
]
