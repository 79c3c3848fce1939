"""Run folders without a model: a persona, its data, a checkpoint of nothing, and results."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bot.studio.job_file import Job, Kind, State
from bot.studio.workshop import Workshop
from trainer.bootstrap import Figure
from trainer.checkpoint import CARD_FILE, PREFIX_FILE, Card, RunIndex, open_checkpoint, write_index
from trainer.config import TrainConfig
from trainer.dataset import compile_persona, read_dataset, write_dataset
from trainer.evaluation_file import ArmScores, DepthScore, Evaluation, Reply, write_evaluation
from trainer.persona import Persona, load_persona
from trainer.probes import History, Probe, choose_probes
from trainer.retention_file import (
    FILE,
    Forgetting,
    Retention,
    Skipped,
    Subject,
    make_cell,
    write_retention,
)
from trainer.retention_file import Reply as Said
from trainer.talk_check import talk_digest

PERSONAS = Path(__file__).parents[3] / "personas"
DORY = PERSONAS / "dory.yaml"
MUXUE = PERSONAS / "muxue.yaml"

PLACES: Sequence[tuple[History, int]] = (
    ("neutral", 0), ("neutral", 8), ("in_persona", 8), ("leaked", 8), ("long", 32)
)  # fmt: skip

Judge = Callable[[Probe, History, int], tuple[str, bool, bool]]
"""What is replied to a probe after a history, whether that is right, and whether it leaks."""


def make_run(workshop: Workshop, run: str, persona: Persona | Path = DORY, step: int = 200) -> Path:
    """Make a trained run; returns its folder."""
    persona = load_persona(persona) if isinstance(persona, Path) else persona
    folder = workshop.run_folder(run)
    dataset = compile_persona(persona)
    write_dataset(dataset, folder / "data")
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir()
    prefix = f"prefix of {run} at {step}".encode()
    (checkpoint / PREFIX_FILE).write_bytes(prefix)
    card = Card(
        base="tiny",
        base_sha256="0" * 64,
        bits=8,
        chat_format="plain",
        pre_seq_len=4,
        depth=4,
        settings=TrainConfig(),
        persona=persona,
        dataset_sha256=dataset.digest(),
        step=step,
        dev_loss=None,
        versions={},
        prefix_sha256=hashlib.sha256(prefix).hexdigest(),
    )
    (checkpoint / CARD_FILE).write_text(card.model_dump_json(), "utf-8")
    write_index(folder, RunIndex(best=checkpoint.name, last=checkpoint.name, finished=True))
    (folder / "log.jsonl").write_text('{"step": 200, "tokens": 1000, "seconds": 10.0}\n')
    return folder


def all_right(probe: Probe, history: History, depth: int) -> tuple[str, bool, bool]:
    return probe.written, True, False


def measure(
    folder: Path,
    judge: Judge = all_right,
    places: Sequence[tuple[History, int]] = PLACES,
    *,
    limit: int = 64,
    finished: bool = True,
    skipped: tuple[Skipped, ...] = (),
) -> Retention:
    """Write the retention of a run as if it had been measured."""
    card, dataset = open_checkpoint(folder).card, read_dataset(folder / "data")
    persona = card.persona
    subject = Subject(
        prefix_sha256=card.prefix_sha256,
        persona_digest=persona.digest(),
        dataset_sha256=dataset.digest(),
        talk_sha256=talk_digest(persona.language),
        limit=limit,
        max_new_tokens=48,
        guarded=False,
    )
    found = Retention(
        persona=persona.name,
        language=persona.language,
        base=card.base,
        bits=card.bits,
        step=card.step,
        trained_depth=card.depth,
        subject=subject,
        facts=tuple(fact.id for fact in persona.facts),
        left_out=0,
        skipped=skipped,
        forgetting=Forgetting(figure=_figure(0.5), seconds=1.0) if finished else None,
    )
    probes = choose_probes(persona, dataset.manifest.dev_wordings, limit)
    for history, depth in places:
        replies = [_said(probe, *judge(probe, history, depth)) for probe in probes]
        cell = make_cell(
            history, depth, tokens=31 * depth, seconds=9.0, peak_memory=None, replies=replies
        )
        found = found.with_cell(cell)
    write_retention(found, folder / "eval" / FILE)
    return found


def _said(probe: Probe, reply: str, right: bool, leaked: bool) -> Said:
    return Said(
        fact=probe.fact,
        question=probe.question,
        written=probe.written,
        taught=probe.taught,
        reply=reply,
        right=right,
        leaked=leaked,
        contradicts=None,
        nll=None if probe.taught else 0.5,
        delta_nll=None if probe.taught else 0.1,
        margin=None,
    )


def _figure(value: float) -> Figure:
    return Figure(value=value, low=value - 0.1, high=value + 0.1, count=9)


def evaluate(folder: Path, *, reply: str = "Dory, at the ferry!") -> Evaluation:
    """Write the plain evaluation of a run as if it had been made."""
    card = open_checkpoint(folder).card
    asked = card.persona.facts[0]

    def arm(score: float, said: str) -> ArmScores:
        sample = Reply(prompt=asked.ask[0], reference=asked.answer[0], reply=said)
        return ArmScores(
            bleu_4=score,
            rouge_1=score + 1,
            rouge_2=score + 2,
            rouge_l=score + 3,
            chrf=score / 100,
            recall=score / 100,
            contradictions=0.0,
            leaks=0.25,
            samples=(sample,),
        )

    evaluation = Evaluation(
        persona=card.persona.name,
        base=card.base,
        bits=card.bits,
        step=card.step,
        arms={
            "base": arm(1, "I am a model."),
            "prompted": arm(12, "I am Dory the model."),
            "tuned": arm(71, reply),
        },
        depths=(
            DepthScore(depth=4, train_pair=0.9, train_pairs=10, recall=0.6, recalls=5, leaks=0.0),
        ),
    )
    write_evaluation(evaluation, folder / "eval")
    return evaluation


@dataclass
class FakeJobs:
    """A queue that runs nothing: a test says how far each job is."""

    jobs: list[Job] = field(default_factory=list)
    said: str = ""

    def add(self, kind: Kind, run: str, arguments: Sequence[str]) -> Job:
        self.jobs.append(Job(f"job-{len(self.jobs)}", kind, run, tuple(arguments)))
        return self.jobs[-1]

    def all(self) -> list[Job]:
        return list(self.jobs)

    def output(self, job: str) -> str:
        return self.said

    def stop(self, job: str) -> None:
        self.now("stopped")

    def now(self, state: State, reason: str = "") -> None:
        """Say how far the last job is; a click that adds it may still be on its way."""
        deadline = time.monotonic() + 30
        while not self.jobs or self.jobs[-1].state not in ("waiting", "running"):
            assert time.monotonic() < deadline, "no job was added"
            time.sleep(0.05)
        last = self.jobs[-1]
        self.jobs[-1] = Job(last.id, last.kind, last.run, last.arguments, state, reason)
