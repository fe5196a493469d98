"""A result in a notebook: picture, sentence and tables, in one piece of HTML."""

import base64
import html.parser
import io

import pytest
from PIL import Image

from rac_jax.counting.result import Stream
from rac_jax.view import result_html
from tests.results import evenly, repetition_set, with_sets

VOID = {"img"}


class Page(html.parser.HTMLParser):
    """What a page holds: its texts and images; unbalanced tags are an error."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts, self.images, self.tags = [], [], [], set()
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_picture_sentence_and_tables():
    result = with_sets(
        repetition_set(1.0, 4, 0.5),
        file="clip.mp4",
        confidence=0.9,
        streams=(Stream("sight", 4.2, 0.9), Stream("sound", 3.0)),
    )
    page = Page(result_html(result))
    assert str(result) in page.texts
    (image,) = page.images
    kind, _, data = image["src"].partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert picture.format == "PNG"
    cells = " ".join(page.texts)
    assert "1 1.0 s 3.0 s 4.0" in cells
    assert "sight 4.2 0.90" in cells
    assert "sound 3.0" in cells


def test_it_is_how_a_result_shows_itself():
    result = evenly(3.0)
    assert result._repr_html_() == result_html(result)


def test_nothing_to_list_is_no_table():
    assert "table" not in Page(result_html(evenly(0.0))).tags


@pytest.mark.parametrize("name", ['<script>alert("x")</script>.mp4', "a&b'\"><b>.mp4"])
def test_names_are_escaped(name):
    result = evenly(3.0, file=name, streams=(Stream("<i>sight", 3.0),))
    page = Page(result_html(result))
    assert str(result) in page.texts
    assert page.images[0]["alt"] == str(result)
    assert not page.tags & {"script", "i"}
