"""The page of `rac live` in headless Chromium: it starts, counts, pauses, begins anew, ends."""

import pathlib
import threading

import pytest

import rac_jax
from rac_jax.counting.live import live_counter
from rac_jax.counting.live_session import LiveSession
from rac_jax.view.live_page import LivePage
from tests.view.chromium import Chromium, find_chromium

# Starting a browser and counting at the pace of a file take a minute together.
pytestmark = pytest.mark.slow
SAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "sample.mp4"


@pytest.fixture(scope="module")
def counter():
    return live_counter(rac_jax.load("compact"))


@pytest.fixture
def browser(tmp_path):
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium on this machine")
    with Chromium(program, tmp_path / "profile") as browser:
        yield browser


class Running:
    """A session that is counted and shown, in threads."""

    def __init__(self, counter, source: str):
        self.session = LiveSession(
            counter, source, picture=True, late_s=60.0, max_stride=2
        )
        self.page = LivePage(self.session)
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        with self.page:
            self.session.run(self.page.watch)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *raised):
        self.session.end()
        self.thread.join()


def test_a_sample_is_counted_before_ones_eyes(counter, browser):
    with Running(counter, str(SAMPLE)) as running:
        browser.open(running.page.address)
        browser.wait_for("Number(document.getElementById('count').textContent) >= 2")
        browser.wait_for("document.getElementById('picture').naturalWidth == 320")
        assert "frames per second come" in browser.text("speed")
        browser.wait_for(
            "document.getElementById('told').textContent.startsWith('ended')"
        )
        assert browser.text("count") == "7"
        assert browser.text("told").startswith("ended: 7 repetitions")
        assert browser.text("sets").split("\t")[:2] == ["set 1", "7"]
        assert browser.evaluate("document.getElementById('bars').children.length") >= 6
        assert browser.evaluate("document.getElementById('pause').disabled")


def test_buttons_of_a_camera(counter, browser):
    """FFmpeg's test source stands for a camera: it has no end."""
    source = "lavfi:testsrc2=size=64x48:rate=25"

    def press(name: str) -> None:
        browser.evaluate(f"document.getElementById('{name}').click()")

    with Running(counter, source) as running:
        browser.open(running.page.address)
        browser.wait_for("document.getElementById('count').textContent == '0'")
        press("pause")
        browser.wait_for("document.getElementById('told').textContent == 'paused'")
        assert browser.text("pause") == "Go on"
        press("pause")
        browser.wait_for("document.getElementById('told').textContent != 'paused'")
        press("reset")
        press("end")
        browser.wait_for(
            "document.getElementById('told').textContent.startsWith('ended')"
        )
        running.thread.join(60)
        assert not running.thread.is_alive()
        assert running.session.result.rounded == 0
