"""Reads training data as other tools write it, and writes rows the official scripts read.

Nobody should convert a file by hand to train on it. Each layout in use is one entry of
:data:`LAYOUTS`, recognized by its columns; columns of any other name are read when they
are named. A row that does not fit is refused with its place and the fix, all such rows
at once, because a row silently dropped is a lesson silently lost.

System turns of chat layouts are left out: in their place stands the persona's summary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from trainer.chat import Message
from trainer.dataset_checks import (
    BrokenRowError,
    Fields,
    column,
    first_of,
    flags,
    listed,
    missing,
    rounds,
    text,
    whole_text,
    wrong_type,
)
from trainer.dataset_rows import Row, iter_rows
from trainer.errors import DatasetError, Fault
from trainer.example import Example
from trainer.language import say

MAX_FAULTS = 20
"""Reading stops after this many broken rows: a person mends the cause, not the rows."""

USERS = ("user", "human")
ASSISTANTS = ("assistant", "gpt")
SYSTEMS = ("system", "developer")


@dataclass(frozen=True, slots=True)
class Layout:
    """One way of writing a conversation as a row.

    Attributes:
        needs: the columns by which it is known.
        read: turns a row that has them into an example.
    """

    needs: tuple[str, ...]
    read: Callable[[Fields], Example]


def read_examples(
    path: Path | str,
    *,
    prompt_column: str | None = None,
    response_column: str | None = None,
    history_column: str | None = None,
) -> list[Example]:
    """Read JSON lines or a JSON array in any known layout.

    Args:
        path: the file, UTF-8 with or without a byte order mark.
        prompt_column: column of the question, whatever the layout.
        response_column: column of the answer.
        history_column: column of the earlier rounds, a list of [user, bot]; ``history`` if
            not named, where there is one.

    Raises:
        DatasetError: the file cannot be read or holds nothing; or, with up to
            MAX_FAULTS faults, some of its rows are broken.
    """
    path = Path(path)
    columns = (prompt_column, response_column, history_column)
    examples = read_rows(path, _named(*columns) if any(columns) else None)
    if not examples:
        raise DatasetError(
            say(zh="文件里没有数据", en="the file holds no rows"),
            path=path,
            fix=say(zh="每行写一个 JSON 对象", en="write one JSON object on each line"),
            code="no-rows",
        )
    return examples


def read_rows(path: Path, named: Layout | None = None) -> list[Example]:
    """Read every row with layout ``named`` or the one it is written in; there may be no row.

    Raises:
        DatasetError: see :func:`read_examples`.
    """
    reader = _RowReader(named)
    examples: list[Example] = []
    faults: list[Fault] = []
    for row in iter_rows(path):
        outcome = row if isinstance(row, Fault) else reader.read(row)
        if isinstance(outcome, Example):
            examples.append(outcome)
            continue
        faults.append(outcome)
        if len(faults) == MAX_FAULTS:
            faults[-1] = replace(outcome, fix=outcome.fix + _stopped())
            break
    if faults:
        problem = say(zh=f"{path} 里有读不懂的数据", en=f"{path} holds broken rows")
        raise DatasetError(problem, faults=tuple(faults))
    return examples


def to_row(example: Example) -> dict[str, object]:
    """Return the row of our own data files: the official columns first, then ours.

    ``learn`` is there only if some answer carries no loss: one truth value a round.
    """
    row: dict[str, object] = {
        "prompt": example.prompt,
        "completion": example.completion,
        "history": example.history,
        "kind": example.kind,
        "fact": example.fact,
    }
    learn = [message.learn for message in example.messages[1::2]]
    return row if all(learn) else {**row, "learn": learn}


class _RowReader:
    """Turns rows into examples; remembers the file's layout for rows that show none."""

    def __init__(self, named: Layout | None) -> None:
        self._named = named
        self._last = named

    def read(self, row: Row) -> Example | Fault:
        try:
            if not isinstance(row.value, dict):
                raise wrong_type(say(zh="一条数据", en="a row"), "{…}", row.value)
            self._last = self._named or _layout(row.value, self._last)
            for name in self._last.needs:
                if name not in row.value:
                    raise missing(name, row.value)
            return self._last.read(row.value)
        except BrokenRowError as broken:
            return row.fault(broken.problem, broken.fix, broken.code)


def _layout(fields: Fields, last: Layout | None) -> Layout:
    """Return the layout whose columns are all there, else the file's, else the likeliest."""
    for layout in LAYOUTS:
        if fields.keys() >= set(layout.needs):
            return layout
    likeliest = max(LAYOUTS, key=lambda layout: len(fields.keys() & set(layout.needs)))
    if last is None and fields.keys().isdisjoint(likeliest.needs):
        known = "; ".join(" + ".join(layout.needs) for layout in LAYOUTS)
        raise BrokenRowError(
            say(
                zh=f"认不出格式；这里有的列：{listed(fields)}",
                en=f"unknown layout; there are the columns: {listed(fields)}",
            ),
            say(
                zh=f"指明问和答在哪两列，或用已知的列名：{known}",
                en=f"name the columns of question and answer, or use known ones: {known}",
            ),
            "missing-column",
        )
    return last or likeliest


