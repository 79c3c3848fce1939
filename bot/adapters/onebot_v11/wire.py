"""The frames of OneBot v11 as their peers really write them.

Implementations disagree in small things: ids are numbers or strings, a segment's data is
null, a sender lacks half its fields. The models take all of that, and nothing that cannot
be used: :func:`read_frame` returns None for a frame that is none of ours, and never raises,
whatever a peer sends.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, Field

from bot.adapters.onebot_v11.cq import Segment, parse_cq

_LONGEST_INTERVAL = 86_400_000


def clean(text: str) -> str:
    """Return ``text`` without half characters, which neither a database nor UTF-8 can hold."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _id(value: object) -> object:
    """Read an id: a number or a string, never a truth value or a fraction."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _message(value: object) -> list[Segment]:
    """Read a message: an array of segments, or a CQ string."""
    if isinstance(value, str):
        return [Segment(one.type, _data(one.data)) for one in parse_cq(value)]
    if not isinstance(value, list):
        raise ValueError("neither an array nor a string")
    return [_segment(one) for one in value]


def _segment(value: object) -> Segment:
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise ValueError("a segment without its type")
    data = value.get("data")
    return Segment(value["type"], _data(data) if isinstance(data, dict) else {})


def _data(data: dict[str, Any]) -> dict[str, str]:
    """Return the parameters as text; one that is null was not given."""
    return {name: clean(str(value)) for name, value in data.items() if value is not None}


def _words(value: object) -> str:
    """Read a text that is only shown: anything else is none."""
    return clean(value) if isinstance(value, str) else ""


def _record(value: object) -> object:
    """Read an object that may be null, or missing where it is not known."""
    return value if isinstance(value, dict) else {}


def _hidden(value: object) -> object:
    """Read who is anonymous: nobody, where it is null or says no id."""
    return value if isinstance(value, dict) and value.get("id") is not None else None


Id = Annotated[str, BeforeValidator(_id), Field(pattern=r"^[\w.:-]{1,64}$")]
Words = Annotated[str, BeforeValidator(_words)]


class Sender(BaseModel):
    """Best effort, says the standard: shown, and never used to tell people apart."""

    nickname: Words = ""
    card: Words = ""
    role: Words = ""
    group_id: Id | None = None


class Anonymous(BaseModel):
    """Who hides behind a group's anonymity; all of them share one ``user_id``."""

    id: Id
    name: Words = ""


class MessageFrame(BaseModel):
    """A message that somebody sent."""

    self_id: Id
    user_id: Id
    message_type: Literal["private", "group"]
    sub_type: Words = ""
    message_id: Id
    time: Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)] = 0.0
    message: Annotated[list[Segment], BeforeValidator(_message)]
    sender: Annotated[Sender, BeforeValidator(_record)] = Sender()
    group_id: Id | None = None
    anonymous: Annotated[Anonymous | None, BeforeValidator(_hidden)] = None


class Status(BaseModel):
    """What a heartbeat tells of the QQ account itself; NapCat and go-cqhttp fill it in."""

    online: bool | None = None


class HeartbeatFrame(BaseModel):
    """A sign of life; ``interval`` is in milliseconds."""

    self_id: Id
    interval: int = Field(gt=0, le=_LONGEST_INTERVAL)
    status: Annotated[Status, BeforeValidator(_record)] = Status()


class OtherFrame(BaseModel):
    """Any other event: a lifecycle, a notice, a request, our own message coming back."""

    self_id: Id


class ResponseFrame(BaseModel):
    """The answer to a call, or a refusal of the whole connection, which has no echo."""

    status: Words = ""
    retcode: int
    data: Any = None
    message: Words = ""
    wording: Words = ""
    echo: Any = None

    @property
    def reason(self) -> str:
        """Why it failed, in the implementation's words."""
        return f"retcode {self.retcode} {self.wording or self.message}".strip()[:300]


Frame: TypeAlias = MessageFrame | HeartbeatFrame | OtherFrame | ResponseFrame


def read_frame(text: str | bytes) -> Frame | None:
    """Return what a frame says; None if it is not of this protocol."""
    try:
        frame = json.loads(text)
        return _kind(frame).model_validate(frame)
    # What is no UTF-8, no JSON, no such model, or a number of more digits than Python reads,
    # is a ValueError each time; brackets nested too deep are a RecursionError.
    except (ValueError, RecursionError, _NotOursError):
        return None


class _NotOursError(Exception):
    """The frame is JSON, but no object."""


def _kind(frame: object) -> type[MessageFrame | HeartbeatFrame | OtherFrame | ResponseFrame]:
    if not isinstance(frame, dict):
        raise _NotOursError
    if "post_type" not in frame:
        return ResponseFrame
    if frame["post_type"] == "message":
        return MessageFrame
    is_heartbeat = frame.get("meta_event_type") == "heartbeat"
    return HeartbeatFrame if frame["post_type"] == "meta_event" and is_heartbeat else OtherFrame
