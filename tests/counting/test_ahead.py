"""Working ahead: order, errors, faults and an early end."""

import threading
import time

import pytest

from rac_jax.counting.ahead import call_ahead, read_ahead
from rac_jax.media import container


def test_all_items_in_order():
    assert list(read_ahead(range(20), depth=3)) == list(range(20))
    assert list(read_ahead([])) == []


def test_the_source_works_while_the_reader_does():
    second = threading.Event()

    def source():
        yield 1
        second.set()
        yield 2

    items = read_ahead(source())
    assert next(items) == 1
    assert second.wait(5)  # without anybody asking for it
    assert list(items) == [2]


def test_errors_come_in_their_place():
    def source():
        yield 1
        raise OSError("gone")

    items = read_ahead(source())
    assert next(items) == 1
    with pytest.raises(OSError, match="gone"):
        next(items)


def test_it_begins_before_anybody_asks():
    begun = threading.Event()

    def source():
        begun.set()
        yield 1

    items = read_ahead(source())
    assert begun.wait(5)
    assert list(items) == [1]


def test_faults_reach_the_readers_collector():
    def source():
        container.report_fault("a.mp4", "cut short")
        yield 1
        container.report_fault("a.mp4", "breaks off")

    begun_outside = read_ahead(source())
    with container.collect_faults() as faults:
        assert next(begun_outside) == 1
        assert faults == ["a.mp4: cut short"]
        assert list(begun_outside) == []
    assert faults == ["a.mp4: cut short", "a.mp4: breaks off"]


def test_it_stops_when_nobody_will_ask():
    closed = threading.Event()

    def source():
        try:
            yield from range(1000)
        finally:
            closed.set()

    items = read_ahead(source())
    del items
    assert closed.wait(5)


def test_an_early_end_closes_the_source():
    closed, given = [], []

    def source():
        try:
            for number in range(1000):
                given.append(number)
                yield number
        finally:
            closed.append(True)

    items = read_ahead(source(), depth=2)
    assert next(items) == 0
    items.close()
    assert closed == [True]
    taken = len(given)
    time.sleep(0.05)
    assert taken == len(given) < 10


def test_the_next_call_begins_while_this_one_runs():
    second, running, most = threading.Event(), [], []

    def work(number):
        running.append(number)
        most.append(len(running))
        if number == 0:
            assert second.wait(5)  # set by the next call, before this one ends
        if number == 1:
            second.set()
        running.remove(number)
        return 10 * number

    found = [(number, wait()) for number, wait in call_ahead(work, range(6))]
    assert found == [(number, 10 * number) for number in range(6)]
    assert max(most) == 2
    assert list(call_ahead(work, [])) == []


def test_a_failed_call_leaves_the_others():
    def work(number):
        if number == 1:
            raise OSError("gone")
        return number

    waits = [wait for _, wait in call_ahead(work, range(3))]
    assert waits[0]() == 0 and waits[2]() == 2
    with pytest.raises(OSError, match="gone"):
        waits[1]()
