"""``probes.jsonl``: what a persona said to the same questions while it was trained.

Apart from the asking (:mod:`trainer.live_probes`), since whoever shows it needs no torch.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

PROBE_FILE = "probes.jsonl"


class Reply(BaseModel):
    """A question and what was said to it."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    question: str
    reply: str
    right: bool | None
    """Whether it matches its fact's ``expect``; none for a question about no fact."""


class Answered(BaseModel):
    """A line: all the questions at a step."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    step: int
    """Updates done."""
    replies: tuple[Reply, ...]


def read_probes(run: Path) -> list[Answered]:
    """Return the lines of a run folder by step; none if its questions were not asked.

    A run that was cut off and went on from its last checkpoint comes to the same steps
    again: what it said then is what counts. A line that is being written is left out.
    """
    try:
        lines = (run / PROBE_FILE).read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found: list[Answered] = []
    for line in lines:
        try:
            answered = Answered.model_validate_json(line)
        except ValidationError:
            continue
        found = [earlier for earlier in found if earlier.step < answered.step]
        found.append(answered)
    return found
