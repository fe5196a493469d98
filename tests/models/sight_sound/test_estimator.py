"""Counting by sight and sound with a tiny model: both protocols, their laws, their cost."""

import itertools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rac_jax
from rac_jax.counting.counter import Counter
from rac_jax.counting.estimator import Chunk, ReadAgain, SourceInfo
from rac_jax.counting.model_config import ModelError
from rac_jax.models.sight_sound.heads import FUSION_HEAD, fusion_head
from tests.conftest import knocks, moving_square

SAMPLE = pathlib.Path(__file__).parents[3] / "examples" / "sample.mp4"
# Of the shipped models, by name and options.
GOLDEN = json.loads(
    (SAMPLE.parents[1] / "tests" / "golden" / "counts.json").read_text("utf-8")
)


@pytest.fixture(scope="module")
def counter(tiny_model):
    return rac_jax.load(tiny_model, batch_sizes=(4, 1))


@pytest.fixture(scope="module")
def result(counter, clip):
    return counter.count(clip)


def count_array(counter, frames, seconds=None, **options):
    """Counts a moving square of so many frames, with knocks if seconds are given."""
    sound = {}
    if seconds is not None:
        sound = {"waveform": knocks(seconds), "audio_rate": 22050}
    video = moving_square(frames) if frames else None
    fps = 25 if frames else None
    return counter.count(video, fps=fps, **sound, **options)


def test_result_adds_up(result, clip):
    sight, sound = result.streams
    gamma = result.details["reliability"]
    assert (sight.name, sound.name) == ("sight", "sound")
    assert result.duration_s == pytest.approx(4.0, abs=0.1)
    for stream in (sight, sound):
        assert stream.count == pytest.approx(sum(w.count for w in stream.windows))
    assert 0 <= gamma <= 1
    assert (sight.weight, sound.weight) == pytest.approx((1 - gamma, gamma))
    expected = sight.count * (1 - gamma) + sound.count * gamma
    assert result.count == pytest.approx(expected, rel=1e-5)
    assert result.sets is None
    assert (result.model, result.family) == ("tiny", "sight_sound")


def test_details(result):
    details = result.details
    assert details["protocol"] == "paper"
    scores = details["stride_scores"]
    assert set(scores) == set(details["stride_counts"]) == set("12345")
    assert set(details["solo_stride_scores"]) == set("12345")
    assert details["solo_stride_scores"] != scores
    chosen = str(details["stride"])
    assert chosen == max(scores, key=scores.get)
    assert details["stride_counts"][chosen] == result.stream("sight").count
    assert json.loads(result.to_json())["details"] == details


@pytest.mark.parametrize("protocol", ["paper", "released"])
def test_class_distributions_of_both_streams(counter, clip, protocol):
    classes = counter.count(clip, protocol=protocol).details["classes"]
    assert list(classes["sight"]) == list("01234")
    assert list(classes["sound"]) == list("012345")
    for distribution in classes.values():
        assert sum(distribution.values()) == pytest.approx(1, abs=1e-5)
        assert min(distribution.values()) > 0


def test_classes_of_a_video_are_those_of_its_clips(counter):
    """64, 64 and 22 frames of 150."""
    video = moving_square(150)

    def classes(frames):
        details = counter.count(frames, fps=25, stride=1).details
        return np.array(list(details["classes"]["sight"].values()))

    parts = [classes(part) for part in np.split(video, [64, 128])]
    expected = np.average(parts, axis=0, weights=[64, 64, 22])
    np.testing.assert_allclose(classes(video), expected, atol=1e-5)


def test_classes_have_the_names_that_the_model_gives_them(counter):
    names = {"sight": ["a", "b", "c", "d", "e"]}
    config = counter.config | {"class_names": names}
    named = Counter(counter.family, counter.network, counter.variables, config)
    classes = count_array(named, 20, 1.0).details["classes"]
    assert list(classes["sight"]) == names["sight"]
    assert list(classes["sound"]) == list("012345")


