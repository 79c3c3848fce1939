"""CQ codes: what the fake writes, the adapter reads; and nothing else is a code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.onebot_v11.cq import Segment, parse_cq
from tests.fakes.onebot_cq import escape, read_cq, write_cq

NAMES = st.from_regex(r"\A[a-z_]{1,10}\Z")
SEGMENTS = st.lists(
    st.builds(lambda words: Segment("text", {"text": words}), st.text(min_size=1))
    | st.builds(
        Segment,
        NAMES.filter(lambda name: name != "text"),
        st.dictionaries(NAMES, st.text(), max_size=4),
    )
)


def plain(segments: list[Segment]) -> list[dict[str, object]]:
    return [{"type": segment.type, "data": segment.data} for segment in segments]


def joined(segments: list[Segment]) -> list[Segment]:
    """Neighbouring texts are one text in a string."""
    result: list[Segment] = []
    for segment in segments:
        if segment.type == "text" and result and result[-1].type == "text":
            text = result.pop().data["text"] + segment.data["text"]
            segment = Segment("text", {"text": text})
        result.append(segment)
    return result


@given(SEGMENTS)
def test_codes_round_trip(segments: list[Segment]) -> None:
    written = write_cq(plain(segments))
    assert parse_cq(written) == joined(segments)
    assert read_cq(written) == plain(joined(segments))


@given(st.text())
def test_escaped_text_is_never_a_code(text: str) -> None:
    assert parse_cq(escape(text)) == ([Segment("text", {"text": text})] if text else [])


@given(st.text())
def test_any_string_is_read(text: str) -> None:
    assert all(isinstance(segment, Segment) for segment in parse_cq(text))


@pytest.mark.parametrize(
    ("written", "segments"),
    [
        ("[CQ:at,qq=7]", [Segment("at", {"qq": "7"})]),
        ("[CQ:face]", [Segment("face")]),
        ("[CQ:x,url=a?b=c&amp;d=e]", [Segment("x", {"url": "a?b=c&d=e"})]),
        ("[CQ:x,a=1&#44;2]", [Segment("x", {"a": "1,2"})]),
        ("&amp;#91;", [Segment("text", {"text": "&#91;"})]),
        ("a,b=c", [Segment("text", {"text": "a,b=c"})]),
        ("[CQ:at", [Segment("text", {"text": "[CQ:at"})]),
        ("[cq:at,qq=7]", [Segment("text", {"text": "[cq:at,qq=7]"})]),
        ("[CQ:]", [Segment("text", {"text": "[CQ:]"})]),
    ],
)
def test_examples(written: str, segments: list[Segment]) -> None:
    assert parse_cq(written) == segments
