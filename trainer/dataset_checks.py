"""What the values of a row must be, and what is said when they are not.

Every layout holds texts and rounds, so each has the same ways to be broken. The checks
know the name of a value within its row; the place of the row is the reader's to add.
"""

from __future__ import annotations

from collections.abc import Mapping

from rapidfuzz import process

from trainer.language import say

Fields = Mapping[str, object]
"""One row: column names and JSON values."""


class BrokenRowError(Exception):
    """A row does not fit. Inside the reader only: it becomes a fault with a place.

    Attributes:
        problem: what is wrong.
        fix: what to do about it.
        code: see :class:`trainer.errors.Fault`.
    """

    def __init__(self, problem: str, fix: str, code: str) -> None:
        super().__init__(problem)
        self.problem, self.fix, self.code = problem, fix, code


def text(fields: Fields, name: str) -> str:
    """Return column ``name`` as a text that can be trained on."""
    return whole_text(column(fields, name), name)


def column(fields: Fields, *names: str) -> object:
    """Return the first of the columns ``names`` that is there."""
    return fields[first_of(fields, *names)]


def first_of(fields: Fields, *names: str) -> str:
    """Return the first name that is a column; raise for the first name if none is."""
    for name in names:
        if name in fields:
            return name
    raise missing(names[0], fields)


def whole_text(value: object, place: str) -> str:
    """Return ``value``: a string, not blank, of whole characters."""
    if not isinstance(value, str):
        raise wrong_type(place, say(zh="字符串", en="a string"), value)
    if not value.strip():
        raise BrokenRowError(
            say(zh=f"{place} 是空的", en=f"{place} is empty"),
            say(zh="写上内容，或删掉这一条", en="fill it in, or delete the row"),
            "empty",
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BrokenRowError(
            say(zh=f"{place} 里有半个字符", en=f"{place} holds half a character"),
            say(zh="删掉残缺的 \\ud… 转义", en="delete the lone \\ud… escape"),
            "half-character",
        ) from None
    return value


def rounds(value: object, place: str) -> list[tuple[str, str]]:
    """Return the [user, bot] pairs of a history; none for null."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise _bad_history(place)
    return [_round(pair, f"{place}[{number}]") for number, pair in enumerate(value, 1)]


def _round(pair: object, place: str) -> tuple[str, str]:
    if not (isinstance(pair, list) and len(pair) == 2):
        raise _bad_history(place)
    return whole_text(pair[0], f"{place}[1]"), whole_text(pair[1], f"{place}[2]")


def flags(value: object, place: str, count: int) -> list[bool]:
    """Return a list of ``count`` truth values."""
    if isinstance(value, list) and len(value) == count:
        found = [flag for flag in value if isinstance(flag, bool)]
        if len(found) == count:
            return found
    raise wrong_type(place, say(zh=f"{count} 个 true/false", en=f"{count} truth values"), value)


def missing(name: str, fields: Fields) -> BrokenRowError:
    """Return the error of a missing column: which there are, and which is the nearest."""
    there = listed(fields)
    near = process.extractOne(name, list(fields), score_cutoff=60)
    if near:
        fix = say(
            zh=f"最接近的是 {near[0]}：改列名，或指明用这一列",
            en=f"the nearest is {near[0]}: rename it, or name it as the column to use",
        )
    else:
        fix = say(
            zh="补上这一列，或指明问和答在哪两列",
            en="add it, or name the columns that hold question and answer",
        )
    return BrokenRowError(
        say(zh=f"缺少 {name} 列；这里有：{there}", en=f"no column {name}; there are: {there}"),
        fix,
        "missing-column",
    )


def wrong_type(place: str, wanted: str, value: object) -> BrokenRowError:
    """Return the error of a value of another type than ``wanted``."""
    return BrokenRowError(
        say(
            zh=f"{place} 应该是{wanted}，却是 {_json_type(value)}",
            en=f"{place} should be {wanted}, not {_json_type(value)}",
        ),
        say(zh="改成正确的类型", en="write it as that type"),
        "wrong-type",
    )


def listed(names: Fields) -> str:
    """Name the columns of a row, the first dozen if there are many."""
    shown = [*list(names)[:12], *(["…"] if len(names) > 12 else [])]
    return ", ".join(shown) or say(zh="（没有）", en="(none)")


def _bad_history(place: str) -> BrokenRowError:
    return BrokenRowError(
        say(zh=f"{place} 的形状不对", en=f"{place} has the wrong shape"),
        say(
            zh='history 写成 [["问", "答"], ["问", "答"]]',
            en='write a history as [["question", "answer"], ["question", "answer"]]',
        ),
        "bad-history",
    )


def _json_type(value: object) -> str:
    """Name the type of ``value`` as JSON does."""
    if value is None:
        return "null"
    names = {bool: "true/false", int: "number", float: "number", str: "string", list: "list"}
    return names.get(type(value), "object")
