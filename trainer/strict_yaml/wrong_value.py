"""A value that does not fit, said in a plain sentence: what was expected, what is there.

pydantic's own sentences speak to programmers, in English. The table below covers every
error that the models of this project can cause; an error it does not know keeps
pydantic's words, since those are better than none.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

from trainer.language import say
from trainer.strict_yaml.tree import Node

Wording = tuple[str, str, str]
"""Problem, fix, code."""


def explain(error: ErrorDetails, node: Node, known: list[str]) -> Wording:
    """Return (problem, fix, code) for one of pydantic's errors.

    Args:
        error: what pydantic found.
        node: the value it is about; for a missing one, the mapping that lacks it.
        known: the keys that the mapping around the value may have.
    """
    kind, context, key = error["type"], error.get("ctx", {}), str((*error["loc"], "")[-2])
    if "fix" in context:
        return str(context["problem"]), str(context["fix"]), kind
    if kind == "extra_forbidden":
        return _unknown_key(key, known)
    if kind == "missing":
        return _missing(key, node)
    if kind == "literal_error":
        return _not_a_choice(str(context["expected"]), node)
    if kind == "string_pattern_mismatch":
        return _other_form(str(context["pattern"]), node)
    for explained in (_length(kind, context, node), _range(kind, context, node), _type(kind, node)):
        if explained:
            return explained
    return (
        say(zh=f"值不对：{error['msg']}", en=f"wrong value: {error['msg']}"),
        say(zh="对照文档改正", en="see the documentation"),
        "wrong-value",
    )


def _unknown_key(key: str, known: list[str]) -> Wording:
    near = get_close_matches(key, known, n=1, cutoff=0.5)
    choices = "、".join(known), ", ".join(known)
    return (
        say(zh=f"不认识的键 {key}", en=f"unknown key {key}"),
        say(zh=f"是不是 {near[0]}？", en=f"did you mean {near[0]}?")
        if near
        else say(zh=f"这里可以写：{choices[0]}", en=f"known here: {choices[1]}"),
        "unknown-key",
    )


def _missing(key: str, node: Node) -> Wording:
    if node.is_empty:
        return (
            say(zh=f"{key} 后面什么也没写", en=f"nothing is written after {key}"),
            say(zh="它不能空着，请填上", en="it must not be left empty"),
            "missing-value",
        )
    return (
        say(zh=f"缺了 {key}", en=f"{key} is missing"),
        say(zh=f"加上一行 {key}: …", en=f"add `{key}: …`"),
        "missing-key",
    )


def _not_a_choice(expected: str, node: Node) -> Wording:
    choices = expected.replace("'", "").replace(" or ", ", ").split(", ")
    near = get_close_matches(node.text, choices, n=1, cutoff=0.6)
    return (
        say(
            zh=f"只能是 {'、'.join(choices)} 之一，这里是{found(node)}",
            en=f"expected one of {', '.join(choices)}, found {found(node)}",
        ),
        say(zh=f"改成 {(near or choices)[0]}", en=f"write {(near or choices)[0]}")
        if near or len(choices) == 1
        else say(zh="选一个", en="choose one"),
        "wrong-choice",
    )


def _other_form(pattern: str, node: Node) -> Wording:
    return (
        say(zh=f"{found(node)}的写法不对", en=f"{found(node)} has another form than is wanted"),
        say(zh=f"要符合 {pattern}", en=f"it must match {pattern}"),
        "wrong-form",
    )


def _length(kind: str, context: dict[str, Any], node: Node) -> Wording | None:
    if kind == "string_too_short" and context["min_length"] == 1:
        return (
            say(zh="这里是空的", en="this text is empty"),
            say(zh="写上内容，或者整项删掉", en="fill it in, or delete the whole item"),
            "empty-text",
        )
    least = kind.endswith("too_short")
    bound = context.get("min_length" if least else "max_length")
    if kind in ("string_too_short", "string_too_long"):
        size, unit = len(node.text), say(zh="个字", en=" characters")
    elif kind in ("too_short", "too_long"):
        size, unit = len(node.items or ()), say(zh="项", en=" items")
    else:
        return None
    return (
        say(
            zh=f"{'最少' if least else '最多'} {bound} {unit}，这里有 {size} {unit}",
            en=f"{bound} or {'more' if least else 'fewer'}{unit}, found {size}",
        ),
        say(zh="补充一些", en="add some") if least else say(zh="缩短一些", en="make it shorter"),
        "too-short" if least else "too-long",
    )


def _range(kind: str, context: dict[str, Any], node: Node) -> Wording | None:
    bound = next(iter(context.values()), "")
    wanted = {
        "greater_than": f"> {bound}",
        "greater_than_equal": f"≥ {bound}",
        "less_than": f"< {bound}",
        "less_than_equal": f"≤ {bound}",
        "multiple_of": say(zh=f" {bound} 的倍数", en=f"a multiple of {bound}"),
        "finite_number": say(zh="有限的数", en="a finite number"),
    }.get(kind)
    if not wanted:
        return None
    return (
        _expected(wanted, node),
        say(zh="改成这个范围里的数", en="write a number of that range"),
        "out-of-range",
    )


def _type(kind: str, node: Node) -> Wording | None:
    """Word a value of the wrong kind; pydantic says ``int_type``, ``int_parsing`` and so on."""
    if kind.startswith("string"):
        wanted = say(zh="文字", en="text")
        fix = say(
            zh="文字里有 [ ] { } # 或“: ”时，用引号括起来",
            en="put text that holds [ ] { } # or a colon in quotes",
        )
    elif kind in ("list_type", "tuple_type", "set_type"):
        wanted = say(zh="列表", en="a list")
        fix = say(zh="写成 ", en="write ") + f"[{node.text or '…'}]"
    elif kind in ("model_type", "model_attributes_type", "dict_type"):
        wanted = say(zh="一组“键: 值”", en="a group of `key: value`")
        fix = say(zh="换行缩进，每行写一个键", en="write one key a line, indented")
    elif kind.startswith("int"):
        wanted, fix = say(zh="整数", en="a whole number"), say(zh="如 8", en="like 8")
    elif kind.startswith("float"):
        wanted, fix = say(zh="数字", en="a number"), say(zh="如 0.03", en="like 0.03")
    elif kind.startswith("bool"):
        wanted, fix = "true / false", say(zh="写 true 或 false", en="write true or false")
    else:
        return None
    return _expected(wanted, node), fix, "wrong-type"


def _expected(wanted: str, node: Node) -> str:
    return say(
        zh=f"应该是{wanted}，这里是{found(node)}", en=f"expected {wanted}, found {found(node)}"
    )


def found(node: Node) -> str:
    """Name what was written instead, short enough for one line."""
    if node.items is not None:
        return say(zh="列表", en="a list")
    if node.entries is not None:
        return say(zh="一组“键: 值”", en="a group of `key: value`")
    if node.is_empty:
        return say(zh="空的", en="nothing")
    text = node.text if len(node.text) <= 30 else node.text[:29] + "…"
    return say(zh=f"“{text}”", en=f"“{text}”")
