"""Makes a scene's sound: struck events in every cycle over a background.

The sound is put together in the frequency domain: each kind of event is a short grain, its
instants are an impulse train, and their spectra are multiplied and added to a background
whose spectrum is drawn directly, so one inverse transform ends it.
"""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.scenes.config import SOUND_DAMAGE, SceneConfig
from rac_jax.scenes.dice import Dice
from rac_jax.scenes.timeline import Timeline

GRAIN_S = 0.3  # longest sound of one event, seconds
STRAYS = 6  # room for sounds that belong to no cycle
PARTIALS = 4  # tones in a grain
SWELLS_PER_S = 3  # points of the background's loudness per second


@flax.struct.dataclass
class Sound:
    """A scene's sound and its audible events."""

    waveform: jax.Array  # [S] float32 in [-1, 1]
    events: jax.Array  # [K] instants of the cycles' main sounds, seconds
    events_mask: jax.Array  # [K] bool, heard and inside the scene


def _grain(dice: Dice, noise: jax.Array, rate: int) -> jax.Array:
    """Sounds of one kind of event, with a peak of about 1, one per row of noise. [R, L]"""
    length = noise.shape[1]
    time = np.arange(length) / rate
    decay = dice.log_uniform(0.006, 0.09)
    attack = dice.log_uniform(0.0005, 0.01)
    struck = jnp.exp(-time / decay) * (1 - jnp.exp(-time / attack))
    width = dice.uniform(0.1, GRAIN_S)
    rub = jnp.where(time < width, jnp.square(jnp.sin(jnp.pi * time / width)), 0.0)
    envelope = jnp.where(dice.chance(0.15), rub, struck)
    envelope += (
        0.1 * dice.uniform() * jnp.exp(-time / 0.1) * dice.chance(0.4)
    )  # the room

    # Noise in two bands of random centre and width (on a logarithmic axis), and tones.
    frequency = np.fft.rfftfreq(length, 1 / rate)
    octave = np.log2(np.maximum(frequency, 20.0))
    centre = jnp.log2(dice.log_uniform(150, 7000, (2, 1)))
    spread = dice.uniform(0.3, 1.6, (2, 1))
    level = dice.uniform(0.1, 1, (2, 1))
    band = jnp.sum(level * jnp.exp(-jnp.square((octave - centre) / spread)), axis=0)
    hiss = jnp.fft.irfft(jnp.fft.rfft(noise) * band, n=length)  # [R, L]
    hiss /= jnp.std(hiss, axis=1, keepdims=True) + 1e-6
    pitch = dice.log_uniform(90, 5000, (PARTIALS, 1))
    fade = dice.log_uniform(0.01, 0.12, (PARTIALS, 1))
    tones = jnp.sin(2 * jnp.pi * (pitch * time + dice.uniform(shape=(PARTIALS, 1))))
    tones = jnp.sum(
        tones * jnp.exp(-time / fade) * dice.uniform(0, 1, (PARTIALS, 1)), axis=0
    )
    mix = dice.uniform(0, 1)
    grain = envelope * ((1 - mix) * hiss + mix * 1.5 * tones)
    end = jnp.clip((length - np.arange(length)) / (0.05 * length), 0, 1)
    return end * grain / (jnp.max(jnp.abs(grain)) + 1e-6)


def _train(times_s: jax.Array, sizes: jax.Array, length: int, rate: int) -> jax.Array:
    """Impulses at the nearest samples; those outside are dropped. [length]"""
    index = jnp.round(times_s * rate).astype(jnp.int32)
    index = jnp.where((index < 0) | (index >= length), length, index)
    return jnp.zeros(length).at[index].add(sizes, mode="drop")


