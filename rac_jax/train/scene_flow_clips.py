"""Clips of procedural scenes with their exact flow, rendered on the device."""

import jax
import jax.numpy as jnp

from rac_jax.scenes import SceneConfig, render_scene, scene_flow


def flow_clips(keys: jax.Array, config: SceneConfig) -> dict[str, jax.Array]:
    """Examples to learn flow from; pure, to be compiled.

    Args:
      keys: [B] PRNG keys, one for each scene.
      config: the distribution of scenes.

    Returns:
      "frames" uint8 [B, T, H, W, 3]; "flow" float32 [B, 2, T - 1, H, W, 2] in pixels, forward,
      then backward; "hidden" bool [B, 2, T - 1, H, W], what the other frame does not show.
    """

    def one(key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        # Of one program: the sound, which nobody asks for, is not made.
        frames = render_scene(key, config).frames
        flow = scene_flow(key, config)
        hidden = jnp.stack([flow.forward_hidden, flow.backward_hidden])
        return frames, jnp.stack([flow.forward, flow.backward]), hidden

    frames, flow, hidden = jax.vmap(one)(keys)
    return {"frames": frames, "flow": flow, "hidden": hidden}
