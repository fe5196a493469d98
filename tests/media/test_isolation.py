"""A file that kills its decoder is one failed stream of one file."""

import os
import pathlib
import signal
import textwrap
import threading
import time

import numpy as np
import pytest

from rac_jax import media
from rac_jax.counting.needs import FrameNeeds, Needs, SoundNeeds
from rac_jax.counting.source import FileSource
from rac_jax.media import isolation
from tests.conftest import knocks, moving_square
from tests.media.media_factory import coded_frames, make_video, make_wav, read_codes


@pytest.fixture
def pool(monkeypatch):
    """Workers that no other test has."""
    fresh = isolation._Pool()
    monkeypatch.setattr(isolation, "_pool", fresh)
    yield fresh
    fresh.close()


@pytest.fixture
def sabotage(monkeypatch, tmp_path, pool):
    """Makes workers run lines of Python before anything else."""

    def apply(code: str) -> None:
        (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(code))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return apply


def read_source(path):
    """An open file, all that it gives, and its faults meanwhile."""
    needs = Needs(FrameNeeds(size=(16, 16)), SoundNeeds(rate=22050))
    source = FileSource(path, needs)
    with media.collect_faults() as faults:
        return source, list(source.chunks()), faults


DEADLY = """
    import os, signal
    import rac_jax.media.{module} as module

    def die(path, **wanted):
        {before}
        os.kill(os.getpid(), signal.SIGSEGV)
        yield

    module.{name} = die
"""
needs_signals = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


@needs_signals
def test_sound_that_kills_leaves_the_picture(sabotage, clip):
    code = DEADLY.format(module="files", name="listen", before="").replace("yield", "")
    sabotage(code)
    with media.collect_faults() as faults:
        info = media.probe(clip)
    assert (info.has_video, info.has_audio) == (True, False)
    assert faults == [
        f"{clip}: nothing of its sound can be read: its decoder crashed (signal 11)"
    ]
    source, chunks, _ = read_source(clip)
    assert (source.has_picture, source.has_sound) == (True, False)
    assert source.faults == tuple(faults)
    assert sum(len(chunk.frames) for chunk in chunks) == 100


@needs_signals
def test_sound_that_kills_in_the_middle_leaves_the_picture(sabotage, clip):
    sabotage(
        DEADLY.format(
            module="audio", name="stream_audio", before="yield np.zeros(500, 'f4')"
        ).replace("import os,", "import numpy as np, os,")
    )
    _, chunks, faults = read_source(clip)
    assert sum(len(chunk.frames) for chunk in chunks) == 100
    assert sum(len(chunk.samples) for chunk in chunks) == 500
    assert faults == [f"{clip}: its decoder crashed (signal 11)"]


@needs_signals
def test_a_picture_that_kills_leaves_the_sound(sabotage, clip):
    sabotage(DEADLY.format(module="files", name="look", before="").replace("yield", ""))
    with media.collect_faults() as faults:
        info = media.probe(clip)
    assert (info.has_video, info.has_audio) == (False, True)
    assert "nothing of its picture can be read: its decoder crashed" in faults[0]


@needs_signals
def test_a_killed_worker_is_one_file(pool, tmp_path):
    long = make_video(tmp_path / "long.mp4", coded_frames(250))
    other = make_video(tmp_path / "other.mp4", coded_frames(5))
    chunks = media.stream_frames(long, chunk=8)
    worker = isolation._pool.take()
    isolation._pool.give(worker)
    next(chunks)
    os.kill(worker._process.pid, signal.SIGKILL)
    with pytest.raises(media.DecoderCrashed, match=r"long\.mp4: .* \(signal 9\)$"):
        list(chunks)
    assert read_codes(media.read_video(other).frames) == list(range(5))


@needs_signals
def test_one_killed_while_it_waits_is_replaced(pool, tmp_path):
    path = make_video(tmp_path / "a.mp4", coded_frames(5))
    media.start_worker()
    worker = pool.take()
    pool.give(worker)
    os.kill(worker._process.pid, signal.SIGKILL)
    worker._process.wait()
    assert media.probe(path).frames == 5


def test_a_decoder_that_hangs_is_stopped(sabotage, monkeypatch, clip):
    monkeypatch.setattr(isolation, "STALL_S", 1.5)
    sabotage(
        """
        import time
        import rac_jax.media.frames as frames

        frames.stream_frames = lambda path, **wanted: iter([time.sleep(600)])
        """
    )
    with pytest.raises(media.DecoderCrashed, match="no answer for"):
        list(media.stream_frames(clip))


def test_workers_are_used_again_and_stop_with_their_reader(pool, tmp_path):
    path = make_video(tmp_path / "a.mp4", coded_frames(100))
    media.read_video(path)
    (first,) = pool._idle
    media.read_video(path)
    assert pool._idle == [first]
    chunks = media.stream_frames(path, chunk=1)
    next(chunks)
    chunks.close()
    assert pool._idle == [] and first._process.poll() is not None


def test_two_threads_read_at_once(tmp_path):
    paths = [
        make_wav(tmp_path / f"{i}.wav", np.full(8000, 0.1 * (i + 1)), 8000)
        for i in range(3)
    ]
    found = {}

    def read(path: pathlib.Path) -> None:
        found[path] = media.read_audio(path, rate=8000).mean()

    threads = [threading.Thread(target=read, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[path] for path in paths] == pytest.approx([0.1, 0.2, 0.3], abs=1e-3)


def test_relative_names_are_those_of_the_folder_one_is_in(monkeypatch, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        frames = coded_frames(3 if name == "one" else 6)
        make_video(tmp_path / name / "a.mp4", frames)
    for name, number in (("one", 3), ("two", 6)):
        monkeypatch.chdir(tmp_path / name)
        assert media.probe("a.mp4").frames == number


def test_a_worker_costs_little_per_file(pool, tmp_path):
    """Not a measurement: a worker that were started anew for each file would take seconds."""
    path = make_video(tmp_path / "a.mp4", moving_square(4), sound=knocks(0.2, 16000))
    media.probe(path)
    began = time.perf_counter()
    for _ in range(20):
        media.probe(path)
    assert len(pool._idle) == 1 and time.perf_counter() - began < 10
