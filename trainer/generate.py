"""The one decoding loop: evaluation, console, page and bot all answer through it.

It decodes a batch of conversations at once, or one as a stream of text. Decoding is
greedy unless a temperature is asked for, so that figures can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from trainer.chat import Encoded, Message
from trainer.model import Base
from trainer.prefix import Prefix, counted
from trainer.sampling import Sampling
from trainer.shared_head import Head, open_batch, read_head

_INCOMPLETE = "\ufffd"
"""What a decoder shows for a character whose bytes have not all arrived."""


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
    prompts = [base.encode(talk, prefix, system=system) for talk in talks]
    head = read_head(base, prefix, prompts)
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index].ids))
    for start in range(0, len(order), batch_size):
        part = order[start : start + batch_size]
        rows: list[list[int]] = [[] for _ in part]
        for tokens in _decode(base, prefix, [prompts[index] for index in part], sampling, head):
            for row, token in zip(rows, tokens, strict=True):
                if token is not None:
                    row.append(token)
        stops = _stop_texts(base, prefix)
        yield from zip(part, [_cut(_text(base, row), stops).strip() for row in rows], strict=True)


def reply_all(
    base: Base,
    prefix: Prefix | None,
    talks: Sequence[Sequence[Message]],
    *,
    system: str | None = None,
    sampling: Sampling | None = None,
    report: Callable[[float], None] = lambda _done: None,
) -> list[str]:
    """Answer many conversations, see :func:`reply_batch`; returns the replies in their order.

    ``report`` is told how much is done, from 0 to 1.
    """
    replies = [""] * len(talks)
    answers = reply_batch(base, prefix, talks, system=system, sampling=sampling)
    for done, (index, reply) in enumerate(answers, start=1):
        replies[index] = reply
        report(done / len(talks))
    return replies


def stream_reply(
    base: Base,
    prefix: Prefix | None,
    messages: Sequence[Message],
    *,
    system: str | None = None,
    sampling: Sampling | None = None,
) -> Iterator[str]:
    """Answer one conversation; yields the reply so far, each time it has grown."""
    prompt = base.encode(messages, prefix, system=system)
    stops = _stop_texts(base, prefix)
    row: list[int] = []
    shown = ""
    for (token,) in _decode(base, prefix, [prompt], sampling):
        if token is None:
            break
        row.append(token)
        text = _text(base, row)
        ended = _cut(text, stops) != text
        sure = text if ended else _without_half_stop(text, stops)
        if len(reply := _cut(sure, stops).strip()) > len(shown):
            shown = reply
            yield shown
        if ended:
            return
    if (reply := _cut(_text(base, row), stops).strip()) != shown:
        yield reply


def _text(base: Base, row: Sequence[int]) -> str:
    return base.chat.tokenizer.decode(row).rstrip(_INCOMPLETE)


def _stop_texts(base: Base, prefix: Prefix | None) -> tuple[str, ...]:
    """Return the texts with which an untuned base goes on to write the user's next line."""
    return () if prefix else base.chat.format.stop_texts


def _cut(text: str, stops: Sequence[str]) -> str:
    for stop in stops:
        text = text.split(stop)[0]
    return text


def _without_half_stop(text: str, stops: Sequence[str]) -> str:
    """Keep back an end of ``text`` that may turn out to be the beginning of a stop text."""
    halves = (stop[:size] for stop in stops for size in range(1, len(stop)))
    held = max((len(half) for half in halves if text.endswith(half)), default=0)
    return text[: len(text) - held]


@torch.no_grad()
def _decode(
    base: Base,
    prefix: Prefix | None,
    prompts: Sequence[Encoded],
    sampling: Sampling | None,
    head: Head | None = None,
) -> Iterator[list[int | None]]:
    """Yield the next token of each prompt, step by step; none once a reply has ended."""
    how = sampling or Sampling()
    draw = torch.Generator().manual_seed(how.seed)
    ids, real, shift, cache = open_batch(base, prefix, prompts, head)
    stops = torch.tensor(sorted(base.stop_ids), device=base.device)
    live = torch.arange(len(prompts), device=base.device)
    room = base.context - real.shape[1] - (prefix.length if prefix else 0)
    for _ in range(min(how.max_new_tokens, room)):
        states = base.hidden(ids, real, prefix, cache, where=counted(real) - shift)
        token = _choose(base.logits(states[:, -1]), how, draw)
        going = ~torch.isin(token, stops)
        if not going.any():
            return
        words: list[int | None] = [None] * len(prompts)
        for row, word in zip(live[going].tolist(), token[going].tolist(), strict=True):
            words[row] = word
        yield words
        if not going.all():  # a reply that has ended is computed no further
            live, real, token, shift = live[going], real[going], token[going], shift[going]
            cache.batch_select_indices(going.nonzero()[:, 0])
        ids = token[:, None]
        real = torch.cat([real, real.new_ones(len(real), 1)], dim=1)


def _choose(logits: Tensor, how: Sampling, draw: torch.Generator) -> Tensor:
    """Pick a token for each row of ``[batch, vocabulary]`` (nucleus: arXiv 1904.09751)."""
    if how.temperature <= 0:
        return logits.argmax(dim=-1)
    chances, words = (logits / how.temperature).softmax(dim=-1).sort(dim=-1, descending=True)
    beyond = chances.cumsum(dim=-1) - chances >= how.top_p
    beyond[:, 0] = False  # the likeliest word is always kept
    chances[beyond] = 0
    picked = torch.multinomial(chances.cpu(), 1, generator=draw).to(words.device)
    return words.gather(1, picked)[:, 0]
