"""Caches of decoded videos are whole, know what they were made from, and travel."""

import json
import logging
import os
import pickle
import threading

import numpy as np
import pytest

from rac_jax.data import clip_cache, records
from rac_jax.data.annotations import Annotation
from rac_jax.data.clip_cache import CachedVideos
from rac_jax.data.labelled import LabelledVideo, VideoSummary
from tests.train.tiny_task import TinyVideos


def video(index: int, **changes) -> LabelledVideo:
    rng = np.random.default_rng(index)
    whole = {
        "video_id": f"v{index}",
        "frames": rng.integers(0, 256, (5 + index, 4, 4, 3), np.uint8),
        "fps": 25.0,
        "waveform": rng.normal(size=900).astype(np.float32),
        "audio_rate": 22050,
        "count": float(index),
        "label": "hop",
        "challenges": ("dark picture",),
        "groups": {"place": "hall"},
    }
    return LabelledVideo(**whole | changes)


@pytest.fixture
def cache(tmp_path):
    videos = [video(1), video(2, waveform=None, audio_rate=0), video(0)]
    return clip_cache.build_cache(tmp_path / "cache", videos, "key1")


def test_videos_come_back_in_any_order(cache):
    cached = CachedVideos(cache)
    assert len(cached) == 3 and cached.name(1) == "v2"
    for index, expected in ((2, video(0)), (0, video(1)), (2, video(0))):
        found = cached[index]
        assert (found.video_id, found.count) == (expected.video_id, expected.count)
        np.testing.assert_array_equal(found.frames, expected.frames)
        np.testing.assert_array_equal(found.waveform, expected.waveform)
    assert cached[1].waveform is None
    with pytest.raises(IndexError, match="video 3 of 3"):
        cached[3]


def test_the_index_says_what_is_in_it(cache):
    entry, silent, still = CachedVideos(cache).summaries
    assert entry == VideoSummary(
        video_id="v1",
        frames=6,
        fps=25.0,
        samples=900,
        audio_rate=22050,
        count=1.0,
        period=6.0,
        label="hop",
        challenges=("dark picture",),
        groups={"place": "hall"},
    )
    assert entry.has_sound and not silent.has_sound
    assert (silent.samples, silent.audio_rate) == (0, 0)
    assert still.period == float("inf")
    # It is JSON in the strict sense, which knows no infinity.
    text = (cache / "index.json").read_text()
    assert "Infinity" not in text and json.loads(text)["videos"][2]["period"] is None


def test_videos_of_one_name_are_told_apart(tmp_path):
    videos = [video(1), video(1), video(2), video(1)]
    cached = CachedVideos(clip_cache.build_cache(tmp_path / "cache", videos, "key1"))
    names = ["v1", "v1#2", "v2", "v1#3"]
    assert [entry.video_id for entry in cached.summaries] == names
    assert [cached[index].video_id for index in range(4)] == names


def test_a_build_that_fails_leaves_nothing(tmp_path):
    def videos():
        yield video(1)
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="the power went"):
        clip_cache.build_cache(tmp_path / "cache", videos(), "key1")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_not_replaced(cache):
    before = sorted(path.read_bytes() for path in cache.iterdir())
    with pytest.raises(OSError, match="(?i)not empty|exists"):
        clip_cache.build_cache(cache, [video(5)], "key2")
    assert sorted(path.read_bytes() for path in cache.iterdir()) == before
    assert list(cache.parent.iterdir()) == [cache]
    file = cache.parent / "file"
    file.write_text("mine")
    with pytest.raises(OSError, match="(?i)not a directory|exists"):
        clip_cache.build_cache(file, [video(5)], "key2")
    assert file.read_text() == "mine"


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "cache").mkdir()
    clip_cache.build_cache(tmp_path / "cache", [video(1)], "key1")
    assert len(CachedVideos(tmp_path / "cache")) == 1


