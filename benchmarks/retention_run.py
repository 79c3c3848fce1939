"""One arm of the ablation, as a process: trained on so many tokens, asked at each depth.

``python -m benchmarks.retention_run ARM TOKENS QUESTIONS`` prints a JSON object with its rows:
one, or two where the guard is tried on the same run.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import report
from trainer.chat import Message
from trainer.config import TrainConfig
from trainer.dataset import Dataset, compile_persona
from trainer.forgetting import measure_forgetting
from trainer.generate import reply_all
from trainer.guard import guarded
from trainer.metrics import is_near
from trainer.mix import mixed
from trainer.mix_settings import Mix
from trainer.model import Base, Tuned, load_base, load_tuned
from trainer.persona import Persona, load_persona
from trainer.plan import measure
from trainer.probes import HALVES, Dialogues, History, Probe, choose_probes
from trainer.replay import replayed
from trainer.sampling import Sampling
from trainer.talk_check import unfit_talk
from trainer.train import Run
from trainer.training_set import TrainingSet

PERSONA = Path("personas/muxue.yaml")
PLACES: tuple[tuple[History, int], ...] = (
    ("neutral", 0),
    ("neutral", 2),
    ("neutral", 8),
    ("neutral", 16),
    ("leaked", 16),
)
"""Where the questions are asked."""

REPLAYED = 48
"""General questions that the base answers for the arms with replay."""


class Arm(NamedTuple):
    """What is trained, and how; nothing of it for the untuned base.

    Attributes:
        settings: of the training.
        mix: of the data; single questions without one.
        guard: what the run says with the guard before its replies, if that is asked too.
    """

    settings: dict[str, object]
    mix: Mix | None = None
    guard: str = ""


_RANDOM = {"prefix_init": "random", "learning_rate": 0.03}
_HISTORIES = Mix(wordings=0, rephrased=0, probes=0)
_REPLAY = _HISTORIES.model_copy(update={"replay": 0.4})

ARMS: dict[str, Arm | None] = {
    "base": None,
    "base + summary": None,
    "single turns, prefix first (the blog's)": Arm({**_RANDOM, "anchored": False}),
    "+ prefix before the last round": Arm(_RANDOM),
    "+ depth": Arm(_RANDOM, _HISTORIES),
    "+ replay": Arm(_RANDOM, _REPLAY),
    "+ text init": Arm({}, _REPLAY, guard="+ guard"),
    "single turns, text init (the default)": Arm({}),
}
"""Each with all that stands above it, from the third on; the last is what `renshe train` does."""

Answer = Callable[[Sequence[tuple[Message, ...]]], list[str]]


def main() -> None:
    """Train one arm and print its figures."""
    name, tokens, questions = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    persona, base = load_persona(PERSONA), load_base("tiny")
    dataset = compile_persona(persona)
    arm = ARMS[name]
    if arm is None:
        system = persona.summary if name == "base + summary" else None
        asked = _asked(persona, dataset, questions, _answers(base, system=system))
        report({"rows": [{"arm": name, "places": asked}]})
        return
    if arm.mix:
        wanted = REPLAYED if arm.mix.replay else 0
        replies = replayed(base, persona, wanted, kept=dataset.dev)
        dataset = mixed(dataset, arm.mix, replies)
    with tempfile.TemporaryDirectory() as folder:
        seen = _train(base, persona, dataset, arm, tokens, Path(folder) / "run")
        tuned = load_tuned(Path(folder) / "run")
    forgetting = measure_forgetting(tuned, questions).figure
    ways = {name: _answers(base, tuned)} | ({arm.guard: _guarded(tuned)} if arm.guard else {})
    rows = [
        {
            "arm": way,
            "tokens": seen,
            "places": _asked(persona, dataset, questions, answer),
            "forgetting": forgetting.value if forgetting else None,
        }
        for way, answer in ways.items()
    ]
    report({"rows": rows})


def _train(
    base: Base, persona: Persona, dataset: Dataset, arm: Arm, tokens: int, folder: Path
) -> int:
    """Train until ``tokens`` tokens are seen, histories among them; returns how many were."""
    config = TrainConfig(save_steps=10**6, serve="last", **arm.settings)
    _, work = measure(TrainingSet(persona, dataset, ""), base.chat, config)
    steps = round(tokens * work.steps / work.tokens)
    config = config.model_copy(update={"max_steps": steps})
    run = Run(base, persona, dataset, "", config, folder)
    seen: list[int] = []
    run.train(lambda progress: seen.append(progress.tokens))
    return seen[-1]


def _answers(base: Base, tuned: Tuned | None = None, *, system: str | None = None) -> Answer:
    def answer(talks: Sequence[tuple[Message, ...]]) -> list[str]:
        prefix = tuned.prefix if tuned else None
        how = Sampling(max_new_tokens=64)
        return reply_all(base, prefix, talks, system=system, sampling=how)

    return answer


def _guarded(tuned: Tuned) -> Answer:
    """Answer as a chat does; what does not leak in a batch is what the guard passes on."""
    guard, persona = guarded(tuned), tuned.card.persona
    plain = _answers(tuned.base, tuned)

    def answer(talks: Sequence[tuple[Message, ...]]) -> list[str]:
        shown = plain([tuned.window(talk) for talk in talks])
        how = Sampling(max_new_tokens=64)
        return [
            list(guard.stream(talk, how))[-1] if persona.leaked(reply) else reply
            for talk, reply in zip(talks, shown, strict=True)
        ]

    return answer


def _asked(
    persona: Persona, dataset: Dataset, questions: int, answer: Answer
) -> dict[str, dict[str, float]]:
    held = dataset.manifest.dev_wordings
    probes = choose_probes(persona, held, questions)
    dialogues = Dialogues(persona, held, unfit_talk(persona, dataset.train, held))
    figures = {}
    for history, depth in PLACES:
        said: list[tuple[Probe, str]] = []
        for half in HALVES:
            mine = [probe for probe in probes if probe.half == half]
            before = dialogues.before(history, depth, half)
            said += zip(mine, answer([probe.after(before) for probe in mine]), strict=True)
        figures[f"{history} {depth}"] = _judged(persona, said)
    return figures


def _judged(persona: Persona, said: Sequence[tuple[Probe, str]]) -> dict[str, float]:
    facts = {fact.id: fact for fact in persona.facts}
    taught = [is_near(facts[p.fact].answer, reply) for p, reply in said if p.taught]
    held = [facts[p.fact].matches(reply) for p, reply in said if not p.taught]
    leaks = [persona.leaked(reply) for _, reply in said]
    shares = {"train_pair": taught, "recall": held, "leak": leaks}
    return {name: sum(hits) / len(hits) for name, hits in shares.items()}


if __name__ == "__main__":
    main()
