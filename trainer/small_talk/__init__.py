"""Unrelated talk that stands before a question when a persona is measured at depth.

Every figure at depth k needs k rounds that the training set has never seen and that
have nothing to do with the persona. They were written for this project.
"""

from __future__ import annotations

import json
from importlib.resources import files
from random import Random
from typing import Literal

from trainer.chat import Message


def small_talk(language: Literal["zh", "en"], rounds: int, seed: str) -> tuple[Message, ...]:
    """Return ``rounds`` rounds of unrelated talk, the same for the same seed.

    Raises:
        ValueError: more rounds are asked for than were written.
    """
    text = files(__package__).joinpath(f"{language}.json").read_text("utf-8")
    picked = Random(seed).sample(json.loads(text), rounds)
    return tuple(
        message
        for question, answer in picked
        for message in (
            Message("user", question),
            Message("assistant", answer, learn=False),
        )
    )
