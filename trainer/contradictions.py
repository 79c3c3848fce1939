"""What in a persona file contradicts itself: these are errors, for no reply could be right.

An answer that its own fact would score as wrong is taught and then punished; a scripted
line that leaks would be caught by the guard that says it. The rules look at the tree
and not at the finished persona, so that they find what is wrong in the sound parts of
a file while other parts are still broken.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from trainer.errors import Fault
from trainer.language import say
from trainer.strict_yaml import Document, Loc
from trainer.wording import canonical, finds, is_usable


def contradictions(document: Document) -> list[Fault]:
    """Return every contradiction in a persona file."""
    facts = document.members("facts")
    return [
        *_repeated_ids(document, facts),
        *chain.from_iterable(_wrong_answers(document, fact) for fact in facts),
        *_leaks(document),
        *_two_answers(document, facts),
        *chain.from_iterable(_disorder(document, talk) for talk in document.members("dialogues")),
    ]


def patterns(document: Document, *loc: int | str) -> list[str]:
    """Return the usable patterns at ``loc``; the others are faults already."""
    return [text for _, text in document.texts(*loc) if is_usable(text)]


def lines_it_says(document: Document) -> list[tuple[Loc, str]]:
    """Return (location, text) of all that the persona says, in file order by field."""
    turns = [turn for talk in document.members("dialogues") for turn in document.members(*talk)]
    places: list[Loc] = [
        *((*fact, "answer") for fact in document.members("facts")),
        *((*turn, "bot") for turn in turns),
        ("fallback",),
        ("greeting",),
    ]
    return [line for place in places for line in document.texts(*place)]


def questions(document: Document, fact: Loc) -> Iterator[tuple[Loc, str, str]]:
    """Yield (location, wording, paired answer) of one fact; the answer is empty if it has none."""
    answers = document.texts(*fact, "answer")
    for index, (loc, wording) in enumerate(document.texts(*fact, "ask")):
        yield loc, wording, answers[index % len(answers)][1] if answers else ""


def _repeated_ids(document: Document, facts: list[Loc]) -> Iterator[Fault]:
    first: dict[str, Loc] = {}
    for fact in facts:
        for loc, name in document.texts(*fact, "id"):
            if first.setdefault(name, loc) != loc:
                line = document.value_place(*first[name]).line
                yield document.fault(
                    document.value_place(*loc),
                    say(
                        zh=f"id {name} 用了两次，第一次在第 {line} 行",
                        en=f"the id {name} is used twice, first on line {line}",
                    ),
                    say(zh="换一个，或者把两条合成一条", en="rename one, or make one fact of both"),
                    "repeated-id",
                )


def _wrong_answers(document: Document, fact: Loc) -> Iterator[Fault]:
    expect = patterns(document, *fact, "expect")
    reject = patterns(document, *fact, "reject")
    for loc, answer in document.texts(*fact, "answer"):
        place = document.value_place(*loc)
        if expect and not finds(expect[0], answer):
            yield document.fault(
                place,
                say(
                    zh=f"这个回答不符合它自己的 expect（{expect[0]}）",
                    en=f"this answer does not match its own expect ({expect[0]})",
                ),
                say(
                    zh="在回答里说出关键的词，或者放宽 expect",
                    en="say the key words in the answer, or widen expect",
                ),
                "answer-not-expected",
            )
        if reject and finds(reject[0], answer):
            yield document.fault(
                place,
                say(
                    zh=f"这个回答符合它自己的 reject（{reject[0]}），等于自相矛盾",
                    en=f"this answer matches its own reject ({reject[0]})",
                ),
                say(zh="改回答，或者收窄 reject", en="change the answer, or narrow reject"),
                "answer-rejected",
            )


def _leaks(document: Document) -> Iterator[Fault]:
    leaks = patterns(document, "leaks")
    for loc, line in lines_it_says(document):
        for leak in leaks:
            if finds(leak, line):
                yield document.fault(
                    document.value_place(*loc),
                    say(
                        zh=f"这句话符合 leaks 里的 {leak}，会被当成露馅",
                        en=f"this line matches {leak} of leaks, so it counts as a leak",
                    ),
                    say(zh="改这句话，或者收窄 leaks", en="change the line, or narrow leaks"),
                    "line-leaks",
                )


def _two_answers(document: Document, facts: list[Loc]) -> Iterator[Fault]:
    first: dict[str, tuple[Loc, Loc, str]] = {}
    for fact in facts:
        for loc, wording, answer in questions(document, fact):
            known = first.setdefault(canonical(wording) or wording, (fact, loc, answer))
            if known[0] != fact and _differ(known[2], answer):
                place = document.value_place(*known[1])
                yield document.fault(
                    document.value_place(*loc),
                    say(
                        zh=f"同一个问题在 {place.line}:{place.column} 有另一个回答",
                        en=f"the same question has another answer at {place.line}:{place.column}",
                    ),
                    say(zh="删掉一个，或者让回答一致", en="delete one, or make the answers agree"),
                    "two-answers",
                )


def _differ(one: str, other: str) -> bool:
    return bool(one and other) and canonical(one) != canonical(other)


def _disorder(document: Document, talk: Loc) -> Iterator[Fault]:
    """Yield a fault where a dialogue's turns do not alternate from user to bot."""
    turns = document.members(*talk)
    wanted = "user"
    for turn in turns:
        entries = getattr(document.node(*turn), "entries", None) or {}
        speakers = [key for key in entries if key in ("user", "bot")]
        if len(speakers) != 1:
            return  # a fault already, and who should follow is anyone's guess
        if speakers[0] != wanted:
            yield document.fault(
                document.value_place(*turn),
                say(zh=f"这里该轮到 {wanted} 说话", en=f"here {wanted} should speak"),
                say(
                    zh="user 起头，轮流说；同一个人连着说的合成一句",
                    en="user begins, then in turns; make one turn of what one says in a row",
                ),
                "turn-order",
            )
        wanted = "bot" if speakers[0] == "user" else "user"
    if turns and wanted == "bot":
        yield document.fault(
            document.value_place(*turns[-1]),
            say(
                zh="对话的最后一句应该是 bot 说的", en="the last turn of a dialogue should be bot's"
            ),
            say(zh="补上 bot 的回答，或者删掉这一句", en="add bot's reply, or delete this turn"),
            "turn-order",
        )
