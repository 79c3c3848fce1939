"""What the Bot API does with text: trims it, bounds it, finds its entities, reads HTML.

Written from the documentation and not from the adapter under test, so that a mistake in
the one is not repeated in the other.
"""

import re
from html.parser import HTMLParser
from typing import Any

Json = dict[str, Any]

LONGEST_TEXT = 4096
_FOUND = re.compile(
    r"(?P<bot_command>(?<![\w/@<>])/[A-Za-z0-9_]{1,64}(?:@\w{3,32})?(?!\w))"
    r"|(?P<mention>(?<!\w)@\w{4,32})"
)
_TAGS = {
    **{"b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline"},
    **{"s": "strikethrough", "del": "strikethrough", "code": "code", "pre": "pre"},
    **{"blockquote": "blockquote", "a": "text_link", "tg-spoiler": "spoiler"},
}


class ApiError(Exception):
    """An answer with ``ok`` false."""

    def __init__(self, code: int, description: str, **parameters: int) -> None:
        self.code, self.description, self.parameters = code, description, parameters
        super().__init__(description)


def bad_request(what: str) -> ApiError:
    return ApiError(400, f"Bad Request: {what}")


def units(text: str) -> int:
    """UTF-16 code units, counted by the codec itself."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def found_entities(text: str) -> list[Json]:
    """What the server marks in plain text by itself: mentions and commands."""
    return [
        {"type": found.lastgroup, "offset": units(text[: found.start()]), "length": units(found[0])}
        for found in _FOUND.finditer(text)
    ]


def checked_text(
    text: str,
    parse_mode: str | None,
    given: list[Json] | None = None,
    *,
    may_be_empty: bool = False,
) -> Json:
    """The text and entities of a message, as the server keeps them.

    Raises:
        ApiError: it is empty or too long once its markup is read, or the markup is wrong.
    """
    entities = [
        {name: mark[name] for name in mark if mark[name] is not None} for mark in given or ()
    ]
    if parse_mode:
        if parse_mode.lower() != "html":
            raise NotImplementedError(f"this fake reads HTML only, not {parse_mode}")
        text, entities = _read_html(text)
    text = text.replace("\x00", "").strip()
    if not text and not may_be_empty:
        raise bad_request("message text is empty")
    if units(text) > LONGEST_TEXT:
        raise bad_request("message is too long")
    entities += found_entities(text)
    return {"text": text, **({"entities": entities} if entities else {})}


class _Html(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text, self.entities = "", list[Json]()
        self._open: list[tuple[str, int]] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in _TAGS:
            raise bad_request(f'can\'t parse entities: Unsupported start tag "{tag}"')
        self._open.append((tag, units(self.text)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1][0] != tag:
            raise bad_request("can't parse entities: Unmatched end tag")
        _, start = self._open.pop()
        length = units(self.text) - start
        self.entities.append({"type": _TAGS[tag], "offset": start, "length": length})

    def handle_data(self, data: str) -> None:
        self.text += data

    def close(self) -> None:
        super().close()
        if self._open:
            tag = self._open[-1][0]
            raise bad_request(f"can't parse entities: Can't find end tag corresponding to {tag}")


def _read_html(text: str) -> tuple[str, list[Json]]:
    reader = _Html()
    reader.feed(text)
    reader.close()
    return reader.text, reader.entities