def test_the_cache_of_a_faster_process_is_taken(tmp_path):
    folder = tmp_path / "cache"

    class Slow(TinyVideos):
        def __getitem__(self, index):
            if index == 1:  # another process is ready while this one reads
                clip_cache.build_cache(folder, [video(7)], "key1")
            return super().__getitem__(index)

    cached = clip_cache.cache_source(folder, Slow(3), "key1")
    assert [cached.name(index) for index in range(len(cached))] == ["v7"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_record_that_was_cut_is_named(cache, monkeypatch):
    cached = CachedVideos(cache)
    whole = records.ArrayRecordReader.read

    def cut(self, places):
        return [record[:-5] for record in whole(self, places)]

    monkeypatch.setattr(records.ArrayRecordReader, "read", cut)
    with pytest.raises(
        ValueError, match="videos-00000-of-00001.array_record: video 1 is damaged"
    ):
        cached[1]


def test_nothing_to_store_is_an_error(tmp_path):
    broken = [{"name": "a.mp4", "reason": "is empty"}]
    with pytest.raises(ValueError, match=r"no video can be read; a.mp4: is empty"):
        clip_cache.build_cache(tmp_path / "cache", [], "key1", broken)


def test_a_source_is_read_once_and_its_broken_videos_are_listed(tmp_path, caplog):
    seen = []
    with caplog.at_level(logging.WARNING, "rac_jax.data"):
        cached = clip_cache.cache_source(
            tmp_path / "cache",
            TinyVideos(4, broken=(2,)),
            "key1",
            lambda done, total: seen.append((done, total)),
        )
    assert len(cached) == 3 and seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert cached.broken == [{"name": "tiny2.mp4", "reason": "is broken"}]
    assert caplog.messages == ["skipped tiny2.mp4: is broken"]
    # The second time nothing is read.
    again = clip_cache.cache_source(tmp_path / "cache", None, "key1")
    assert again.summaries == cached.summaries and again.broken == cached.broken


def test_a_cache_of_other_data_is_not_taken(cache):
    with pytest.raises(ValueError, match="other data .key key1, wanted key2."):
        clip_cache.cache_source(cache, TinyVideos(2), "key2")


def test_it_travels_to_workers_and_threads(cache):
    cached = CachedVideos(cache)
    cached[0]
    travelled = pickle.loads(pickle.dumps(cached))
    np.testing.assert_array_equal(travelled[0].frames, video(1).frames)
    found = [None] * 8

    def read(place):
        found[place] = cached[place % 3].video_id

    threads = [threading.Thread(target=read, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [["v1", "v2", "v0"][i % 3] for i in range(8)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("index.json", None, "index.json: is missing, this is no cache of videos"),
        ("index.json", b"{", "index.json: is damaged"),
        ("index.json", b"[]", "index.json: is damaged"),
        ("index.json", b"\xff\xfe", "index.json: is damaged"),
        ("index.json", b'{"schema": 3}', "index.json: is damaged"),
        (
            "index.json",
            b'{"schema": 3, "key": "k", "shards": [1], "videos": [{"video_id": "a"}], "broken": []}',
            "index.json: is damaged .not the summary of a video",
        ),
        (
            "videos-00000-of-00001.array_record",
            None,
            "videos-00000-of-00001.array_record: is missing",
        ),
        (
            "videos-00000-of-00001.array_record",
            b"no records",
            "videos-00000-of-00001.array_record: is damaged",
        ),
    ],
)
def test_damage_is_named(cache, name, content, message):
    if content is None:
        (cache / name).unlink()
    else:
        (cache / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        CachedVideos(cache)


ANEW = "delete the folder and run the command that made it again"


@pytest.mark.parametrize("schema", [2, 9])
def test_caches_of_other_versions_are_refused_with_what_to_do(cache, schema):
    path = cache / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": schema}))
    with pytest.raises(ValueError) as caught:
        clip_cache.cache_source(cache, TinyVideos(2), "key1")
    assert str(caught.value) == (
        f"{cache}: is a cache of schema {schema}, this version reads 3; {ANEW}"
    )


def test_a_damaged_index_is_refused_with_what_to_do(cache):
    (cache / "index.json").write_text('{"schema": 3,')
    with pytest.raises(ValueError) as caught:
        CachedVideos(cache)
    message = str(caught.value)
    assert message.startswith(f"{cache}/index.json: is damaged (")
    assert message.endswith(f"; {ANEW}") and "\n" not in message


def test_a_file_cut_short_is_noticed(cache):
    path = cache / "videos-00000-of-00001.array_record"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match="videos-00000-of-00001.array_record"):
        CachedVideos(cache)


def test_an_index_of_other_records_is_noticed(cache):
    path = cache / "index.json"
    known = json.loads(path.read_text())
    known["videos"].pop()
    known["shards"] = [2]
    path.write_text(json.dumps(known))
    with pytest.raises(ValueError, match="holds 3 videos, index.json names 2"):
        CachedVideos(cache)


def test_shards_that_are_not_the_videos_are_noticed(cache):
    path = cache / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"shards": [2]}))
    with pytest.raises(
        ValueError, match=r"index.json: is damaged .shards of \[2\] for 3"
    ):
        CachedVideos(cache)


