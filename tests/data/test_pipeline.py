"""Batches are a function of (seed, epoch, index), whoever reads them and from where."""

import logging

import numpy as np
import pytest

from rac_jax.data import pipeline
from tests.train.tiny_task import TinySampler, TinyVideos


def read(**changes):
    settings = {"seed": 3, "batch": 4, "batches": 7, "source": TinyVideos()} | changes
    return list(
        pipeline.make_batches(settings.pop("source"), TinySampler(), **settings)
    )


def same(one, two):
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def test_every_epoch_has_every_video_in_another_order():
    batches = read(batches=6)
    indices = np.concatenate([batch["index"] for batch in batches])
    first, second = indices[:12], indices[12:]
    assert sorted(first) == sorted(second) == list(range(12))
    assert list(first) != list(second) and list(first) != list(range(12))


def test_other_seeds_give_other_orders_and_draws():
    one, two = read()[0], read(seed=4)[0]
    assert one["index"].tolist() != two["index"].tolist()
    assert not np.array_equal(one["x"], two["x"])


def test_without_shuffling_the_order_is_the_sources():
    indices = np.concatenate([batch["index"] for batch in read(shuffle=False)])
    assert indices.tolist() == [i % 12 for i in range(28)]


def test_a_video_is_cut_anew_in_every_epoch():
    batches = read(batches=6, shuffle=False)
    assert not np.array_equal(batches[0]["x"][0, 1:], batches[3]["x"][0, 1:])


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_nothing(workers):
    same(read(workers=workers), read())


def test_going_on_gives_what_was_left():
    same(read(start=3), read()[3:])
    same(read(start=3, workers=2), read()[3:])


def test_hosts_share_the_rows_of_a_batch():
    whole = read()
    parts = [read(rows=[0, 1]), read(rows=[2, 3])]
    joined = [
        {name: np.concatenate([a[name], b[name]]) for name in a}
        for a, b in zip(*parts, strict=True)
    ]
    same(joined, whole)


def test_a_broken_video_is_left_out_counted_and_reported_once(caplog):
    source = TinyVideos(broken=(2, 5))
    batches = read(source=source, batches=6)
    broken = pipeline.BrokenVideos(source)
    with caplog.at_level(logging.WARNING, "rac_jax.data"):
        for batch in batches:
            broken.note(batch)
    assert sum(batch["broken"].sum() for batch in batches) == 4
    for batch in batches:
        np.testing.assert_array_equal(batch["mask"], ~batch["broken"])
        assert not batch["x"][batch["broken"]].any()
    assert broken.reasons == {
        "tiny2.mp4": "tiny2.mp4: is broken",
        "tiny5.mp4": "tiny5.mp4: is broken",
    }
    lines = sorted(record.getMessage() for record in caplog.records)
    assert lines == [f"skipped tiny{i}.mp4: tiny{i}.mp4: is broken" for i in (2, 5)]
    # The others stand where they stood.
    for batch, clean in zip(batches, read(batches=6), strict=True):
        here = ~batch["broken"]
        np.testing.assert_array_equal(batch["x"][here], clean["x"][here])


def test_a_reason_that_went_away_is_said_to_have():
    source = TinyVideos(broken=(2,))
    batches = read(source=source, batches=3)
    source.broken = ()
    broken = pipeline.BrokenVideos(source)
    for batch in batches:
        broken.note(batch)
    assert broken.reasons == {"tiny2.mp4": "could not be read at first"}


def test_nothing_to_read_is_an_error():
    with pytest.raises(ValueError, match="there are no videos"):
        read(source=TinyVideos(0))
    with pytest.raises(ValueError, match="rows .* of a batch of 4"):
        read(rows=[4, 5])


def test_batches_are_put_before_they_are_asked_for():
    put, taken = [], []

    def send(batch):
        put.append(batch)
        return -batch

    for value in pipeline.prefetch((n for n in range(6)), send, ahead=2):
        taken.append(value)
        assert len(put) == min(len(taken) + 2, 6)
    assert taken == [-n for n in range(6)]


def test_who_stops_early_closes_the_batches():
    closed = []

    def numbers():
        try:
            yield from range(6)
        finally:
            closed.append(True)

    batches = pipeline.prefetch(numbers(), lambda batch: batch)
    assert next(batches) == 0 and not closed
    batches.close()
    assert closed


def test_a_subset_is_a_source():
    subset = pipeline.Subset(TinyVideos(), (3, 7))
    assert len(subset) == 2 and subset.name(1) == "tiny7.mp4"
    assert subset[0].video_id == "tiny3"
    indices = np.concatenate([b["x"][:, 0] for b in read(source=subset, batches=1)])
    assert sorted(indices) == [3, 3, 7, 7]
