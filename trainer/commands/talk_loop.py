"""A conversation in the terminal, or through a pipe: what ``renshe chat`` runs.

The reply is shown as it grows, and Ctrl-C stops a reply without leaving the talk: a
tuned model that rambles must not cost the conversation.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import typer

from trainer.chat import Message
from trainer.guard import RETRY_TEMPERATURE, Draw
from trainer.language import say
from trainer.persona import Persona
from trainer.sampling import Sampling


@dataclass
class Talk:
    """One conversation with one tuned persona.

    Attributes:
        persona: who answers.
        answer: streams its replies.
        sampling: how its words are chosen; each reply draws anew.
        messages: what was said, user and assistant in turn.
    """

    persona: Persona
    answer: Draw
    sampling: Sampling
    messages: list[Message] = field(default_factory=list)

    def run(self) -> None:
        """Read lines until the end of the input or ``/exit``."""
        if self.persona.greeting:
            typer.echo(f"{self.persona.name}: {self.persona.greeting}")
        for line in _lines():
            if line == "/exit":
                break
            if line.startswith("/"):
                self._command(line)
            else:
                self.messages.append(Message("user", line))
                self._answer(self.sampling)

    def _command(self, line: str) -> None:
        commands = {"/reset": self._reset, "/undo": self._undo, "/retry": self._retry}
        if line in commands:
            commands[line]()
            return
        if line != "/help":
            typer.echo(say(zh=f"没有 {line} 这个命令", en=f"there is no command {line}"))
        typer.echo(
            say(
                zh="/reset 重新开始  /undo 收回上一轮  /retry 换个说法  /help 帮助  /exit 离开",
                en="/reset begin anew  /undo take the last round back  /retry say it differently"
                "  /help this  /exit leave",
            )
        )

    def _reset(self) -> None:
        self.messages.clear()
        typer.echo(say(zh="前面说的都忘了", en="all that was said is forgotten"))

    def _undo(self) -> None:
        if not self.messages:
            typer.echo(say(zh="还什么都没说", en="nothing was said yet"))
            return
        question, _ = self.messages[-2:]
        del self.messages[-2:]
        typer.echo(say(zh=f"收回了：{question.text}", en=f"taken back: {question.text}"))

    def _retry(self) -> None:
        if not self.messages:
            typer.echo(say(zh="还什么都没说", en="nothing was said yet"))
            return
        del self.messages[-1:]
        self._answer(
            replace(self.sampling, temperature=self.sampling.temperature or RETRY_TEMPERATURE)
        )

    def _answer(self, sampling: Sampling) -> None:
        """Stream the reply; what was said when it was stopped stays said."""
        self.sampling = replace(self.sampling, seed=self.sampling.seed + 1)
        reply = _shown(self.persona.name, self.answer(self.messages, sampling))
        if reply:
            self.messages.append(Message("assistant", reply))
        else:
            del self.messages[-1:]  # a question without an answer is no round
            typer.echo(say(zh="（没有回答）", en="(no reply)"))


def _shown(name: str, replies: Iterator[str]) -> str:
    """Print a reply as it grows and return it; Ctrl-C ends it.

    What is on the screen stays there, so a reply that begins anew takes a new line.
    """
    reply = ""
    typer.echo(f"{name}: ", nl=False)
    try:
        for reply_so_far in replies:
            if not reply_so_far.startswith(reply):
                typer.echo(say(zh=" ……（重新说）", en=" … (says it anew)"))
                typer.echo(f"{name}: ", nl=False)
                reply = ""
            typer.echo(reply_so_far[len(reply) :], nl=False)
            reply = reply_so_far
    except KeyboardInterrupt:
        typer.echo(say(zh=" ……（停下了）", en=" … (stopped)"), nl=False)
    typer.echo()
    return reply.rstrip()


def _lines() -> Iterator[str]:
    """Yield what the user says; the end of the input or two Ctrl-C in a row end it."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    prompt = _prompt()
    interrupted = not sys.stdin.isatty()  # nobody reads the hint at the end of a pipe
    while True:
        try:
            line = input(prompt).strip()
        except EOFError:
            return
        except KeyboardInterrupt:
            typer.echo()
            if interrupted:
                return
            interrupted = True
            typer.echo(say(zh="再按一次 Ctrl-C 离开", en="Ctrl-C again to leave"))
            continue
        interrupted = not sys.stdin.isatty()
        if line:
            yield line


def _prompt() -> str:
    """Return what stands before the user's line: nothing when nobody sees it."""
    if not sys.stdin.isatty():
        return ""
    with contextlib.suppress(ImportError):  # Windows edits lines by itself
        import readline  # noqa: F401  lets input() edit a line, wide characters included
    return say(zh="你: ", en="you: ")
