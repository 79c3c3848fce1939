"""How words are chosen; apart from the decoding loop, since a remote model needs no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: 0 is greedy; higher is more varied.
        top_p: only the likeliest tokens that make up this share are drawn from.
        max_new_tokens: a reply is cut there.
        seed: of the draws.
    """

    temperature: float = 0.0
    top_p: float = 0.9
    max_new_tokens: int = 128
    seed: int = 0
