"""Measures a tuned persona: beside the untuned base, and after other talk.

Three columns answer the same held-out questions: the base, the base told who it is by a
system text, and the tuned model. A figure at depth k asks after k rounds of unrelated
talk, because a persona that only holds in round one does not hold. Everything is greedy
and needs no judge, so a figure can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from trainer.chat import Message
from trainer.dataset import Dataset
from trainer.errors import DatasetError
from trainer.evaluation_file import ARMS, ArmScores, DepthScore, Evaluation, Reply
from trainer.example import Example
from trainer.generate import reply_all
from trainer.language import say
from trainer.metrics import corpus_scores, is_near
from trainer.model import Tuned
from trainer.persona import Persona
from trainer.sampling import Sampling
from trainer.talk import running_talk

DEPTHS = (0, 2, 4)
"""Rounds of unrelated talk before a question."""

Report = Callable[[str, float], None]


def evaluate(
    tuned: Tuned,
    dataset: Dataset,
    *,
    limit: int = 64,
    report: Report = lambda _stage, _done: None,
) -> Evaluation:
    """Measure a tuned persona.

    Args:
        tuned: the checkpoint.
        dataset: what it was trained on, and the questions kept for dev.
        limit: how many questions of each kind, taught and held out, are asked each time,
            drawn by a fixed seed; 0 asks all of them.
        report: told of the progress.

    Raises:
        DatasetError: there is no dev question.
    """
    asked = _some(dataset.dev, limit)
    if not asked:
        raise DatasetError(
            say(zh="没有留给 dev 的问题", en="no question was kept for dev"),
            fix=say(zh="给事实写三种以上问法", en="write three or more wordings for the facts"),
            code="no-dev",
        )
    steps = len(ARMS) + len(DEPTHS)
    arms = {}
    for index, name in enumerate(ARMS):
        told = _share(report, say(zh=f"评测 {name}", en=f"evaluating {name}"), index, steps)
        arms[name] = _arm(tuned, name, asked, told)
    train = _some(taught(dataset), limit)
    depths = []
    for index, depth in enumerate(DEPTHS):
        stage = say(zh=f"隔 {depth} 轮再问", en=f"asking after {depth} rounds")
        told = _share(report, stage, len(ARMS) + index, steps)
        depths.append(_at_depth(tuned, depth, train, asked, told))
    return Evaluation(
        persona=tuned.card.persona.name,
        base=tuned.card.base,
        bits=tuned.card.bits,
        step=tuned.card.step,
        arms=arms,
        depths=tuple(depths),
    )


def taught(dataset: Dataset) -> list[Example]:
    """Return every question that its author wrote and that was taught, as in round one."""
    own = {fact.id: fact.ask for fact in dataset.manifest.persona.facts}
    asked = {
        example.prompt: replace(example, messages=example.messages[-2:], kind="pair")
        for example in dataset.train
        if example.prompt in own.get(example.fact or "", ())
        or (example.fact is None and example.kind == "pair" and len(example.messages) == 2)
    }
    return list(asked.values())


def _arm(tuned: Tuned, name: str, asked: Sequence[Example], report: Report) -> ArmScores:
    persona = tuned.card.persona
    questions = [(Message("user", example.prompt),) for example in asked]
    system = persona.summary if name == "prompted" else None
    replies = _answers(tuned, questions, report, tuned_arm=name == "tuned", system=system)
    scores = corpus_scores([example.completion for example in asked], replies)
    return ArmScores(
        bleu_4=scores["bleu-4"],
        rouge_1=scores["rouge-1"],
        rouge_2=scores["rouge-2"],
        rouge_l=scores["rouge-l"],
        chrf=scores["chrf"],
        recall=_recall(persona, asked, replies),
        contradictions=_contradictions(persona, asked, replies),
        leaks=_mean([persona.leaked(reply) for reply in replies]),
        samples=tuple(
            Reply(prompt=example.prompt, reference=example.completion, reply=reply)
            for example, reply in zip(asked, replies, strict=True)
        ),
    )


def _at_depth(
    tuned: Tuned, depth: int, train: Sequence[Example], dev: Sequence[Example], report: Report
) -> DepthScore:
    persona = tuned.card.persona
    # One history for all: what is asked after it is forked off, and it is read once.
    history = running_talk(persona.language, "test", depth, "eval")
    talks = [(*history, Message("user", example.prompt)) for example in [*train, *dev]]
    replies = _answers(tuned, talks, report)
    taught, held = replies[: len(train)], replies[len(train) :]
    written = {fact.id: fact.answer for fact in persona.facts}
    near = [
        is_near(_written(written, example), reply)
        for example, reply in zip(train, taught, strict=True)
    ]
    return DepthScore(
        depth=depth,
        train_pair=_mean(near),
        train_pairs=len(near),
        recall=_recall(persona, dev, held),
        recalls=sum(example.fact is not None for example in dev),
        leaks=_mean([persona.leaked(reply) for reply in replies]),
    )


def _answers(
    tuned: Tuned,
    talks: Sequence[Sequence[Message]],
    report: Report,
    *,
    tuned_arm: bool = True,
    system: str | None = None,
) -> list[str]:
    """Answer greedily; the whole talk is shown, whatever the window is when serving."""
    return reply_all(
        tuned.base,
        tuned.prefix if tuned_arm else None,
        talks,
        system=system,
        sampling=Sampling(max_new_tokens=64),
        report=lambda done: report("", done),
    )


def _some(examples: Sequence[Example], limit: int) -> list[Example]:
    """Return at most ``limit`` of the single questions, the same at every call."""
    pairs = [example for example in examples if len(example.messages) == 2]
    return Random(0).sample(pairs, limit) if 0 < limit < len(pairs) else pairs


def _written(facts: dict[str, tuple[str, ...]], example: Example) -> tuple[str, ...]:
    """Return every answer the author wrote for the question's fact: any of them is right."""
    return facts.get(example.fact or "", (example.completion,))


def _recall(persona: Persona, asked: Sequence[Example], replies: Sequence[str]) -> float | None:
    facts = {fact.id: fact for fact in persona.facts}
    hits = [
        facts[example.fact].matches(reply)
        for example, reply in zip(asked, replies, strict=True)
        if example.fact in facts
    ]
    return _mean(hits) if hits else None


def _contradictions(
    persona: Persona, asked: Sequence[Example], replies: Sequence[str]
) -> float | None:
    facts = {fact.id: fact for fact in persona.facts}
    hits = [
        facts[example.fact].contradicts(reply)
        for example, reply in zip(asked, replies, strict=True)
        if example.fact in facts
    ]
    return _mean(hits) if hits else None


def _mean(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits) if hits else 0.0


def _share(report: Report, stage: str, index: int, steps: int) -> Report:
    """Map the progress of one step to its share of the whole."""
    return lambda _stage, done: report(stage, (index + done) / steps)
