"""Scenes are pure functions of a key, and their labels say what is in them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.scenes import (
    CHALLENGES,
    KINDS,
    PICTURE_DAMAGE,
    SOUND_DAMAGE,
    SceneConfig,
    motion,
    picture,
    render_scene,
    sound,
    timeline,
)
from rac_jax.scenes import dice as dice_module

pytestmark = pytest.mark.usefixtures("quick_compiling")

SMALL = SceneConfig(
    frames=48, height=24, width=32, period=(6, 12), max_cycles=16, still=0.3
)
# Regular, running through both ends, filmed from a tripod.
REGULAR = SceneConfig(
    frames=72,
    height=32,
    width=32,
    period=(16.5, 16.5),
    max_cycles=8,
    cut=1.0,
    still=0.0,
    pause=0.0,
    jitter=0.0,
    tempo_drift=0.0,
    camera=0.0,
    distractor=0.0,
    clean=True,
)
DAMAGED = SceneConfig(
    frames=16,
    height=16,
    width=16,
    max_cycles=8,
    picture_damage=1.0,
    sound_damage=1.0,
)
NUMBER = 24


@functools.cache
def compiled(config):
    # What is left out is not compiled; `test_joints.py` has the joints.
    return jax.jit(jax.vmap(lambda key: render_scene(key, config).replace(joints=None)))


@functools.cache
def pictures(config):
    """Scenes without their sound, which compile faster."""
    keys = jax.random.split(jax.random.key(0), 8)
    silent = jax.jit(
        jax.vmap(
            lambda key: render_scene(key, config).replace(waveform=None, joints=None)
        )
    )
    return jax.tree.map(np.asarray, silent(keys))


@functools.cache
def render(config, number=NUMBER, seed=0):
    """Several scenes on the host."""
    keys = jax.random.split(jax.random.key(seed), number)
    return jax.tree.map(np.asarray, compiled(config)(keys))


def test_shapes_and_types():
    scenes = render(SMALL)
    assert scenes.frames.shape == (NUMBER, 48, 24, 32, 3)
    assert scenes.frames.dtype == np.uint8
    assert scenes.waveform.shape == (NUMBER, round(48 / 25 * 22050))
    assert scenes.waveform.dtype == np.float32
    assert np.abs(scenes.waveform).max() <= 1
    assert scenes.cycles.shape == (NUMBER, 16, 2)
    assert scenes.phase.shape == scenes.rate.shape == (NUMBER, 48)


def test_same_key_same_scene_alone_or_in_a_batch():
    key = jax.random.split(jax.random.key(0), NUMBER)[3]
    alone = jax.jit(
        lambda key: render_scene(key, SMALL).replace(mask=None, joints=None)
    )
    alone = alone(key)
    batch = render(SMALL)
    np.testing.assert_allclose(alone.waveform, batch.waveform[3], atol=1e-4)
    assert np.abs(np.asarray(alone.frames, int) - batch.frames[3]).max() <= 1
    assert float(alone.count) == pytest.approx(batch.count[3], abs=1e-4)
    assert (render(SMALL, seed=1).frames[3] != batch.frames[3]).any()


def test_no_axis_is_added_silently():
    with jax.numpy_rank_promotion("raise"):
        scene = jax.eval_shape(lambda key: render_scene(key, SMALL), jax.random.key(0))
    assert scene.count.shape == ()


def test_whole_scenes_hold_whole_cycles():
    scenes = render(SMALL)
    np.testing.assert_allclose(scenes.count, scenes.cycles_mask.sum(1), atol=1e-3)
    np.testing.assert_allclose(scenes.count, scenes.rate.sum(1), atol=1e-3)
    moving = scenes.repeats
    assert 0 < moving.sum() and (scenes.count[moving] >= 1.999).all()
    cycles = scenes.cycles[scenes.cycles_mask]
    assert (cycles[:, 1] > cycles[:, 0]).all()
    assert cycles.min() >= -1e-3 and cycles.max() <= SMALL.duration_s + 1e-3


def test_phase_and_periodicity_follow_the_cycles():
    scenes = render(SMALL)
    time = np.arange(48) / SMALL.fps
    for i in range(NUMBER):
        inside = np.zeros(48, bool)
        phase = np.zeros(48)
        for start, end in scenes.cycles[i][scenes.cycles_mask[i]]:
            now = (time >= start) & (time < end)
            inside |= now
            phase[now] = ((time - start) / (end - start))[now]
        edge = np.zeros(48, bool)
        for instant in scenes.cycles[i].ravel():
            edge |= np.abs(time - instant) < 1e-4
        np.testing.assert_array_equal(scenes.periodicity[i] | edge, inside | edge)
        np.testing.assert_allclose(scenes.phase[i][~edge], phase[~edge], atol=1e-3)


def test_cut_scenes_run_through_both_ends():
    scenes = render(REGULAR, 64)
    assert scenes.periodicity.all()
    np.testing.assert_allclose(scenes.count, 72 / 16.5, rtol=1e-3)


def test_still_scenes_count_nothing():
    scenes = render(SMALL)
    still = ~scenes.repeats
    assert 0 < still.sum() < NUMBER
    assert not scenes.cycles_mask[still].any() and not scenes.events_mask[still].any()
    assert (scenes.count[still] == 0).all() and (scenes.rate[still] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_moves_with_the_cycle(kind):
    """A picture resembles the one two cycles later more than others in between."""
    scenes = render(REGULAR, 64)
    frames = scenes.frames[scenes.kind == KINDS.index(kind)].astype(float)
    assert len(frames) >= 3

    def change(lag):
        return np.abs(frames[:, lag:] - frames[:, :-lag]).mean((1, 2, 3, 4))

    # A stroke is as far out on its way back: try several lags.
    between = np.max([change(lag) for lag in (4, 6, 8, 10)], axis=0)
    assert np.median(between / change(33)) > 1.3


def test_sounds_are_where_the_events_are():
    scenes = render(REGULAR, 64)
    gains = []
    for i in range(64):
        energy = scenes.waveform[i] ** 2
        heard = scenes.events[i][scenes.events_mask[i]]
        near = [energy[round(t * 22050) :][:1500].mean() for t in heard]
        gains.append(np.mean(near) / energy.mean())
    assert np.median(gains) > 2


def test_damage_is_flagged():
    scenes = render(DAMAGED, 40)
    assert set(scenes.picture_damage) == {1, 2, 3}
    assert set(scenes.sound_damage) == {1, 2, 3, 4, 5}
    silent = scenes.sound_damage == SOUND_DAMAGE.index("silent")
    assert not scenes.events_mask[silent].any()
    dark = scenes.picture_damage == PICTURE_DAMAGE.index("dark")
    assert scenes.frames[dark].mean() < 40
    assert not render(SMALL).picture_damage.any()


@pytest.mark.slow
def test_large_pictures_are_drawn_in_blocks(monkeypatch):
    config = SceneConfig(frames=10, height=24, width=16, max_cycles=8)
    key = jax.random.key(2)

    @jax.jit
    def prepare(key):
        when = timeline.make_timeline(key, config)
        tracks, _ = motion.make_tracks(key, when, config, jnp.array(False))
        return tracks, picture.make_look(key, config, jnp.int32(0))

    tracks, look = prepare(key)
    look = look.replace(noise=jnp.float32(0))
    whole = picture.draw_frames(tracks, look, config)
    monkeypatch.setattr(picture, "BLOCK_PIXELS", 4 * 24 * 16)  # 4 + 4 + 2 frames
    blocks = picture.draw_frames(tracks, look, config)
    assert np.abs(np.asarray(whole, int) - np.asarray(blocks, int)).max() <= 1


def test_train_of_impulses_drops_what_is_outside():
    times = jnp.asarray([-0.1, 0.0, 0.05, 0.2])
    train = sound._train(times, jnp.asarray([1.0, 2.0, 3.0, 4.0]), 10, 100)
    np.testing.assert_array_equal(train, [2, 0, 0, 0, 0, 3, 0, 0, 0, 0])


def test_kinds_have_their_timbres():
    assert sorted(sound.TIMBRES) == sorted(KINDS)
    drawn = jnp.asarray([90.0, 700.0, 5000.0])
    tuned = sound._tuning(jax.random.key(0), 0, dataclasses.replace(SMALL, timbre=1.0))
    found = np.asarray(tuned(drawn, 90, 5000))
    assert (np.diff(found) > 0).all()
    assert np.abs(np.log2(found / sound.TIMBRES["orbit"])).max() < 0.5
    plain = sound._tuning(jax.random.key(0), 0, SMALL)
    assert plain(drawn, 90, 5000) is drawn


def test_wave_is_nearly_a_sine():
    x = np.linspace(-2, 2, 401)
    assert np.abs(picture.wave(x) - np.sin(2 * np.pi * x)).max() < 0.06


def test_dice_runs_out_loudly():
    dice = dice_module.Dice(jax.random.key(0), 3)
    dice.uniform(shape=(2,))
    with pytest.raises(IndexError, match="3 numbers"):
        dice.uniform(shape=(2,))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"frames": 0}, "frames: 0"),
        ({"fps": 0}, "fps"),
        ({"period": (5, 2)}, "period"),
        ({"kinds": ("walk",)}, "walk"),
        ({"kinds": ()}, "the kinds are orbit"),
        ({"min_cycles": 40}, "max_cycles"),
    ],
)
def test_wrong_settings_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        SceneConfig(**fields)


@pytest.mark.parametrize(
    "challenge",
    [
        # One of the camera, one of the light; a program each.
        pytest.param(
            name,
            marks=[]
            if name in ("camera viewpoint change", "low illumination")
            else pytest.mark.slow,
        )
        for name in CHALLENGES
    ],
)
def test_challenges_change_the_picture_and_nothing_of_the_count(challenge):
    easy = dataclasses.replace(SMALL, frames=64, camera=1.0, still=0.0)
    hard = dataclasses.replace(easy, challenges=(challenge,))
    plain, changed = pictures(easy), pictures(hard)
    assert (plain.frames != changed.frames).mean() > 0.05
    if challenge == "fast motion":
        assert changed.count.mean() > 1.5 * plain.count.mean()
    else:
        np.testing.assert_allclose(changed.count, plain.count, rtol=1e-5)
    if challenge == "low illumination":
        assert changed.frames.mean() < 40
    if challenge == "disappearing activity":
        assert changed.mask.mean() < 0.9 * plain.mask.mean()
    if challenge == "scale variation":
        sizes = [one.mask.mean((2, 3)) for one in (changed, plain)]
        wide, narrow = (np.median(x.std(1) / x.mean(1)) for x in sizes)
        assert wide > 1.2 * narrow


def test_an_unknown_challenge_is_named():
    with pytest.raises(ValueError, match="'fog' is not one of camera viewpoint"):
        SceneConfig(challenges=("fog",))


def test_the_mask_covers_what_moves():
    scenes = jax.tree.map(lambda x: x[:8], render(REGULAR, 64))
    assert scenes.mask.shape == scenes.frames.shape[:-1]
    change = np.abs(np.diff(scenes.frames.astype(float), axis=1)).mean(-1)
    moving = scenes.mask[:, 1:] | scenes.mask[:, :-1]
    assert change[moving].mean() > 5 * change[~moving].mean()


def test_density_adds_up_to_the_whole_cycles():
    scenes = render(SMALL)
    np.testing.assert_allclose(scenes.density.sum(1), scenes.count, atol=0.05)
    assert (scenes.density >= 0).all()


def test_period_is_the_inverse_of_the_rate():
    scenes = render(REGULAR, 64)
    inside = scenes.periodicity
    assert (scenes.period[~inside] == 0).all()
    np.testing.assert_allclose(scenes.period[inside], 16.5, rtol=1e-3)


@pytest.mark.slow
def test_gestures_move_without_a_rhythm():
    """More moves than in still scenes without them."""

    def moving(gestures):
        config = dataclasses.replace(REGULAR, still=1.0, gestures=gestures, clean=False)
        scenes = pictures(config)
        assert not scenes.repeats.any() and not scenes.count.any()
        assert not scenes.cycles_mask.any() and not scenes.density.any()
        return np.abs(np.diff(scenes.mask.astype(int), axis=1)).mean()

    assert moving(1.0) > 1.2 * moving(0.0)


@pytest.mark.slow
def test_music_and_speech_hide_the_events():
    config = dataclasses.replace(DAMAGED, frames=75, still=0.0, picture_damage=0.0)
    scenes = render(config, 40)
    for name in ("music", "speech"):
        chosen = scenes.sound_damage == SOUND_DAMAGE.index(name)
        assert chosen.any() and not scenes.events_mask[chosen].any()
        assert (np.abs(scenes.waveform[chosen]).max(1) > 0.01).all()
    assert np.abs(scenes.waveform).max() <= 1.0
