"""Makes a scene's sound: events in every cycle, a room, a background, music or speech.

The sound is put together in the frequency domain: each kind of event is a short grain, its
times are an impulse train, and their spectra are multiplied and added to a background
whose spectrum is drawn directly. Music and speech are voices that step from note to note.
"""

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft

from rac_jax.scenes.config import KINDS, SOUND_DAMAGE, SceneConfig
from rac_jax.scenes.dice import Dice
from rac_jax.scenes.timeline import Timeline

GRAIN_S = 0.3  # longest sound of one event, seconds
ROOM_S = 0.4  # longest echo, seconds
STRAYS = 6  # room for sounds that belong to no cycle
PARTIALS = 4  # tones in a grain
LOOK_UP = 64  # samples between two looks at which note it is; divides the total length
NOTES_PER_S = 6  # of music, or syllables of speech, at most
SCALE = (0, 2, 4, 7, 9, 12, -5, -3)  # semitones that a melody may take
SWELLS_PER_S = 3  # points of the background's loudness per second
# Hz about which the sounds of a kind of motion lie where it has its own (`SceneConfig.timbre`).
# Kinds that share one look least alike, so that neither eye nor ear tells everything.
TIMBRES = {
    "orbit": 250.0,
    "stroke": 250.0,
    "figure": 250.0,
    "limb": 1000.0,
    "bounce": 1000.0,
    "breath": 1000.0,
    "wheel": 4000.0,
}
SPREAD = 0.15  # of a range of frequencies in octaves, what is left of it about a timbre
# Frequencies in Hz of (least, most) to where a scene's sounds have them.
Tuning = Callable[[jax.Array, float, float], jax.Array]


@flax.struct.dataclass
class Sound:
    """A scene's sound and its audible events."""

    waveform: jax.Array  # [S] float32 in [-1, 1]
    events: jax.Array  # [K] times of the cycles' main sounds, seconds
    events_mask: jax.Array  # [K] bool, heard and inside the scene


def _as_drawn(hertz: jax.Array, least: float, most: float) -> jax.Array:
    del least, most
    return hertz


def _tuning(key: jax.Array, kind: jax.Array, config: SceneConfig) -> Tuning:
    """How a scene's own sounds are tuned; of a key of its own, so that other scenes stay as they are."""
    if not config.timbre:
        return _as_drawn
    own = jax.random.bernoulli(key, config.timbre)
    middle = jnp.asarray([TIMBRES[name] for name in KINDS])[kind]

    def tuned(hertz: jax.Array, least: float, most: float) -> jax.Array:
        away = hertz / np.sqrt(least * most)
        return jnp.where(own, middle * away**SPREAD, hertz)

    return tuned


def _grain(
    dice: Dice, noise: jax.Array, rate: int, tuned: Tuning = _as_drawn
) -> jax.Array:
    """Sounds of one kind of event, with a peak of about 1, one per row of noise. [R, L]"""
    length = noise.shape[1]
    time = np.arange(length) / rate
    decay = dice.log_uniform(0.006, 0.09)
    attack = dice.log_uniform(0.0005, 0.01)
    # Something struck, or more seldom rubbed.
    struck = jnp.exp(-time / decay) * (1 - jnp.exp(-time / attack))
    width = dice.uniform(0.1, GRAIN_S)
    rub = jnp.where(time < width, jnp.square(jnp.sin(jnp.pi * time / width)), 0.0)
    envelope = jnp.where(dice.chance(0.15), rub, struck)
    # What a small room adds.
    envelope += 0.1 * dice.uniform() * jnp.exp(-time / 0.1) * dice.chance(0.4)

    # Noise in two bands of random centre and width (on a logarithmic axis), and tones.
    frequency = np.fft.rfftfreq(length, 1 / rate)
    octave = np.log2(np.maximum(frequency, 20.0))
    centre = jnp.log2(tuned(dice.log_uniform(150, 7000, (2, 1)), 150, 7000))
    breadth = dice.uniform(0.3, 1.6, (2, 1))
    level = dice.uniform(0.1, 1, (2, 1))
    band = jnp.sum(
        level * jnp.exp(-jnp.square((octave[None] - centre) / breadth)), axis=0
    )
    hiss = jnp.fft.irfft(jnp.fft.rfft(noise) * band[None], n=length)  # [R, L]
    hiss /= jnp.std(hiss, axis=1, keepdims=True) + 1e-6
    pitch = tuned(dice.log_uniform(90, 5000, (PARTIALS, 1)), 90, 5000)
    fade = dice.log_uniform(0.01, 0.12, (PARTIALS, 1))
    tones = jnp.sin(
        2 * jnp.pi * (pitch * time[None] + dice.uniform(shape=(PARTIALS, 1)))
    )
    tones = jnp.sum(
        tones * jnp.exp(-time[None] / fade) * dice.uniform(0, 1, (PARTIALS, 1)), axis=0
    )
    mix = dice.uniform(0, 1)
    grain = envelope[None] * ((1 - mix) * hiss + mix * 1.5 * tones[None])
    # Faded out over its last twentieth, so that cutting it off makes no click.
    end = jnp.clip((length - np.arange(length)) / (0.05 * length), 0, 1)
    return end[None] * grain / (jnp.max(jnp.abs(grain)) + 1e-6)