@pytest.mark.parametrize(
    "names,message",
    [
        ({"sight": ["a"]}, "class_names.sight: has 1 different names for 5 repet"),
        ({"sound": ["a"] * 6}, "class_names.sound: has 1 different names for 6 repet"),
        ({"smell": ["a"]}, "class_names.smell: is not sight or sound"),
    ],
)
def test_names_of_other_classes_are_refused(counter, names, message):
    config = counter.config | {"class_names": names}
    with pytest.raises(ModelError, match=f"^tiny: {message}"):
        Counter(counter.family, counter.network, counter.variables, config)


def test_windows_tile_the_video(result):
    for stream in result.streams:
        assert stream.windows[0].start_s == 0
        for before, after in itertools.pairwise(stream.windows):
            assert before.end_s == pytest.approx(after.start_s)
    assert result.stream("sight").windows[-1].end_s == pytest.approx(4.0, abs=0.05)


@pytest.mark.parametrize("frames", [1, 2, 63, 64, 65, 200])
@pytest.mark.parametrize("protocol", ["paper", "released"])
def test_any_length(counter, frames, protocol):
    result = count_array(counter, frames, frames / 25, protocol=protocol)
    assert np.isfinite(result.count)
    assert result.rate.integral == pytest.approx(result.count)
    assert result.duration_s == pytest.approx(frames / 25, abs=0.05)


@pytest.mark.parametrize("protocol", ["paper", "released"])
@pytest.mark.parametrize("seconds", [0.3, 2.0, 9.0])
def test_sound_shorter_or_longer_than_the_picture(counter, protocol, seconds):
    result = count_array(counter, 100, seconds, protocol=protocol)
    sight, sound = result.streams
    assert sound.windows[-1].end_s == pytest.approx(seconds, abs=0.05)
    assert sight.windows[-1].end_s == pytest.approx(4.0, abs=0.05)
    assert result.duration_s == pytest.approx(max(4.0, seconds), abs=0.05)
    # A random network may count less than nothing, which is nothing.
    if result.count > 0:
        assert result.rate.edges_s[-1] == pytest.approx(result.duration_s)


@pytest.mark.parametrize("protocol", ["paper", "released"])
def test_one_stream_alone(counter, clip, silent_clip, protocol):
    silent = counter.count(silent_clip, protocol=protocol)
    assert [(one.name, one.weight) for one in silent.streams] == [("sight", 1.0)]
    assert silent.details["reliability"] is None
    assert silent.count == max(0, silent.streams[0].count)
    deaf = counter.count(clip, sound=False, protocol=protocol)
    assert [one.name for one in deaf.streams] == ["sight"]
    blind = counter.count(clip, sight=False, protocol=protocol)
    assert [(one.name, one.weight) for one in blind.streams] == [("sound", 1.0)]
    assert blind.count == max(0, blind.streams[0].count)
    assert blind.details["stride"] is None
    assert blind.panel is None
    both = counter.count(clip, protocol=protocol)
    alone = blind.stream("sound").count
    assert alone == pytest.approx(both.stream("sound").count, rel=1e-5)


def test_without_sound_the_sight_only_ranker_decides(counter, clip):
    deaf = counter.count(clip, sound=False).details
    assert deaf["stride_scores"] == deaf["solo_stride_scores"]
    heard = counter.count(clip).details
    assert heard["solo_stride_scores"] == pytest.approx(deaf["solo_stride_scores"])


def test_given_stride_is_used(counter, clip):
    details = counter.count(clip, stride=7).details
    assert details["stride"] == 7
    assert details["stride_scores"] == details["solo_stride_scores"] == {}
    assert set(details["stride_counts"]) == {"7"}
    two = counter.count(clip, max_stride=2)
    assert two.details["stride_scores"].keys() == {"1", "2"}


