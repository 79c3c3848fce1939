"""The kinds of text a persona is made of, and what one such text can get wrong by itself.

Lengths are bounded because each text becomes tokens of a short context, and patterns
are tried before they are used because evaluation and the bot run them on every reply:
one that hangs would hang the bot, one that matches anything would make every figure
meaningless.
"""

from __future__ import annotations

import re
import threading
import unicodedata
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from trainer.language import say
from trainer.slow_pattern import slow_spot
from trainer.strict_yaml import refusal
from trainer.wording import compiled, tells_nothing

_HERE = Path(__file__)
_COMPILING = threading.Lock()
"""Two threads that filter warnings at once would restore each other's filters."""


def _printable(text: str) -> str:
    """Refuse control characters: escapes in double quotes put them past the file's reader."""
    for letter in text:
        if unicodedata.category(letter) == "Cc" and letter not in "\n\t":
            raise refusal(
                "control-character",
                say(
                    zh=f"文字里有控制字符 U+{ord(letter):04X}",
                    en=f"the text holds the control character U+{ord(letter):04X}",
                ),
                say(zh="删掉它", en="delete it"),
            )
    return text


def _usable(pattern: str) -> str:
    """Refuse a pattern that is no regular expression, may hang, or tells nothing."""
    pattern = pattern.rstrip("\n")  # a block scalar's last line end is no part of the pattern
    _refuse_broken(pattern)
    if (offset := slow_spot(pattern)) is not None:
        raise refusal(
            "slow-pattern",
            say(
                zh="这个正则表达式可能慢到卡死：重复套着重复，或者重复太多",
                en="this pattern may take forever: repeats inside repeats, or too many of them",
            ),
            say(
                zh="不要写 (a+)+ 或 (a|b)+，改成 a+ 或 [ab]+",
                en="instead of (a+)+ or (a|b)+ write a+ or [ab]+",
            ),
            offset,
        )
    if tells_nothing(pattern):
        raise refusal(
            "matches-anything",
            say(
                zh="这个正则表达式什么回答都匹配，得出的数字就没有意义",
                en="this pattern matches any reply, so its figures would mean nothing",
            ),
            say(
                zh="写出只有对的回答里才有的词；看看有没有多余的 | 或 *",
                en="name words that only such replies hold; look for a stray | or *",
            ),
        )
    return pattern


def _refuse_broken(pattern: str) -> None:
    """Compile the pattern as written, for the place of an error, and as it will be used."""
    try:
        if warned := _warning(pattern):  # what re only warns of is most likely a slip too
            raise re.error(warned)
        compiled(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise refusal(
            "bad-pattern",
            say(zh=f"正则表达式写错了：{error}", en=f"not a regular expression: {error}"),
            say(
                zh="括号等符号要当作文字时，前面加反斜杠",
                en="put a backslash before a bracket or sign that is meant as text",
            ),
            getattr(error, "pos", None) or 0,
        ) from None


@lru_cache(maxsize=8192)
def _warning(pattern: str) -> str:
    """Return what re warns of; nothing if all is well.

    Filters of warnings are the whole process's. So nothing is turned into an error, which
    another thread's warning would become too; and the answer is kept, since re warns only
    of what it has not compiled before.
    """
    with _COMPILING, warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        re.compile(pattern)
    return next((str(told.message) for told in heard if Path(told.filename) == _HERE), "")


def _identifier(text: str) -> str:
    if not re.fullmatch(IDENTIFIER, text):
        raise refusal(
            "bad-id",
            say(
                zh="id 只能用小写字母、数字、- 和 _，并以字母开头",
                en="an id is lower case letters, digits, - and _, and begins with a letter",
            ),
            say(zh="如 favorite-food", en="like favorite-food"),
        )
    return text


def _text(longest: int) -> StringConstraints:
    return StringConstraints(strip_whitespace=True, min_length=1, max_length=longest)


IDENTIFIER = r"^[a-z][a-z0-9_-]*$"

Identifier = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64),
    AfterValidator(_identifier),
    Field(json_schema_extra={"pattern": IDENTIFIER}),
]
Short = Annotated[str, _text(64), AfterValidator(_printable)]
Phrase = Annotated[str, _text(200), AfterValidator(_printable)]
Question = Annotated[str, _text(1000), AfterValidator(_printable)]
Answer = Annotated[str, _text(2000), AfterValidator(_printable)]
Paragraph = Annotated[str, _text(4000), AfterValidator(_printable)]
Pattern = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1000),
    AfterValidator(_printable),
    AfterValidator(_usable),
]
