"""One chat format for training, evaluation, console, page and bot.

A model answers well only what it was trained to see. When training and serving
each build their own prompt, they drift apart by a space or a token, and nobody
notices: so every prompt and every training example is made by :func:`encode`.

A format turns messages into :class:`Segment` s; segments are tokenized one by
one, so that a boundary never moves with the text around it, and the ids of an
inference prompt are exactly the first ids of its training example. What a user
typed is never parsed for control tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from trainer.errors import ConfigError
from trainer.language import say

IGNORE = -100
"""Target of a position that carries no loss (the value PyTorch's cross entropy skips)."""

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    ``learn`` is false for a reply that is only context: a leaked or foreign reply
    in a history, whose tokens carry no loss.
    """

    role: Role
    text: str
    learn: bool = True


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of text that is tokenized on its own.

    Attributes:
        text: the characters.
        markup: the names of control tokens in ``text`` become those tokens.
        learn: the loss is taken on these tokens.
        ends_reply: the stop token is the target after the last of these tokens.
    """

    text: str
    markup: bool = False
    learn: bool = False
    ends_reply: bool = False


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids and, aligned with them, what should follow each.

    ``targets[i]`` is the id to be predicted from ``ids[: i + 1]``, or :data:`IGNORE`.
    Targets are kept apart from ids because a reply ends with a stop token that the
    history of the next round need not contain (ChatGLM2, plain).

    ``history`` is how many of the first ids are earlier rounds that are read apart. A prefix
    is tuned to the very positions of what it was trained on: thirty positions further on, it
    is lost (measured: TrainPair 0.97, then 0.00). So behind an anchored prefix the last round
    is round one, token for token and position for position; what was said before it stands
    before the prefix (:func:`trainer.prefix.attention_mask`).
    """

    ids: list[int]
    targets: list[int]
    history: int = 0


class Tokenizer(Protocol):
    """What a format needs of a tokenizer, whatever library it comes from."""

    def __len__(self) -> int:
        """Return how many tokens there are, control tokens included."""

    @property
    def largest_id(self) -> int:
        """Largest id that typed text can become."""

    def encode(self, text: str, *, markup: bool = False) -> list[int]:
        """Return ids without any added; control tokens only where ``markup``."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids`` without control tokens."""

    @property
    def bos(self) -> str:
        """Name of the token every sequence starts with, or an empty string."""

    @property
    def eos(self) -> str:
        """Name of the token that ends a sequence."""

    def render_template(self, messages: list[dict[str, str]], *, cue: bool) -> str:
        """Render the tokenizer's own chat template; ``cue`` asks for the assistant's turn."""


class ChatFormat(Protocol):
    """How one family of base models writes a conversation.

    Attributes:
        name: the key in :data:`FORMATS`, as checkpoints store it.
        stop: name of the control token that ends a reply.
        stop_texts: texts at which a reply of a base that was never tuned has ended.
        opening_follows_prefix: the opening stays when a trained prefix is in place
            (official ChatGLM checkpoints); otherwise the prefix takes its place.
    """

    name: str
    stop: str
    stop_texts: tuple[str, ...]
    opening_follows_prefix: bool

    def opening(self, system: str | None) -> list[Segment]:
        """Return what stands before the first round."""

    def rounds(self, messages: Sequence[Message]) -> list[Segment]:
        """Return the conversation; it ends with the assistant's cue after a user's turn."""


class Plain:
    """问/答 lines, for bases without a chat format of their own."""

    name = "plain"
    stop_texts: tuple[str, ...] = ("\n问：", "\n答：")
    opening_follows_prefix = False

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.stop = tokenizer.eos
        self._bos = tokenizer.bos

    def opening(self, system: str | None) -> list[Segment]:
        start = [Segment(self._bos, markup=True)] if self._bos else []
        return [*start, Segment(f"{system}\n")] if system else start

    def rounds(self, messages: Sequence[Message]) -> list[Segment]:
        segments: list[Segment] = []
        for index, message in enumerate(messages):
            if message.role == "user":
                line_end = "\n" if index else ""
                segments += [Segment(f"{line_end}问："), Segment(message.text), Segment("\n答：")]
            else:
                segments.append(Segment(message.text, learn=message.learn, ends_reply=True))
        return segments


class ChatGLM2:
    """``[Round i]`` text of ChatGLM2-6B, rounds counted from 1 (its ``build_prompt``).

    The official code tokenizes everything up to the last ``答：`` as one text, in training
    and in chat alike, and a reply on its own. Sentencepiece begins each text with a space,
    so the ids of a reply to be learnt are not those it has in a later history.
    """

    name = "chatglm2"
    stop = "</s>"
    stop_texts: tuple[str, ...] = ("[Round ",)
    opening_follows_prefix = True

    def __init__(self, tokenizer: Tokenizer) -> None:
        pass

    def opening(self, system: str | None) -> list[Segment]:
        start = [Segment("[gMASK]sop", markup=True)]
        return [*start, Segment(f"{system}\n\n")] if system else start

    def rounds(self, messages: Sequence[Message]) -> list[Segment]:
        replies = messages[-1:] if len(messages) % 2 == 0 else []
        text = ""
        for index, message in enumerate(messages[: len(messages) - len(replies)]):
            if message.role == "user":
                gap = "\n\n" if index else ""
                text += f"{gap}[Round {index // 2 + 1}]\n\n问：{message.text}\n\n答："
            else:
                text += message.text
        learnt = [Segment(reply.text, learn=reply.learn, ends_reply=True) for reply in replies]
        return [Segment(text), *learnt]


class ChatGLM3:
    """Role tokens of ChatGLM3-6B, which typed text can never make (its ``build_chat_input``)."""

    name = "chatglm3"
    stop = "<|user|>"
    stop_texts: tuple[str, ...] = ()
    opening_follows_prefix = True

    def __init__(self, tokenizer: Tokenizer) -> None:
        pass

    def opening(self, system: str | None) -> list[Segment]:
        start = [Segment("[gMASK]sop", markup=True)]
        if not system:
            return start
        return [*start, Segment("<|system|>", markup=True), Segment("\n"), Segment(system)]

    def rounds(self, messages: Sequence[Message]) -> list[Segment]:
        segments: list[Segment] = []
        for message in messages:
            segments.append(Segment(f"<|{message.role}|>", markup=True))
            if message.role == "user":
                segments += [Segment("\n"), Segment(message.text)]
            else:
                # The line after the role token is the model's own to write.
                segments.append(Segment("\n", learn=message.learn))
                segments.append(Segment(message.text, learn=message.learn, ends_reply=True))
        if messages and messages[-1].role == "user":
            segments.append(Segment("<|assistant|>", markup=True))
        return segments


class Jinja:
    """The tokenizer's own chat template, with typed text kept out of its markup.

    The template is rendered over place holders from Unicode's private use area; what
    stands between them is markup, and the messages are put back as plain text.
    """

    name = "jinja"
    stop_texts: tuple[str, ...] = ()
    opening_follows_prefix = False

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        after_reply = self._render(_ROUND).partition(_HOLDER.format(1))[2]
        closing = after_reply.strip()
        ends = closing and not tokenizer.decode(self._markup(closing)[:1])
        self.stop = closing if ends else tokenizer.eos
        between = self._render([*_ROUND, _turn("user", 2)]).partition(_HOLDER.format(1))[2]
        # What closes a reply is no part of what announces the user.
        self._cue = between.partition(_HOLDER.format(2))[0].removeprefix(after_reply)
        self._start = self._before_cue(self._render_start([]))
        self._around_system = self._find_system()

    def opening(self, system: str | None) -> list[Segment]:
        start = [Segment(self._start, markup=True)] if self._start else []
        if not system:
            return start
        if self._around_system is None:
            return [*start, Segment(f"{system}\n\n")]
        head, tail = self._around_system
        return [Segment(head, markup=True), Segment(system), Segment(tail, markup=True)]

    def rounds(self, messages: Sequence[Message]) -> list[Segment]:
        turns = [_turn(message.role, index) for index, message in enumerate(messages)]
        asks = bool(messages) and messages[-1].role == "user"
        # A template may write a system text of its own: it belongs to the opening.
        rest = self._render(turns, cue=asks).removeprefix(self._start)
        segments: list[Segment] = []
        for index, message in enumerate(messages):
            markup, _, rest = rest.partition(_HOLDER.format(index))
            reply = message.role == "assistant"
            segments += [
                Segment(markup, markup=True),
                Segment(message.text, learn=reply and message.learn, ends_reply=reply),
            ]
        return [*segments, Segment(rest, markup=True)] if asks else segments

    def _find_system(self) -> tuple[str, str] | None:
        """Return what stands around a system text; none if it has no place before the user's."""
        try:
            text = self._render_start([{"role": "system", "content": _SYSTEM}])
        except ConfigError:  # a template that refuses the role
            return None
        head, found, tail = text.removesuffix(self._cue).partition(_SYSTEM)
        return (head, tail) if found and text.endswith(self._cue) else None

    def _render_start(self, system: list[dict[str, str]]) -> str:
        return self._render([*system, _turn("user", 0)]).partition(_HOLDER.format(0))[0]

    def _before_cue(self, start: str) -> str:
        """Return ``start`` without the longest end it shares with the cue, cutting no token."""
        ends = (self._cue[cut:] for cut in range(len(self._cue) + 1))
        return next(
            start.removesuffix(end)
            for end in ends
            if start.endswith(end)
            and self._markup(start.removesuffix(end)) + self._markup(end) == self._markup(start)
        )

    def _markup(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, markup=True) if text else []

    def _render(self, turns: list[dict[str, str]], *, cue: bool = False) -> str:
        text = self._tokenizer.render_template(turns, cue=cue)
        if all(turn["content"] in text for turn in turns if turn["role"] != "system"):
            return text
        raise ConfigError(
            say(zh="这个底座的对话模板丢掉了消息", en="this base's chat template drops a message"),
            fix=say(zh="设 chat_format: plain", en="set chat_format: plain"),
            code="chat-template",
        )


_HOLDER = "\ue000{}\ue001"
_SYSTEM = _HOLDER.format("system")


def _turn(role: str, index: int) -> dict[str, str]:
    return {"role": role, "content": _HOLDER.format(index)}


_ROUND = [_turn("user", 0), _turn("assistant", 1)]

FORMATS: dict[str, Callable[[Tokenizer], ChatFormat]] = {
    "plain": Plain,
    "jinja": Jinja,
    "chatglm2": ChatGLM2,
    "chatglm3": ChatGLM3,
}


class Chat:
    """A chat format bound to a tokenizer: the only maker of ids.

    Raises:
        ConfigError: if ``name`` is not one of :data:`FORMATS`.
    """

    def __init__(self, name: str, tokenizer: Tokenizer) -> None:
        if name not in FORMATS:
            raise ConfigError(
                say(zh=f"没有名为 {name!r} 的对话格式", en=f"no chat format is called {name!r}"),
                fix=say(zh="可用：", en="known: ") + ", ".join(FORMATS),
                code="chat-format",
            )
        self.format = FORMATS[name](tokenizer)
        self.tokenizer = tokenizer

    @property
    def stop_id(self) -> int:
        """Id of the token that ends a reply."""
        return self.tokenizer.encode(self.format.stop, markup=True)[0]

    def opening(self, system: str | None = None) -> list[int]:
        """Return the ids before the first round; the text a prefix is initialised from."""
        return [id for part in self.format.opening(system) for id in self._ids(part)]

    def lessons(self, messages: Sequence[Message]) -> list[Sequence[Message]]:
        """Return for each reply to be learnt the conversation that leads to it.

        A sequence teaches its last reply only, since only that one stands where the last
        round of a chat will stand (:class:`Encoded`); the earlier ones are context.
        """
        context = as_context(messages)
        return [
            [*context[:index], message]
            for index, message in enumerate(messages)
            if message.role == "assistant" and message.learn
        ]

    def encode(
        self,
        messages: Sequence[Message],
        *,
        system: str | None = None,
        prefixed: bool = False,
        apart: bool = False,
    ) -> Encoded:
        """Turn a conversation into ids and targets.

        Args:
            messages: alternating, a user's turn first. After a user's turn the ids end
                with the assistant's cue (a prompt), after a reply with its last token.
            system: a system text for a base without prefix.
            prefixed: a trained prefix stands before these ids.
            apart: the last round is encoded as round one, and earlier ones stand before it
                as context that teaches nothing.

        Returns:
            ids and targets of equal length, and how many ids are read apart.
        """
        begins = _last_question(messages) if apart else 0
        earlier = self.format.rounds(messages[:begins]) if begins else []
        ids = [id for segment in earlier for id in self._ids(segment)]
        history = len(ids)
        if not prefixed or self.format.opening_follows_prefix:
            ids += self.opening(system)
        targets = [IGNORE] * len(ids)
        for segment in self.format.rounds(messages[begins:]):
            piece, before = self._ids(segment), len(ids) - 1
            ids += piece
            targets += [IGNORE] * len(piece)
            if segment.learn:  # each id is the target of the position before it
                targets[before : len(ids) - 1] = piece
                if segment.ends_reply:
                    targets[-1] = self.stop_id
        return Encoded(ids, targets, history)

    def _ids(self, segment: Segment) -> list[int]:
        return self.tokenizer.encode(segment.text, markup=segment.markup) if segment.text else []


def as_context(messages: Sequence[Message]) -> list[Message]:
    """Return messages as what was said before: none of them is to be learnt."""
    return [replace(message, learn=False) for message in messages]


def _last_question(messages: Sequence[Message]) -> int:
    return max((i for i, message in enumerate(messages) if message.role == "user"), default=0)


def latest_rounds(
    messages: Sequence[Message], fits: Callable[[Sequence[Message]], bool]
) -> tuple[Message, ...]:
    """Drop whole oldest rounds until ``fits``; the last question is never dropped.

    Training and serving share this, so that a long chat is cut where training cut it.
    """
    kept = tuple(messages)
    while len(kept) > 2 and not fits(kept):
        kept = kept[2:]
    return kept
