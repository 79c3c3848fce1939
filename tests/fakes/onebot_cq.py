"""CQ codes as an implementation writes and executes them, independent of the adapter's reader."""

import re
from typing import Any

_CODE = re.compile(r"(\[CQ:[^\]]*\])")


def write_cq(segments: list[dict[str, Any]]) -> str:
    """Write segments as one string."""
    return "".join(_write(segment["type"], segment["data"] or {}) for segment in segments)


def _write(kind: str, data: dict[str, Any]) -> str:
    if kind == "text":
        return escape(data["text"])
    parameters = "".join(f",{name}={escape_value(str(value))}" for name, value in data.items())
    return f"[CQ:{kind}{parameters}]"


def escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("[", "&#91;").replace("]", "&#93;")


def escape_value(text: str) -> str:
    return escape(text).replace(",", "&#44;")


def read_cq(message: str) -> list[dict[str, Any]]:
    """Read a string as the sending side does: its codes become real mentions and files."""
    return [_read(part) for part in _CODE.split(message) if part]


def _read(part: str) -> dict[str, Any]:
    if not _CODE.fullmatch(part):
        return {"type": "text", "data": {"text": unescape(part)}}
    kind, *parameters = part[len("[CQ:") : -1].split(",")
    pairs = (parameter.split("=", 1) for parameter in parameters)
    return {"type": kind, "data": {name: unescape(value) for name, value in pairs}}


def unescape(text: str) -> str:
    letters = {"&amp;": "&", "&#91;": "[", "&#93;": "]", "&#44;": ","}
    return re.sub("|".join(letters), lambda found: letters[found[0]], text)
