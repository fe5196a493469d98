"""The page of `rac live` by its HTTP: what it shows, its buttons, and who may ask."""

import dataclasses
import http.client
import json
import threading
import urllib.error
import urllib.request

import pytest

from rac_jax.counting.live_session import Snapshot
from rac_jax.counting.said import Said, SaidSet
from rac_jax.media.live import Picture
from rac_jax.view.live_page import LivePage, is_loopback


@dataclasses.dataclass
class FakeSource:
    name: str = "camera 0"
    picture: Picture | None = None


class FakeSession:
    """What a page asks of a session, without a camera."""

    def __init__(self):
        said = Said(0.5, count=3, settled=2, until_s=4.0, durations_s=(0.9, 1.1))
        said = dataclasses.replace(said, sets=(SaidSet(1.0, 4.0, 3),), _before=3)
        self.source = FakeSource()
        self.snapshot = Snapshot(said, 25.0, 24.0, 100, 0.04, 0.1)
        self.result = None
        self.pressed = []

    def pause(self):
        self.pressed.append("pause")

    def reset(self):
        self.pressed.append("reset")

    def end(self):
        self.pressed.append("end")


@pytest.fixture
def session():
    return FakeSession()


@pytest.fixture
def page(session):
    with LivePage(session) as page:
        yield page


def _ask(page, path="", method="GET", **headers):
    request = urllib.request.Request(page.address + path, method=method)
    for name, value in headers.items():
        request.add_header(name, value)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.status, answer.headers, answer.read()


def _first_event(page) -> tuple[dict, http.client.HTTPResponse]:
    stream = urllib.request.urlopen(page.address + "events", timeout=20)
    line = stream.readline()
    assert line.startswith(b"data: ")
    stream.readline()
    return json.loads(line[6:]), stream


def test_the_page_is_there_and_is_kept_nowhere(page):
    status, headers, body = _ask(page)
    assert status == 200
    assert headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert b'id="count"' in body
    # Nothing of another place is loaded.
    assert b"http" not in body


def test_the_newest_picture_and_no_other(page, session):
    assert _ask(page, "picture")[0] == 204
    session.source.picture = Picture(7, b"\xff\xd8 a picture")
    status, headers, body = _ask(page, "picture?7")
    assert (status, body) == (200, b"\xff\xd8 a picture")
    assert headers["Cache-Control"] == "no-store"


def test_news_come_until_it_is_over(page, session):
    state, stream = _first_event(page)
    assert (state["count"], state["settled"], state["sets"]) == (
        3,
        2,
        [{"start_s": 1.0, "end_s": 4.0, "count": 3}],
    )
    assert state["durations_s"] == [0.9, 1.1]
    assert (state["source_fps"], state["model_fps"], state["drop_rate"]) == (
        25,
        24,
        0.04,
    )
    session.snapshot = dataclasses.replace(session.snapshot, over=True)
    page.watch(session.snapshot)
    lines = [line for line in stream if line.strip()]
    assert json.loads(lines[-1][6:])["over"]
    stream.close()


def test_buttons_are_pressed(page, session):
    for name in ("pause", "reset", "end"):
        assert _ask(page, name, "POST")[0] == 204
    assert session.pressed == ["pause", "reset", "end"]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        _ask(page, "nonsense", "POST")


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Host": ""}, {"Origin": "http://evil.example"}],
)
def test_pages_from_elsewhere_are_refused(page, session, headers):
    with pytest.raises(urllib.error.HTTPError, match="403"):
        _ask(page, "end", "POST", **headers)
    assert session.pressed == []


def test_its_own_page_may_press(page, session):
    origin = page.address.rstrip("/")
    assert _ask(page, "end", "POST", Origin=origin)[0] == 204


def test_only_this_machine_is_listened_on(page):
    assert page.address.startswith("http://127.0.0.1:")
    names = ("localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]")
    assert all(map(is_loopback, names))
    assert not any(
        map(is_loopback, ("0.0.0.0", "::", "192.168.1.2", "evil.example", ""))
    )


def test_a_taken_port_is_an_error_of_the_system(page, session):
    port = int(page.address.rstrip("/").rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        LivePage(session, port=port)


def test_it_ends_though_somebody_looks(session):
    with LivePage(session) as page:
        _, stream = _first_event(page)
    stream.close()
    assert not any("uvicorn" in one.name for one in threading.enumerate())
