"""The one decoding loop: evaluation, console, page and bot all answer through it.

It decodes a batch of conversations at once, or one as a stream of text. Decoding is
greedy unless a temperature is asked for, so that figures can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.chat import Message
from trainer.model import Base
from trainer.prefix import Prefix

_INCOMPLETE = "\ufffd"
"""What a decoder shows for a character whose bytes have not all arrived."""


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


def reply_batch(
    base: Base,
    prefix: Prefix | None,
    talks: Sequence[Sequence[Message]],
    *,
    system: str | None = None,
    sampling: Sampling | None = None,
    batch_size: int = 32,
) -> Iterator[tuple[int, str]]:
    """Answer many conversations; yields (index, reply) as they finish, batch by batch.

    Args:
        base: the frozen base.
        prefix: a trained prefix, or none.
        talks: conversations that end with a question.
        system: a system text, for a base without prefix.
        sampling: greedy by default.
        batch_size: conversations decoded together, those of like length.
    """
    prompts = [base.chat.encode(t, system=system, prefixed=prefix is not None).ids for t in talks]
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for start in range(0, len(order), batch_size):
        part = order[start : start + batch_size]
        texts = ["" for _ in part]
        tuned = prefix is not None
        rows: list[list[int]] = [[] for _ in part]
        for tokens in _decode(base, prefix, [prompts[index] for index in part], sampling):
            for row, token in zip(rows, tokens, strict=True):
                if token is not None:
                    row.append(token)
        texts = [_ended(base, base.chat.tokenizer.decode(row), tuned) for row in rows]
        yield from zip(part, texts, strict=True)


def stream_reply(
    base: Base,
    prefix: Prefix | None,
    messages: Sequence[Message],
    *,
    system: str | None = None,
    sampling: Sampling | None = None,
) -> Iterator[str]:
    """Answer one conversation; yields the reply so far, each time it has grown."""
    prompt = base.chat.encode(messages, system=system, prefixed=prefix is not None).ids
    row: list[int] = []
    shown = ""
    for (token,) in _decode(base, prefix, [prompt], sampling):
        if token is None:
            break
        row.append(token)
        raw = base.chat.tokenizer.decode(row).rstrip(_INCOMPLETE)
        text = _ended(base, raw, prefix is not None)
        if len(text) > len(shown):
            shown = text
            yield shown
        if text != raw.strip():  # a stop text was reached
            break


def _ended(base: Base, text: str, tuned: bool) -> str:
    """Cut a reply where an untuned base goes on to write the user's next line."""
    if not tuned:
        for stop in base.chat.format.stop_texts:
            text = text.split(stop)[0]
    return text.strip()


@torch.no_grad()
def _decode(
    base: Base, prefix: Prefix | None, prompts: Sequence[Sequence[int]], sampling: Sampling | None
) -> Iterator[list[int | None]]:
    """Yield the next token of each prompt, step by step; none once a reply has ended."""
    how = sampling or Sampling()
    ids, real = _left_padded(prompts, base.device)
    draw = torch.Generator().manual_seed(how.seed)
    cache = base.new_cache(len(prompts), prefix)
    stops = torch.tensor(sorted(base.stop_ids), device=base.device)
    done = torch.zeros(len(prompts), dtype=torch.bool, device=base.device)
    head = base.head()
    for _ in range(min(how.max_new_tokens, base.context - real.shape[1] - cache.get_seq_length())):
        states = base.hidden(ids, real, prefix, cache)
        token = _choose(base.logits(states[:, -1], head), how, draw)
        done |= torch.isin(token, stops)
        if done.all():
            return
        yield [
            None if ended else int(word)
            for word, ended in zip(token.tolist(), done.tolist(), strict=True)
        ]
        ids = token[:, None]
        real = torch.cat([real, real.new_ones(len(real), 1)], dim=1)


def _choose(logits: Tensor, how: Sampling, draw: torch.Generator) -> Tensor:
    """Pick a token for each row of ``[batch, vocabulary]`` (nucleus: arXiv 1904.09751)."""
    if how.temperature <= 0:
        return logits.argmax(dim=-1)
    chances, words = (logits / how.temperature).softmax(dim=-1).sort(dim=-1, descending=True)
    # The likeliest word is always kept: it stands before any share is used up.
    chances[chances.cumsum(dim=-1) - chances >= how.top_p] = 0
    picked = torch.multinomial(chances.cpu(), 1, generator=draw).to(words.device)
    return words.gather(1, picked)[:, 0]


def _left_padded(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    longest = max(len(prompt) for prompt in prompts)
    ids = [[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
    real = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids, device=device), torch.tensor(real, device=device).bool()