def _made_together(folder, source, number, workers=0):
    """A cache that threads make as the processes of a run do: what each of them opened."""
    barrier, found = threading.Barrier(number), [None] * number
    said = []

    def first(value, index):
        if index == 0:
            said.append(value)
        barrier.wait()
        return said[0]

    def take_part(index):
        company = clip_cache.Company(
            number,
            index,
            lambda what: barrier.wait(),
            lambda value: first(value, index),
        )
        found[index] = clip_cache.cache_source(
            folder, source, "key1", workers=workers, company=company
        )

    threads = [threading.Thread(target=take_part, args=(i,)) for i in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("number", [2, 3])
def test_processes_share_the_decoding(tmp_path, number):
    source = TinyVideos(7, broken=(1,))
    alone = clip_cache.cache_source(tmp_path / "alone", source, "key1")
    read = []

    class Noting(TinyVideos):
        def __getitem__(self, index):
            read.append(index)
            return super().__getitem__(index)

    found = _made_together(
        tmp_path / "cache", Noting(7, broken=(1,)), number, workers=2
    )
    assert sorted(read) == list(range(7))
    names = [f"videos-{k:05d}-of-{number:05d}.array_record" for k in range(number)]
    folder = tmp_path / "cache"
    assert sorted(path.name for path in folder.iterdir()) == ["index.json", *names]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "cache"]
    for cached in found:
        assert cached.summaries == alone.summaries and cached.broken == alone.broken
        for index in range(6):
            np.testing.assert_array_equal(cached[index].frames, alone[index].frames)
    # One that is there is not made again.
    assert _made_together(folder, None, number)[0].summaries == alone.summaries


def test_workers_read_at_once_and_keep_the_order(tmp_path):
    """Two videos are read at a time: the first is ready only once the second was begun."""
    begun = [threading.Event() for _ in range(4)]

    class Waiting(TinyVideos):
        def __getitem__(self, index):
            begun[index].set()
            if index % 2 == 0:
                assert begun[index + 1].wait(10)
            return super().__getitem__(index)

    cached = clip_cache.cache_source(tmp_path / "cache", Waiting(4), "key1", workers=2)
    assert [cached.name(index) for index in range(4)] == [f"tiny{k}" for k in range(4)]


def test_the_key_changes_with_labels_files_size_and_rate(tmp_path):
    file = tmp_path / "a.mp4"
    file.write_bytes(b"one")

    def key(size=112, rate=22050, resizing="area", **changes):
        fields = {"video_id": "a", "path": str(file), "count": 3.0} | changes
        return clip_cache.source_key([Annotation(**fields)], size, rate, resizing)

    first = key()
    assert key() == first
    others = {key(size=64), key(count=4.0), key(start_s=1.0), key(label="hop")}
    others |= {key(rate=16000), key(events_s=np.array([1.0])), key(groups={"a": "b"})}
    others.add(key(resizing="bilinear"))
    file.write_bytes(b"three")
    others.add(key())
    os.utime(file, ns=(1, 1))
    others.add(key())
    (tmp_path / "a.wav").write_bytes(b"sound")
    others.add(key())
    assert len(others) == 11 and first not in others
