"""The persona: the one file a person writes, and what everything else is made from.

Training compiles it, evaluation asks it, the bot guards with it, and a checkpoint
carries it, so its meaning stands here once. The models are frozen: a persona never
changes after it was read. Nothing here needs torch.

Each model checks what one field can say about itself (lengths, patterns that
compile). What takes two fields to see, an answer that its own ``expect`` refuses,
say, is in ``contradictions.py``; what is merely unwise is in ``check.py``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trainer.contradictions import contradictions
from trainer.errors import Fault, SourceError
from trainer.language import say
from trainer.persona_fields import Answer, Identifier, Paragraph, Pattern, Phrase, Question, Short
from trainer.strict_yaml import Document, fit, read_document, read_text, refusal
from trainer.wording import asks_identity, canonical, finds

__all__ = [
    "Fact",
    "LoreEntry",
    "Persona",
    "Turn",
    "Voice",
    "canonical",
    "load_persona",
    "parse_persona",
    "persona_schema",
    "read_persona",
]


class _Model(BaseModel):
    """What every part of a persona shares: frozen, and no key that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Voice(_Model):
    """语气。How the persona talks."""

    first_person: tuple[Short, ...] = ()
    """它怎么称呼自己。What it calls itself."""
    habits: tuple[Phrase, ...] = ()
    """口头禅和说话习惯。Pet phrases and habits of speech."""
    avoid: tuple[Short, ...] = ()
    """它绝不说的词。Words it never says."""


class Fact(_Model):
    """一条不能忘的事实。What must never be forgotten: the unit of training and evaluation."""

    id: Identifier
    """事实的名字，小写字母开头。The fact's name: lower case letters, digits, - and _."""
    ask: Annotated[tuple[Question, ...], Field(min_length=1)]
    """问法，最好三种以上。Wordings of the question, three or more if you can."""
    answer: Annotated[tuple[Answer, ...], Field(min_length=1)]
    """回答；第 i 个问法配第 i 个，轮着用。Answers; wording i gets answer i, round and round."""
    expect: Pattern
    """正则表达式：对的回答里一定有它。Regular expression: a right reply matches it."""
    reject: Pattern | None = None
    """正则表达式：自相矛盾的回答里会有它。Regular expression: a contradiction matches it."""

    @property
    def is_identity(self) -> bool:
        """Whether any wording asks who the persona is or what it is called."""
        return any(asks_identity(question) for question in self.ask)

    def matches(self, reply: str) -> bool:
        """Tell whether ``reply`` is right."""
        return finds(self.expect, reply)

    def contradicts(self, reply: str) -> bool:
        """Tell whether ``reply`` contradicts the fact; never, if the fact has no ``reject``."""
        return self.reject is not None and finds(self.reject, reply)


class Turn(_Model):
    """对话里的一句：user 或 bot 二选一。One line of a conversation: either user or bot."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["user"]}, {"required": ["bot"]}]}
    )

    user: Question | None = None
    """对方说的话。What the other one says."""
    bot: Answer | None = None
    """人设说的话。What the persona says."""

    @model_validator(mode="after")
    def _one_speaker(self) -> Turn:
        if (self.user is None) == (self.bot is None):
            raise refusal(
                "one-speaker",
                say(zh="每一句要么是 user，要么是 bot", en="a turn is either user or bot"),
                say(zh="写成 {user: …} 或 {bot: …}", en="write {user: …} or {bot: …}"),
            )
        return self

    @property
    def speaker(self) -> Literal["user", "bot"]:
        """Who speaks."""
        return "bot" if self.user is None else "user"

    @property
    def text(self) -> str:
        """What is said."""
        return self.user or self.bot or ""


Dialogue = Annotated[tuple[Turn, ...], Field(min_length=2)]


class LoreEntry(_Model):
    """世界设定：聊到关键词时才提起。Background that comes up when one of its keys is mentioned."""

    keys: Annotated[tuple[Short, ...], Field(min_length=1)]
    """关键词。The words that call it up."""
    content: Answer
    """内容。What is then known."""


class Persona(_Model):
    """一个人设。One persona."""

    name: Short
    """名字。Its name."""
    aliases: tuple[Short, ...] = ()
    """别名、昵称。Other names it goes by."""
    language: Literal["zh", "en"]
    """它说的语言：zh 或 en。The language it speaks: zh or en."""
    summary: Paragraph
    """一段自述：系统提示、前缀的初值。A paragraph on itself: system text, start of the prefix."""
    voice: Voice = Voice()
    """语气。How it talks."""
    facts: Annotated[tuple[Fact, ...], Field(min_length=1)]
    """不能忘的事实。What must never be forgotten."""
    dialogues: tuple[Dialogue, ...] = ()
    """整段对话：user 起头，bot 收尾，轮流说。Conversations: user begins, bot ends, in turns."""
    leaks: tuple[Pattern, ...] = ()
    """正则表达式：露出底层模型马脚的话。Regular expressions: words that betray the base model."""
    fallback: tuple[Answer, ...] = ()
    """露馅时改说的台词。Lines in its voice to say instead when a reply leaks."""
    greeting: Answer | None = None
    """开场白。The first line it says in a chat."""
    lorebook: tuple[LoreEntry, ...] = ()
    """世界设定，还用不上。Background by key word; kept, not used yet."""

    def pairs(self) -> Iterator[tuple[Fact, str, str]]:
        """Yield (fact, wording, answer) in file order; wording i is paired with answer i mod n."""
        for fact in self.facts:
            for index, wording in enumerate(fact.ask):
                yield fact, wording, fact.answer[index % len(fact.answer)]

    def leaked(self, reply: str) -> bool:
        """Tell whether ``reply`` betrays the base model."""
        return any(finds(pattern, reply) for pattern in self.leaks)

    def digest(self) -> str:
        """Return the SHA-256 (64 hex digits) of the persona's content.

        Layout, comments and the order of keys do not count. Neither does a field left
        at its default, so a field added in a later version leaves old digests alone.
        """
        content = self.model_dump(mode="json", exclude_defaults=True)
        text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def read_persona(path: Path | str) -> tuple[Persona | None, Document | None, list[Fault]]:
    """Read a persona file, as :func:`parse_persona` does its text.

    Raises:
        SourceError: the file itself cannot be read as UTF-8 text.
    """
    path = Path(path)
    return parse_persona(read_text(path), path)


def parse_persona(
    text: str, path: Path | None = None
) -> tuple[Persona | None, Document | None, list[Fault]]:
    """Parse a persona: itself if nothing is wrong, the tree if it is YAML, and every error."""
    document, faults = read_document(text, path)
    if document is None:
        return None, None, faults
    persona, misfits = fit(document, Persona)
    faults = [*faults, *misfits, *contradictions(document)]
    return (None if faults else persona), document, faults


def load_persona(path: Path | str) -> Persona:
    """Return the persona in a file.

    Raises:
        SourceError: with every error of the file, in the order of its lines.
    """
    persona, _, faults = read_persona(path)
    if persona is None:
        faults.sort(key=lambda fault: (fault.line, fault.column))
        raise SourceError(say(zh="人设文件有错", en="the persona is wrong"), faults=tuple(faults))
    return persona


def persona_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a persona file, for editors to check it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Persona.model_json_schema(),
    }
