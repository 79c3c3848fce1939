"""``renshe check``: everything wrong or unwise in a persona file, in one run.

Errors are what :func:`trainer.persona.load_persona` refuses, found by the same code.
Warnings are what makes a persona weak: it will train, but hold less, leak more, or be
measured worse than it could be. They are found in the sound parts of a file, whatever
is broken elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from trainer.contradictions import lines_it_says, patterns, questions
from trainer.errors import Fault, SourceError
from trainer.language import say
from trainer.near import near_pairs
from trainer.persona import Persona, read_persona
from trainer.strict_yaml import Document, Loc
from trainer.wording import asks_identity, canonical, finds, plain

FEW_WORDINGS = 3
"""Fewer leave nothing for dev, or one wording to learn from."""

LONG_QUESTION, LONG_ANSWER, LONG_SUMMARY = 200, 300, 600
"""Characters above which a text crowds the others out of a short context."""

LOOSE_SHARE, LOOSE_LEAST = 0.5, 5
"""An ``expect`` is loose when this share of the other facts' answers, or more, match it."""

LOOSE_SAMPLE = 200
"""Answers, spread over the file, that stand for all of a large one: a share needs no more."""


@dataclass(frozen=True)
class Report:
    """What a check found: the persona, None if there is any error, and faults by line."""

    persona: Persona | None
    faults: tuple[Fault, ...]

    @property
    def errors(self) -> tuple[Fault, ...]:
        """The faults that refuse the file."""
        return tuple(fault for fault in self.faults if fault.severity == "error")

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """The faults that do not."""
        return tuple(fault for fault in self.faults if fault.severity == "warning")


def check_persona(path: Path | str) -> Report:
    """Check a persona file; a file that cannot be read is a fault like any other."""
    try:
        persona, document, faults = read_persona(path)
    except SourceError as error:
        return Report(None, error.faults)
    if document is not None:
        faults = [*faults, *advice(document)]
    return Report(persona, tuple(sorted(faults, key=lambda fault: (fault.line, fault.column))))


def advice(document: Document) -> Iterator[Fault]:
    """Yield every warning about a persona file."""
    facts = document.members("facts")
    yield from chain.from_iterable(_wordings(document, fact) for fact in facts)
    yield from _no_identity(document, facts)
    yield from _repeats(document, facts)
    yield from _loose(document, facts)
    yield from _too_long(document, facts)
    yield from _avoided(document)
    yield from _left_out(document)


def _wordings(document: Document, fact: Loc) -> Iterator[Fault]:
    asks, answers = document.texts(*fact, "ask"), document.texts(*fact, "answer")
    count = len({canonical(text) or text for _, text in asks})
    if 0 < count < FEW_WORDINGS:
        yield _warn(
            document,
            (*fact, "ask"),
            say(zh=f"只有 {count} 种问法", en=f"only {count} wording{'s' * (count > 1)}"),
            say(
                zh="写 3 种以上，用半角逗号隔开：留一种考试，其余用来学",
                en="write 3 or more: one is kept for the test, the others are learnt from",
            ),
            "few-wordings",
        )
    for loc, _ in answers[len(asks) :] if asks else []:
        yield _warn(
            document,
            loc,
            say(
                zh="回答比问法多，这个回答用不上",
                en="more answers than wordings: this one is never used",
            ),
            say(zh="再写一种问法，或者删掉它", en="add a wording, or delete it"),
            "unused-answer",
        )


def _no_identity(document: Document, facts: list[Loc]) -> Iterator[Fault]:
    asked = [text for fact in facts for _, text in document.texts(*fact, "ask")]
    if facts and not any(map(asks_identity, asked)):
        yield _warn(
            document,
            ("facts",),
            say(
                zh="没有一条事实问它是谁、叫什么", en="no fact asks who it is or what it is called"
            ),
            say(
                zh="加一条 id: name 的事实，问“你是谁”“你叫什么名字”",
                en="add a fact with id: name that asks “who are you”, “what is your name”",
            ),
            "no-identity",
        )


def _repeats(document: Document, facts: list[Loc]) -> Iterator[Fault]:
    """Yield a warning for each wording that an earlier one already says."""
    asked = [(fact, *question) for fact in facts for question in questions(document, fact)]
    first: dict[str, int] = {}
    for index, (fact, loc, text, answer) in enumerate(asked):
        earlier = first.setdefault(canonical(text) or text, index)
        same_answer = canonical(asked[earlier][3]) == canonical(answer)
        if earlier != index and (asked[earlier][0] == fact or same_answer):
            yield _alike(document, loc, asked[earlier][1], "repeated-question")
    distinct = list(first.items())
    for one, other in near_pairs([key for key, _ in distinct]):
        earlier, later = sorted((distinct[one][1], distinct[other][1]))
        yield _alike(document, asked[later][1], asked[earlier][1], "near-question")


