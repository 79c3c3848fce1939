"""Retention results without a model: what was asked and said is made up."""

from typing import Any

from trainer.bootstrap import Figure
from trainer.probes import History
from trainer.retention_file import Cell, Forgetting, Reply, Retention, Skipped, Subject, make_cell


def reply(fact: str, *, taught: bool, right: bool, **changed: Any) -> Reply:
    values: dict[str, Any] = {
        "fact": fact,
        "question": f"{fact}?" if taught else f"{fact}, really?",
        "written": "written",
        "taught": taught,
        "reply": f"reply about {fact}",
        "right": right,
        "leaked": False,
        "contradicts": None,
        "nll": None if taught else 0.5,
        "delta_nll": None if taught else 0.25,
        "margin": None,
    }
    return Reply(**values | changed)


def cell(history: History, depth: int, *replies: Reply) -> Cell:
    return make_cell(
        history, depth, tokens=40 * depth, seconds=2.0, peak_memory=10**9, replies=replies
    )


def retention(*cells: Cell, **changed: Any) -> Retention:
    subject = Subject(
        prefix_sha256="p",
        persona_digest="d",
        dataset_sha256="s",
        talk_sha256="t",
        limit=0,
        max_new_tokens=48,
        guarded=False,
    )
    values: dict[str, Any] = {
        "persona": "Dory",
        "language": "en",
        "base": "tiny",
        "bits": 8,
        "step": 200,
        "trained_depth": 4,
        "subject": subject,
        "facts": ("name", "boat"),
        "left_out": 0,
    }
    found = Retention(**values | changed)
    for one in cells:
        found = found.with_cell(one)
    return found


def some(*, text: str = "Dory, who else") -> Retention:
    def asked(right: bool, leaked: bool = False) -> list[Reply]:
        return [
            reply("name", taught=False, right=right, leaked=leaked, margin=1.5, reply=text),
            reply("name", taught=True, right=True),
            reply("boat", taught=False, right=not right),
        ]

    return retention(
        cell("neutral", 0, *asked(True)),
        cell("neutral", 8, *asked(False)),
        cell("long", 25, *asked(False)),
        cell("leaked", 8, *asked(False, leaked=True)),
        skipped=(Skipped(history="in_persona", depth=16, reason="rounds", needs=16, has=9),),
        forgetting=Forgetting(figure=Figure(value=0.12, low=0.1, high=0.2, count=9), seconds=1.0),
    )
