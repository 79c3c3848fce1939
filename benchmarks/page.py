"""How soon the first word is there: what ``renshe chat`` runs, against the shared page.

Both answer the same questions with the same model, in turns, so that drift hits both alike;
the page over HTTP, as a browser asks it. It runs in this process, which is against it: in
``renshe demo`` the visitor's side is another machine's work.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from gradio_client import Client  # type: ignore[import-untyped]
from rich.console import Console
from rich.table import Table

from bot.config import Limits
from bot.engine.tuned import TunedEngine
from bot.studio.chat.remembered import first_questions
from bot.studio.page import chat_page, theme
from bot.studio.serve import Door, serve
from trainer.chat import Message
from trainer.checkpoint import Card
from trainer.config import TrainConfig
from trainer.dataset import compile_persona
from trainer.model import Tuned, load_base
from trainer.persona import load_persona
from trainer.sampling import Sampling
from trainer.start import first_prefix

PERSONA = Path("personas/muxue.yaml")

ROUNDS = 2
"""How often each question is asked of each."""

WORDS = 12
"""Tokens of a reply at most."""


def main() -> None:
    """Print the median time to the first word and to the last of both, and their ratios."""
    engine = _engine()
    page = chat_page(engine, Limits(per_user=10_000, overall=10_000))
    client = Client(serve(page, Door(port=0), theme=theme()), verbose=False, download_files=False)
    times: dict[str, list[tuple[float, float]]] = {"renshe chat": [], "page, over HTTP": []}
    for number in range(ROUNDS + 1):
        for question in first_questions(engine.persona):
            client.reset_session()
            chat, over_http = _timed(_asked(engine, question)), _timed(_clicked(client, question))
            if number:  # the first round warms up
                times["renshe chat"].append(chat)
                times["page, over HTTP"].append(over_http)
    page.close(verbose=False)
    Console().print(_table(times))


def _engine() -> TunedEngine:
    """Return a persona as it is before the first step: how well it speaks does not matter here."""
    persona, config = load_persona(PERSONA), TrainConfig()
    dataset = compile_persona(persona)
    base = load_base("tiny", bits=config.quantization_bit)
    prefix = first_prefix(base, persona, dataset.train, config)
    card = Card(
        base="tiny",
        base_sha256=base.source.sha256,
        bits=base.bits,
        chat_format=base.chat.format.name,
        pre_seq_len=prefix.length,
        depth=1,
        settings=config,
        persona=persona,
        dataset_sha256="",
        step=0,
        dev_loss=None,
        versions={},
        prefix_sha256="",
    )
    tuned = Tuned(base, prefix.requires_grad_(False), card)
    return TunedEngine(tuned, Sampling(max_new_tokens=WORDS))


def _asked(engine: TunedEngine, question: str) -> Iterator[str]:
    return engine.stream([Message("user", question)])


def _clicked(client: Client, question: str) -> Iterator[str]:
    return iter(client.submit(question, api_name="/chat"))


def _timed(replies: Iterator[str]) -> tuple[float, float]:
    """Return the seconds until something was said, and until all was."""
    begun = time.perf_counter()
    first = None
    for reply in replies:
        if reply and first is None:
            first = time.perf_counter() - begun
    whole = time.perf_counter() - begun
    return (whole if first is None else first), whole


def _table(times: dict[str, list[tuple[float, float]]]) -> Table:
    asked = len(next(iter(times.values())))
    table = Table(
        "", "first word, ms", "ratio", "whole reply, ms", "ratio", title=f"{asked} replies in turns"
    )
    medians = {
        name: [statistics.median(column) * 1000 for column in zip(*rows, strict=True)]
        for name, rows in times.items()
    }
    least = next(iter(medians.values()))
    for name, (first, whole) in medians.items():
        ratios = f"{first / least[0]:.2f}", f"{whole / least[1]:.2f}"
        table.add_row(name, f"{first:.0f}", ratios[0], f"{whole:.0f}", ratios[1])
    return table