def _alike(document: Document, loc: Loc, earlier: Loc, code: str) -> Fault:
    place = document.value_place(*earlier)
    same = code == "repeated-question"
    return _warn(
        document,
        loc,
        say(
            zh=f"这个问法和 {place.line}:{place.column} 的{'一样' if same else '几乎一样'}",
            en=f"this wording is {'' if same else 'nearly '}the same as at "
            f"{place.line}:{place.column}",
        ),
        say(zh="换一种说法，或者删掉", en="word it differently, or delete it"),
        code,
    )


def _loose(document: Document, facts: list[Loc]) -> Iterator[Fault]:
    """Yield a warning for an ``expect`` that answers to quite other questions match as well."""
    answers = [(fact, text) for fact in facts for _, text in document.texts(*fact, "answer")]
    sample = answers[:: len(answers) // LOOSE_SAMPLE + 1]
    for fact in facts:
        others = [text for owner, text in sample if owner != fact]
        for expect in patterns(document, *fact, "expect"):
            hits = sum(finds(expect, text) for text in others)
            if len(others) >= LOOSE_LEAST and hits >= LOOSE_SHARE * len(others):
                yield _warn(
                    document,
                    (*fact, "expect"),
                    say(
                        zh=f"其他事实的 {len(others)} 个回答里有 {hits} 个也符合它，分不出对错",
                        en=f"{hits} of the {len(others)} answers of other facts match it too",
                    ),
                    say(
                        zh="写只有这条事实的回答里才有的词",
                        en="name words that only this fact's answers hold",
                    ),
                    "loose-expect",
                )


def _too_long(document: Document, facts: list[Loc]) -> Iterator[Fault]:
    turns = [turn for talk in document.members("dialogues") for turn in document.members(*talk)]
    asked = [line for fact in facts for line in document.texts(*fact, "ask")]
    asked += [line for turn in turns for line in document.texts(*turn, "user")]
    for lines, bound in (
        (document.texts("summary"), LONG_SUMMARY),
        (asked, LONG_QUESTION),
        (lines_it_says(document), LONG_ANSWER),
    ):
        for loc, text in lines:
            if len(text) > bound:
                yield _warn(
                    document,
                    loc,
                    say(
                        zh=f"有 {len(text)} 个字，太长了（最好不超过 {bound} 个）",
                        en=f"{len(text)} characters; up to {bound} is best",
                    ),
                    say(zh="缩短，或者分成几条", en="shorten it, or make several of it"),
                    "long-text",
                )


def _avoided(document: Document) -> Iterator[Fault]:
    avoided = [text for _, text in document.texts("voice", "avoid")]
    for loc, line in lines_it_says(document):
        for word in avoided:
            if plain(word).casefold() in plain(line).casefold():
                yield _warn(
                    document,
                    loc,
                    say(
                        zh=f"它说了 voice.avoid 里的“{word}”",
                        en=f"it says “{word}”, which voice.avoid forbids",
                    ),
                    say(zh="换个词", en="use another word"),
                    "avoided-word",
                )


def _left_out(document: Document) -> Iterator[Fault]:
    reasons = {
        "leaks": say(
            zh="露馅的话就认不出来，也不会重说", en="replies that leak go unseen and unmended"
        ),
        "fallback": say(
            zh="一再露馅时就没有台词可换", en="nothing is left to say when a reply keeps leaking"
        ),
        "dialogues": say(
            zh="它就没见过多轮对话，聊久了容易忘",
            en="it never sees a conversation, and forgets sooner in a long one",
        ),
    }
    for key, reason in reasons.items():
        node = document.node(key)
        if node is None or node.is_empty or node.items == []:
            yield _warn(
                document,
                (key,),
                say(zh=f"没有 {key}，{reason}", en=f"no {key}: {reason}"),
                say(zh=f"加上 {key}", en=f"add {key}"),
                f"no-{key}",
            )


def _warn(document: Document, loc: Loc, problem: str, fix: str, code: str) -> Fault:
    """Make a warning at ``loc``: at the key where that is what should grow, else at the value."""
    at_key = code.startswith(("no-", "few-"))
    place = document.key_place(*loc) if at_key else document.value_place(*loc)
    return document.fault(place, problem, fix, code, "warning")