def make_sound(
    key: jax.Array, timeline: Timeline, config: SceneConfig, damage: jax.Array
) -> Sound:
    """Makes the sound of a scene.

    Args:
      key: PRNG key.
      timeline: the scene's cycles.
      config: rate and length.
      damage: scalar int32, index into SOUND_DAMAGE.

    Returns:
      The sound.
    """
    rate, samples, k_max = config.rate, config.samples, config.max_cycles
    grain_length = round(GRAIN_S * rate)
    total = samples + grain_length  # room for the last grain: no wrapping round
    total += (-total) % 1024  # a length that the transform likes
    dice = Dice(key, 192 + 10 * k_max)
    grain_key, noise_key = jax.random.split(jax.random.fold_in(key, 1))
    noise = jax.random.normal(grain_key, (5, grain_length))
    main = _grain(dice, noise[:2], rate)  # two strokes never sound quite the same
    second = _grain(dice, noise[2:3], rate)
    stray = _grain(dice, noise[3:4], rate)
    rhythm = _grain(dice, noise[4:5], rate)

    missing = damage == SOUND_DAMAGE.index("missing")
    silent = damage == SOUND_DAMAGE.index("silent")
    noisy = damage == SOUND_DAMAGE.index("noise")
    other = damage == SOUND_DAMAGE.index("other rhythm")

    # Main sounds: at one phase of every cycle, usually where the stroke turns round.
    at = jnp.where(dice.chance(0.7), timeline.strike, dice.uniform())
    loose = dice.uniform(0, 0.06) * dice.chance(0.5)
    phase = at + loose * dice.normal((k_max,))
    times = (timeline.starts + phase * timeline.lengths) / config.fps  # [K] seconds
    lost = jnp.where(missing, dice.uniform(0.4, 0.9), 0.04 * dice.chance(0.3))
    heard = timeline.valid & (dice.uniform(shape=(k_max,)) >= lost) & ~silent & ~other
    sizes = jnp.exp(dice.uniform(0, 0.4) * dice.normal((k_max,))) * heard
    which = dice.chance(0.5, (k_max,))

    # Sometimes a second, weaker and different sound in every cycle: the way back.
    gap = dice.uniform(0.25, 0.75)
    back_times = times + gap * timeline.lengths / config.fps
    back = sizes * dice.uniform(0.15, 0.5) * dice.chance(0.25)

    stray_times = dice.uniform(0, config.duration_s, (STRAYS,))
    strays = dice.uniform(0.1, 0.9, (STRAYS,)) * dice.chance(0.3, (STRAYS,))
    strays *= dice.chance(0.4) & ~silent

    # Another rhythm: music or a metronome that has nothing to do with the picture.
    beat = dice.log_uniform(0.2, 0.9)
    beats = dice.uniform() * beat + beat * jnp.arange(k_max)
    beat_sizes = (
        jnp.where(jnp.arange(k_max) % dice.choice((2, 3, 4)) == 0, 1.0, 0.5) * other
    )

    trains = jnp.stack(
        [
            _train(times, sizes * which, total, rate),
            _train(times, sizes * ~which, total, rate),
            _train(back_times, back, total, rate),
            _train(stray_times, strays, total, rate),
            _train(beats, beat_sizes, total, rate),
        ]
    )
    grains = jnp.concatenate([main, second, stray, rhythm])  # [5, L]
    grains = jnp.pad(grains, ((0, 0), (0, total - grain_length)))
    spectrum = jnp.sum(jnp.fft.rfft(trains) * jnp.fft.rfft(grains), axis=0)

    # Background: coloured noise that swells, hum, and the noise of the recorder.
    frequency = np.fft.rfftfreq(total, 1 / rate)
    colour = np.maximum(frequency, 60.0)[None] / 500.0
    # Above the corner the spectrum falls, or is flat.
    colour = jnp.minimum(1.0, colour[0] ** -dice.uniform(0, 1.5)) + dice.uniform(
        0, 0.05
    )
    draws = jax.random.normal(noise_key, (2, frequency.size))
    bed = jnp.fft.irfft(jax.lax.complex(draws[0], draws[1]) * colour, n=total)
    bed /= jnp.std(bed) + 1e-6
    points = max(2, int(config.duration_s * SWELLS_PER_S) + 2)
    step = -(-total // (points - 1))
    swell = jnp.exp(dice.uniform(0, 0.8) * jax.random.normal(grain_key, (points,)))
    ramp = np.arange(step, dtype=np.float32) / step
    swell = (swell[:-1, None] * (1 - ramp) + swell[1:, None] * ramp).reshape(-1)[:total]
    level = dice.log_uniform(0.003, 0.1)
    level = jnp.where(noisy, dice.log_uniform(0.3, 1.5), level)
    sound = jnp.fft.irfft(spectrum, n=total) + level * swell * bed
    time = np.arange(total) / rate
    mains = dice.choice((50, 60, 100, 120)).astype(jnp.float32)
    hum = jnp.sin(2 * jnp.pi * mains * time) + 0.4 * jnp.sin(6 * jnp.pi * mains * time)
    sound += dice.log_uniform(0.001, 0.05) * dice.chance(0.3) * hum

    loudness = dice.log_uniform(0.05, 0.9) / (jnp.max(jnp.abs(sound)) + 1e-6)
    loudness = jnp.where(silent & dice.chance(0.5), 0.0, loudness)
    waveform = (loudness * sound)[:samples]
    inside = (times >= 0) & (times < config.duration_s)
    return Sound(waveform.astype(jnp.float32), times, heard & inside)