def _named(prompt: str | None, response: str | None, history: str | None) -> Layout:
    """Return the layout of explicitly named columns; those not named are found as usual."""

    def read(fields: Fields) -> Example:
        question = text(fields, prompt) if prompt else _question(fields)
        answer = response or first_of(fields, "completion", "response", "summary", "output")
        return _conversation(fields, question, answer, history or "history")

    return Layout(tuple(name for name in (prompt, response, history) if name), read)


def _question(fields: Fields) -> str:
    name = first_of(fields, "prompt", "content", "instruction")
    return _instruction(fields) if name == "instruction" else text(fields, name)


# --- the layouts ----------------------------------------------------------------------


def _pair(prompt: str, response: str, fields: Fields) -> Example:
    return _conversation(fields, text(fields, prompt), response)


def _alpaca(fields: Fields) -> Example:
    return _conversation(fields, _instruction(fields), "output")


def _instruction(fields: Fields) -> str:
    """Return Alpaca's question: the instruction, and on the next line what it is about."""
    question = text(fields, "instruction")
    about = fields.get("input")
    if about is None or (isinstance(about, str) and not about.strip()):
        return question
    return f"{question}\n{whole_text(about, 'input')}"


def _conversation(fields: Fields, question: str, answer: str, history: str = "history") -> Example:
    """Put together what the columns ``answer`` and ``history`` hold, and ``question``."""
    turns = [*rounds(fields.get(history), history), (question, text(fields, answer))]
    messages = [
        message
        for user, bot in turns
        for message in (Message("user", user), Message("assistant", bot))
    ]
    return _example(messages)


def _own(fields: Fields) -> Example:
    """Read back what :func:`to_row` wrote."""
    messages = _pair("prompt", "completion", fields).messages
    kind, fact, count = text(fields, "kind"), fields["fact"], len(messages) // 2
    if fact is not None and not isinstance(fact, str):
        raise wrong_type("fact", say(zh="字符串或 null", en="a string or null"), fact)
    learn = flags(fields.get("learn", [True] * count), "learn", count)
    return Example(
        tuple(
            message if message.role == "user" else replace(message, learn=learn[index // 2])
            for index, message in enumerate(messages)
        ),
        kind,
        fact,
    )


def _chat(name: str, fields: Fields) -> Example:
    """Read a list of turns: ShareGPT's from/value as well as OpenAI's role/content."""
    turns = fields[name]
    if not isinstance(turns, list):
        raise wrong_type(name, say(zh="列表", en="a list"), turns)
    read = [_turn(turn, f"{name}[{number}]") for number, turn in enumerate(turns, 1)]
    messages = [message for message in read if message]
    for index, message in enumerate(messages):
        if message.role != ("user", "assistant")[index % 2]:
            said = message.text[:20]
            raise _out_of_turn(
                say(
                    zh=f"{name}：还没轮到 {message.role} 说“{said}”",
                    en=f"{name}: it is not the {message.role}'s turn to say {said!r}",
                )
            )
    if len(messages) % 2 or not messages:
        raise _out_of_turn(
            say(zh=f"{name}：最后没有回答", en=f"{name}: there is no answer at the end")
        )
    return _example(messages)


def _turn(turn: object, place: str) -> Message | None:
    """Return one turn, or None for a system turn."""
    if not isinstance(turn, dict):
        raise wrong_type(place, "{…}", turn)
    role = column(turn, "role", "from")
    if role in SYSTEMS:
        return None
    said = whole_text(column(turn, "content", "value"), place)
    if role in USERS:
        return Message("user", said)
    if role in ASSISTANTS:
        # OpenAI's fine-tuning files give an answer that is only context the weight 0.
        return Message("assistant", said, learn=turn.get("weight") != 0)
    known, shown = ", ".join((*USERS, *ASSISTANTS, *SYSTEMS)), str(role)[:40]
    raise BrokenRowError(
        say(zh=f"{place} 的角色 {shown} 不认识", en=f"{place} has the unknown role {shown}"),
        say(zh=f"可用的角色：{known}", en=f"known roles: {known}"),
        "unknown-role",
    )


def _out_of_turn(problem: str) -> BrokenRowError:
    fix = say(
        zh="用户和助手要轮流说话：用户先说，助手最后说",
        en="user and assistant take turns: the user first, the assistant last",
    )
    return BrokenRowError(problem, fix, "bad-turns")


def _example(messages: Sequence[Message]) -> Example:
    kind = "pair" if len(messages) == 2 else "dialogue"
    return Example(tuple(messages), kind, None)


LAYOUTS = (
    Layout(("messages",), partial(_chat, "messages")),  # OpenAI
    Layout(("conversations",), partial(_chat, "conversations")),  # ShareGPT, ChatGLM3
    Layout(("prompt", "completion", "kind", "fact"), _own),
    Layout(("prompt", "completion"), partial(_pair, "prompt", "completion")),
    Layout(("prompt", "response"), partial(_pair, "prompt", "response")),
    Layout(("content", "summary"), partial(_pair, "content", "summary")),
    Layout(("instruction", "output"), _alpaca),
)
"""Tried in this order; the first whose columns are all there reads the row."""


def _stopped() -> str:
    return say(
        zh=f"\n（已经有 {MAX_FAULTS} 处问题，后面的没有再看）",
        en=f"\n({MAX_FAULTS} faults found; the rest was not looked at)",
    )