def _train(times_s: jax.Array, sizes: jax.Array, length: int, rate: int) -> jax.Array:
    """Impulses at the nearest samples; those outside are dropped. [length]"""
    index = jnp.round(times_s * rate).astype(jnp.int32)
    index = jnp.where((index < 0) | (index >= length), length, index)
    return jnp.zeros(length).at[index].add(sizes, mode="drop")


def _voices(dice: Dice, music: jax.Array, config: SceneConfig, total: int):
    """Music or speech: tones that step from note to note, or from syllable to syllable.

    Returns:
      (waveform [total] with a standard deviation of about 1, beats [K] and sizes [K] of the
      drums; notes of speech have none).
    """
    # When the notes or syllables begin and how long they are; speech pauses now and then.
    notes = int(config.duration_s * NOTES_PER_S) + 2
    beat = jnp.where(music, dice.log_uniform(0.17, 0.7), dice.log_uniform(0.12, 0.3))
    long = jnp.where(dice.chance(0.3, (notes,)), 2.0, 1.0)
    uneven = jnp.exp(0.35 * dice.normal((notes,)))
    lengths = beat * jnp.where(music, long, uneven)  # [N] seconds
    rests = dice.uniform(0.2, 1.2, (notes,)) * dice.chance(0.12, (notes,)) * ~music
    spans = lengths + rests
    onsets = jnp.cumsum(spans) - spans - beat * dice.uniform()

    # How high and how loud each is; in speech the pitch glides.
    semitones = dice.choice(SCALE, (notes,)).astype(jnp.float32)
    semitones = jnp.where(music, semitones, 2 * dice.normal((notes,)))
    base = jnp.where(music, dice.log_uniform(80, 500), dice.log_uniform(90, 260))
    pitch = base * 2 ** (semitones / 12)  # [N] Hz
    glide = pitch * jnp.where(music, 0.0, dice.uniform(-0.6, 0.6, (notes,)))
    loud = jnp.exp(0.3 * dice.normal((notes,)))
    fade = jnp.where(music, dice.log_uniform(0.1, 2.0), 1e3)

    # Which note it is, is looked up once in a while: gathers for every sample are slow.
    time = np.arange(total, dtype=np.float32) / config.rate
    note = jnp.searchsorted(onsets, time[::LOOK_UP], side="right") - 1
    note = jnp.clip(note, 0, notes - 1)

    def held(values):
        """The current note's value at every sample. [total]"""
        values = values[note][:, None]
        return jnp.broadcast_to(values, (len(note), LOOK_UP)).reshape(-1)

    # A sawtooth of the note's pitch, in music with a chord, under each note's own envelope.
    since = time - held(onsets)
    turns = since * (held(pitch) + 0.5 * held(glide) * since)
    source = turns - jnp.round(turns)
    # A minor or a major third, and a fifth or a fourth.
    for interval in ((1.2, 1.26), (1.5, 1.335)):
        chord = turns * jnp.where(dice.chance(0.5), *interval)
        share = dice.uniform(0, 0.8) * (dice.chance(0.6) & music)
        source += share * (chord - jnp.round(chord))
    within = jnp.clip(since / held(lengths), 0, 1)
    spoken = jnp.square(jnp.sin(jnp.pi * within))
    played = jnp.exp(-since / fade) * jnp.minimum(since / 0.01, 1.0)
    source *= held(loud) * jnp.where(music, played, spoken)

    # Two bands stand out, as the vowels of a voice or the body of an instrument do.
    octave = np.log2(np.maximum(np.fft.rfftfreq(total, 1 / config.rate), 20.0))[None]
    centre = jnp.log2(dice.log_uniform(250, 2500, (2, 1)))
    breadth = dice.uniform(0.3, 1.2, (2, 1)) * jnp.where(music, 2.0, 1.0)
    shape = jnp.sum(jnp.exp(-jnp.square((octave - centre) / breadth)), axis=0) + 0.01
    voice = jnp.fft.irfft(jnp.fft.rfft(source) * shape, n=total)
    voice /= jnp.std(voice) + 1e-6

    # Drums on the beat, every second to fourth one louder.
    beats = onsets[0] + beat * jnp.arange(notes)
    accent = jnp.arange(notes) % dice.choice((2, 3, 4)) == 0
    drums = jnp.where(accent, 1.0, 0.5) * (dice.chance(0.7) & music)
    return voice, beats, 4 * dice.uniform(0.3, 1) * drums


