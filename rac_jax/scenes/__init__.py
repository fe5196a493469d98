"""The procedural audiovisual scene generator: a pure function of a PRNG key."""

from rac_jax.scenes.config import (
    CHALLENGES,
    KINDS,
    PICTURE_DAMAGE,
    SOUND_DAMAGE,
    SceneConfig,
)
from rac_jax.scenes.contact_points import SceneContacts, scene_contacts
from rac_jax.scenes.flow import SceneFlow, scene_flow
from rac_jax.scenes.scene import Scene, render_scene

__all__ = [
    "CHALLENGES",
    "KINDS",
    "PICTURE_DAMAGE",
    "SOUND_DAMAGE",
    "Scene",
    "SceneConfig",
    "SceneContacts",
    "SceneFlow",
    "render_scene",
    "scene_contacts",
    "scene_flow",
]