@pytest.mark.parametrize(
    "options,message",
    [
        ({"stride": 0}, "stride: must be at least 1, not 0"),
        ({"max_stride": 0}, "max_stride: must be at least 1, not 0"),
        ({"stride": 1.5}, "stride: must be int or None, not 1.5"),
        ({"protocol": "mine"}, "protocol: 'mine' is not one of paper, released"),
        ({"sight": False, "sound": False}, "at least one of them is needed"),
        ({"seed": -1}, "seed: must be at least 0"),
        ({"ranker": "paper"}, "ranker: is no option of tiny"),
    ],
)
def test_bad_options(counter, clip, options, message):
    with pytest.raises(ValueError, match=message):
        counter.count(clip, **options)


def test_a_protocol_that_the_model_made_up(counter, clip):
    config = {**counter.config, "protocol": "mine"}
    made_up = Counter(counter.family, counter.network, counter.variables, config)
    with pytest.raises(ValueError, match="protocol: 'mine' is not one of"):
        made_up.count(clip)


def test_every_window_of_a_long_video_is_counted(counter):
    result = count_array(counter, 700)
    windows = result.stream("sight").windows
    assert len(windows) == -(-700 // (64 * result.details["stride"]))


@pytest.mark.parametrize(
    "frames,clips,calls,options",
    [
        # Strides 1 to 5 cut 100 frames into 2 + 1 + 1 + 1 + 1 clips.
        (100, 6, 3, {}),
        # One frame is the same clip at every stride.
        (1, 1, 1, {}),
        # 6 + 3 + 2 + 2 + 2 clips; those of strides 1 and 5 that hold frame 320 alone are one.
        (321, 14, 5, {}),
        # One full window, one padded, and the extra one at stride 4.
        (200, 3, 3, {"protocol": "released", "stride": 2}),
        # Five first clips, of which the second starts both windows; the extra one is the
        # first clip of stride 4, so that only the padded window is new.
        (200, 6, 3, {"protocol": "released", "max_stride": 5, "prefer": 2}),
    ],
)
def test_clips_and_encoder_calls(counter, monkeypatch, frames, clips, calls, options):
    options = dict(options)
    prefer = options.pop("prefer", None)
    if prefer is not None:
        scores = -np.abs(np.arange(1, 6) - prefer)
        programs = counter.estimator.programs
        monkeypatch.setattr(programs, "score", lambda sight, sound: scores)
    cost = count_array(counter, frames, **options).details["cost"]["sight"]
    assert (cost["clips"], cost["calls"]) == (clips, calls)


def test_no_recompilation_from_file_to_file(counter, clip):
    programs = counter.estimator.programs
    counter.count(clip)
    sizes = len(programs.sight.programs), len(programs.sound.programs)
    counter.count(moving_square(333), fps=30, waveform=knocks(11), audio_rate=22050)
    assert (len(programs.sight.programs), len(programs.sound.programs)) == sizes


def test_a_second_counter_compiles_nothing(counter, clip):
    """Training makes one for every epoch's variables."""
    counter.count(clip)
    first = counter.estimator.programs
    variables = jax.tree.map(lambda leaf: leaf * 1.01, counter.variables)
    second = Counter(
        counter.family,
        counter.network,
        variables,
        counter.config,
        batch_sizes=(4, 1),
    )
    before = len(first.sight.programs), len(first.sound.programs)
    assert second.count(clip).count != counter.count(clip).count
    programs = second.estimator.programs
    assert programs.sight.programs is first.sight.programs
    assert (len(programs.sight.programs), len(programs.sound.programs)) == before


def test_digital_silence_counts_as_no_sound(counter):
    silence = {"waveform": np.zeros(44100, np.float32), "audio_rate": 22050}
    result = counter.count(moving_square(50), fps=25, **silence)
    assert result.stream("sound") is None
    assert result.count == count_array(counter, 50).count
    alone = counter.count(None, **silence)
    assert alone.count == 0
    assert alone.duration_s == pytest.approx(2.0)
    released = counter.count(moving_square(50), fps=25, protocol="released", **silence)
    # The release counts it all the same.
    assert np.isfinite(released.stream("sound").count)


# The estimator fed by hand.


def pieces(frames, samples, rng):
    """Frames and samples cut anywhere, sound before or after the picture that it goes with."""
    times = np.arange(frames) / 25
    video, sound = moving_square(frames, 32, 32), knocks(samples / 22050)
    cuts = [
        np.sort(rng.integers(0, length + 1, rng.integers(0, 12)))
        for length in (frames, len(sound))
    ]
    parts = [
        *((one, None) for one in np.split(np.arange(frames), cuts[0])),
        *((None, one) for one in np.split(np.arange(len(sound)), cuts[1])),
    ]
    # Any interleaving that keeps both in order.
    order = rng.permutation([0] * (len(cuts[0]) + 1) + [1] * (len(cuts[1]) + 1))
    queues = [[p for p in parts if p[0] is not None], parts[len(cuts[0]) + 1 :]]
    nothing = np.zeros((0, 32, 32, 3), np.uint8)
    for kind in order:
        seen, heard = queues[kind].pop(0)
        yield Chunk(
            nothing if seen is None else video[seen],
            np.zeros(0) if seen is None else times[seen],
            np.zeros(0, np.float32) if heard is None else sound[heard],
        )


def measure(counter, chunks, **options):
    info = SourceInfo("by hand", 0.0, 25.0, True, True)
    estimator = counter.estimator
    state = estimator.start(info, counter.options(**options))
    chunks = list(chunks)
    while True:
        for chunk in chunks:
            state, _ = estimator.feed(state, chunk)
        found = estimator.finish(state)
        if not isinstance(found, ReadAgain):
            return found
        state = found.state


def plain(measurement):
    """All numbers of a measurement."""
    return (measurement.count, measurement.rate, measurement.streams, measurement.end_s)


@pytest.mark.parametrize("protocol", ["paper", "released"])
def test_any_chunking_gives_the_same(counter, protocol):
    whole = None
    for seed in range(6):
        chunks = pieces(230, 200_000, np.random.default_rng(seed))
        found = measure(counter, chunks, protocol=protocol)
        whole = whole or found
        assert plain(found) == plain(whole)
        assert found.details == whole.details


@pytest.mark.parametrize("protocol", ["paper", "released"])
def test_states_are_values(counter, protocol):
    """Going on from a state, twice and after a finish, gives what one straight run gives."""
    estimator = counter.estimator
    chunks = list(pieces(170, 150_000, np.random.default_rng(1)))
    half = len(chunks) // 2
    straight = measure(counter, chunks, protocol=protocol)
    info = SourceInfo("by hand", 0.0, 25.0, True, True)
    state = estimator.start(info, counter.options(protocol=protocol))
    for chunk in chunks[:half]:
        state, _ = estimator.feed(state, chunk)

    def go_on(state, rest):
        for chunk in rest:
            state, _ = estimator.feed(state, chunk)
        found = estimator.finish(state)
        if isinstance(found, ReadAgain):
            return go_on(found.state, chunks)
        return found

    estimator.finish(state)
    # Elsewhere first: other frames and other sound after the same beginning.
    other = Chunk(
        np.zeros((100, 32, 32, 3), np.uint8),
        7 + np.arange(100) / 25,
        np.ones(50_000, np.float32),
    )
    elsewhere, _ = estimator.feed(state, other)
    estimator.finish(elsewhere)
    for _ in range(2):
        found = go_on(state, chunks[half:])
        assert found.count == pytest.approx(straight.count, rel=1e-5)
        assert found.details["stride"] == straight.details["stride"]


def test_frames_may_change_after_they_were_fed(counter):
    """A reader that fills the same buffer again and again does no harm."""
    estimator = counter.estimator
    info = SourceInfo("by hand", 0.0, 25.0, True, False)
    video, buffer = moving_square(130, 32, 32), np.zeros((10, 32, 32, 3), np.uint8)
    state = estimator.start(info, counter.options())
    for first in range(0, 130, 10):
        buffer[:] = video[first : first + 10]
        times = np.arange(first, first + 10) / 25
        chunk = Chunk(buffer, times, np.zeros(0, np.float32))
        state, _ = estimator.feed(state, chunk)
    buffer[:] = 0
    whole = Chunk(video, np.arange(130) / 25, np.zeros(0, np.float32))
    assert estimator.finish(state).count == measure(counter, [whole]).count


def test_a_second_reading_that_ends_early(counter):
    estimator = counter.estimator
    info = SourceInfo("short.mp4", 0.0, 25.0, True, False)
    options = counter.options(protocol="released", stride=1)
    chunk = Chunk(
        moving_square(200, 32, 32), np.arange(200) / 25, np.zeros(0, np.float32)
    )
    state, _ = estimator.feed(estimator.start(info, options), chunk)
    again = estimator.finish(state)
    assert isinstance(again, ReadAgain)
    with pytest.raises(rac_jax.MediaError, match=r"short\.mp4: gave fewer frames"):
        estimator.finish(again.state)


def test_nothing_at_all(counter):
    for protocol in ("paper", "released"):
        found = measure(counter, [], protocol=protocol)
        assert (found.count, found.streams, found.end_s) == (0.0, (), 0.0)


# Table 9's alternative to Eq. 10.


@pytest.fixture(scope="module")
def fused_by_head(counter):
    """The tiny model with a random head on both streams' features."""
    width = sum(
        counter.variables["params"][name]["counts"]["kernel"].shape[0]
        for name in ("sight_head", "sound_head")
    )
    head = fusion_head().init(jax.random.key(0), jnp.zeros((1, width)))["params"]
    head = jax.tree.map(lambda leaf: 30 * leaf + 0.5, jax.device_get(head))
    params = {**counter.variables["params"], FUSION_HEAD: head}
    variables = {**counter.variables, "params": params}
    return Counter(counter.family, counter.network, variables, counter.config)


def test_the_fusion_head_counts_the_clips_of_the_chosen_stride(
    counter, fused_by_head, clip
):
    usual, found = counter.count(clip), fused_by_head.count(clip)
    assert found.details["stride_scores"] == usual.details["stride_scores"]
    assert found.details["reliability"] is None
    assert [one.weight for one in found.streams] == [None, None]
    assert found.count > 0
    assert found.count != pytest.approx(usual.count, abs=1e-3)
    assert found.rate.integral == pytest.approx(found.count)
    # Without sound, sight counts alone.
    deaf = fused_by_head.count(clip, sound=False)
    assert deaf.count == counter.count(clip, sound=False).count


def test_the_fusion_head_by_hand(fused_by_head, monkeypatch):
    """The head on both streams' features of every clip, no count under zero."""
    programs, seen = fused_by_head.estimator.programs, []
    joined = programs.joined

    def listen(sight, sound):
        seen.append((sight, sound))
        return joined(sight, sound)

    monkeypatch.setattr(programs, "joined", listen)
    result = count_array(fused_by_head, 150, 6.0, stride=1)
    ((sight, sound),) = seen
    assert len(sight.features) == len(sound.features) == 3
    both = jnp.concatenate([sight.features, sound.features], axis=-1)
    head = {"params": fused_by_head.variables["params"][FUSION_HEAD]}
    counts = jnp.maximum(fusion_head().apply(head, both).count, 0)
    assert result.count == pytest.approx(float(counts.sum()), rel=1e-5)


def test_a_model_without_a_fusion_head(counter):
    with pytest.raises(ValueError, match="no parameter group 'fusion_head'"):
        counter.estimator.programs.joined(None, None)


@pytest.fixture(scope="module")
def shipped():
    return rac_jax.load("sight-sound-small")


@pytest.mark.parametrize(
    "options",
    [{}, {"protocol": "released"}, {"sound": False}, {"sight": False}, {"stride": 3}],
    ids=str,
)
def test_golden_counts_of_the_sample(shipped, options):
    wanted = GOLDEN[f"sight-sound-small {options} sample"]
    assert shipped.count(SAMPLE, **options).count == pytest.approx(wanted, abs=1e-3)