def make_sound(
    key: jax.Array,
    timeline: Timeline,
    config: SceneConfig,
    damage: jax.Array,
    kind: jax.Array,
) -> Sound:
    """Makes the sound of a scene.

    Args:
      key: PRNG key.
      timeline: the scene's cycles.
      config: rate and length.
      damage: scalar int32, index into SOUND_DAMAGE.
      kind: scalar int32, the motion, index into KINDS.

    Returns:
      The sound.
    """
    rate, samples, k_max = config.rate, config.samples, config.max_cycles
    grain_length = round(GRAIN_S * rate)
    # Room for the last grain, so that nothing wraps round, and of small prime factors: the
    # transform likes that.
    total = LOOK_UP * scipy.fft.next_fast_len(-(-(samples + grain_length) // LOOK_UP))
    notes = int(config.duration_s * NOTES_PER_S) + 2
    dice = Dice(key, 256 + 8 * k_max + 8 * notes)
    # A grain for each kind of event; the main one has two, as two strokes never sound quite the
    # same.
    grain_key, noise_key = jax.random.split(jax.random.fold_in(key, 1))
    noise = jax.random.normal(grain_key, (5, grain_length))
    tuned = _tuning(jax.random.fold_in(key, 3), kind, config)
    main = _grain(dice, noise[:2], rate, tuned)
    second = _grain(dice, noise[2:3], rate, tuned)
    stray = _grain(dice, noise[3:4], rate)
    rhythm = _grain(dice, noise[4:5], rate)

    # What the damage means: sounds that are missing, drowned, or replaced by others.
    missing = damage == SOUND_DAMAGE.index("missing")
    silent = damage == SOUND_DAMAGE.index("silent")
    noisy = damage == SOUND_DAMAGE.index("noise")
    music = damage == SOUND_DAMAGE.index("music")
    other = music | (damage == SOUND_DAMAGE.index("speech"))

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

    # A few sounds that belong to no cycle.
    stray_times = dice.uniform(0, config.duration_s, (STRAYS,))
    strays = dice.uniform(0.1, 0.9, (STRAYS,)) * dice.chance(0.3, (STRAYS,))
    strays *= dice.chance(0.4) & ~silent

    # Music or speech that has nothing to do with the picture: alone, or softly behind it.
    music = jnp.where(other, music, dice.chance(0.5))
    voice, beats, drums = _voices(dice, music, config, total)
    behind = dice.log_uniform(0.01, 0.12) * dice.chance(0.2) * ~silent
    loud = jnp.where(other, dice.uniform(0.1, 0.3), behind)

    # Impulses at the times of each grain; convolving the two is a product of spectra.
    trains = jnp.stack(
        [
            _train(times, sizes * which, total, rate),
            _train(times, sizes * ~which, total, rate),
            _train(back_times, back, total, rate),
            _train(stray_times, strays, total, rate),
            _train(beats, loud * drums, total, rate),
        ]
    )
    grains = jnp.concatenate([main, second, stray, rhythm])  # [5, L]
    grains = jnp.pad(grains, ((0, 0), (0, total - grain_length)))
    spectrum = jnp.sum(jnp.fft.rfft(trains) * jnp.fft.rfft(grains), axis=0)

    # The room: what is heard at once, and a tail of echoes.
    tail = np.arange(round(ROOM_S * rate)) / rate
    echoes = jax.random.normal(jax.random.fold_in(key, 2), tail.shape)
    echoes *= jnp.exp(-tail / dice.log_uniform(0.02, 0.12))
    echoes *= dice.uniform(0, 0.08) * dice.chance(0.5)
    room = jnp.pad(echoes.at[0].set(1.0), (0, total - tail.size))
    frequency = np.fft.rfftfreq(total, 1 / rate)
    # A low bit rate: nothing above some frequency.
    highest = jnp.where(dice.chance(0.15), dice.log_uniform(1500, 6000), rate)
    passband = jnp.clip(4 * (highest - frequency) / highest, 0, 1)
    spectrum *= jnp.fft.rfft(room) * passband

    # Background: coloured noise that swells, hum, and the noise of the recorder.
    colour = np.maximum(frequency, 60.0)[None] / 500.0
    # Above the corner the spectrum falls, or is flat.
    colour = jnp.minimum(1.0, colour[0] ** -dice.uniform(0, 1.5)) + dice.uniform(
        0, 0.05
    )
    colour *= passband
    draws = jax.random.normal(noise_key, (2, frequency.size))
    bed = jnp.fft.irfft(jax.lax.complex(draws[0], draws[1]) * colour, n=total)
    bed /= jnp.std(bed) + 1e-6
    # It swells between random points, linearly.
    points = max(2, int(config.duration_s * SWELLS_PER_S) + 2)
    step = -(-total // (points - 1))
    swell = jnp.exp(dice.uniform(0, 0.8) * jax.random.normal(grain_key, (points,)))
    ramp = np.arange(step, dtype=np.float32) / step
    swell = (
        swell[:-1, None] * (1 - ramp)[None] + swell[1:, None] * ramp[None]
    ).reshape(-1)[:total]
    level = dice.log_uniform(0.003, 0.1)
    level = jnp.where(noisy, dice.log_uniform(0.3, 1.5), level)
    sound = jnp.fft.irfft(spectrum, n=total) + level * swell * bed + loud * voice
    # The hum of the mains, with its third harmonic.
    time = np.arange(total) / rate
    mains = dice.choice((50, 60, 100, 120)).astype(jnp.float32)
    hum = jnp.sin(2 * jnp.pi * mains * time)
    # sin x + 0.4 sin 3x.
    hum = 2.2 * hum - 1.6 * hum**3
    sound += dice.log_uniform(0.001, 0.05) * dice.chance(0.3) * hum

    # The recording's level, which sometimes overdrives.
    peak = jnp.max(jnp.abs(sound)) + 1e-6
    ceiling = peak * jnp.where(dice.chance(0.1), dice.uniform(0.2, 0.8), 1.0)
    sound = jnp.clip(sound, -ceiling, ceiling)
    loudness = dice.log_uniform(0.05, 0.9) / ceiling
    loudness = jnp.where(silent & dice.chance(0.5), 0.0, loudness)
    waveform = (loudness * sound)[:samples]
    inside = (times >= 0) & (times < config.duration_s)
    return Sound(waveform.astype(jnp.float32), times, heard & inside)
