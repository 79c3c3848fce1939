"""Typer commands that speak the user's language: help pages and usage errors.

Typer words its pages in English and lets rich draw them, which takes longer than
everything else that ``renshe --help`` does, and wraps Chinese at the wrong places. So
the pages are written here, as plain text that a pipe can search.
"""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from trainer.errors import Fault, RensheError
from trainer.language import say

WIDEST = 96
"""Columns of a page in a very wide terminal: longer lines are hard to read."""

NAMES = 24
"""Columns for the names of options and commands."""

_PIECE = re.compile(r"[ \n]+|[^ \n\u2e80-\uffef]+|.")
_CLOSING = "，。；：、！？）》”’"


class Command(TyperCommand):
    """A command whose help is in the spoken language."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(_page(self, ctx, []))


class Group(TyperGroup):
    """The command that holds the others; its help lists them."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        commands = [(name, command.help or "") for name, command in self.commands.items()]
        formatter.write(_page(self, ctx, commands))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name not in self.commands and not name.startswith("-"):
            raise _no_such_command(name, list(self.commands), ctx.command_path)
        return super().resolve_command(ctx, args)


def add(
    app: typer.Typer, name: str, command: Callable[..., None], *, about: str, example: str
) -> None:
    """Add a command to ``app``.

    Args:
        app: where to.
        name: what the user types.
        command: the function; its annotations are its options.
        about: what it does, in a sentence or two.
        example: a worked example, one line a command.
    """
    app.command(name, cls=Command, help=about, epilog=example)(command)


def command_group(app: typer.Typer, name: str, *, about: str, example: str) -> typer.Typer:
    """Add a command that holds others, like ``renshe prefix``, and return it to be added to.

    Args:
        app: where to.
        name: what the user types.
        about: what it does, in a sentence or two.
        example: a worked example, one line a command.
    """
    group = typer.Typer(
        cls=Group,
        rich_markup_mode=None,
        invoke_without_command=True,
        help=about,
        epilog=example,
    )
    group.callback()(_commands)
    app.add_typer(group, name=name)
    return group


def _commands(ctx: typer.Context) -> None:
    """Show what there is to whoever names no command."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def usage_fault(error: Any) -> Fault:
    """Word what Typer refuses to parse: a missing argument, an unknown option, a wrong value."""
    param = getattr(error, "param", None)
    hint = f"{_kind(param)} {param.get_error_hint()}" if param is not None else ""
    option = getattr(error, "option_name", "")
    english = error.format_message()
    wordings = {
        "MissingParameter": f"缺少{hint}",
        "BadParameter": f"{hint} 的值不对：{error.message}",
        "NoSuchOption": f"没有 {option} 这个选项",
        "BadOptionUsage": f"选项 {option} 后面要有一个值",
    }
    problem = say(zh=wordings.get(type(error).__name__, f"命令写错了：{english}"), en=english)
    path = error.ctx.command_path if getattr(error, "ctx", None) else "renshe"
    return Fault(problem, fix=say(zh=f"看用法：{path} --help", en=f"see {path} --help"))


def _no_such_command(name: str, known: list[str], path: str) -> RensheError:
    near = get_close_matches(name, known, n=1)
    return RensheError(
        say(zh=f"没有 {name} 这个命令", en=f"there is no command {name}"),
        fix=say(
            zh=f"是不是 {path} {near[0]}" if near else f"看有哪些命令：{path} --help",
            en=f"do you mean {path} {near[0]}?" if near else f"see {path} --help",
        ),
        code="no-command",
    )


def _kind(param: Any) -> str:
    return "参数" if isinstance(param, TyperArgument) else "选项"


def _page(command: Any, ctx: Any, commands: list[tuple[str, str]]) -> str:
    """Return the help page: usage, what it is for, its arguments and options, an example."""
    width = min(shutil.get_terminal_size().columns, WIDEST)
    params = command.get_params(ctx)
    arguments = [param for param in params if isinstance(param, TyperArgument)]
    options = [param for param in params if not isinstance(param, TyperArgument)]
    what = say(zh="命令 …", en="COMMAND …") if commands else ""
    usage = [ctx.command_path, say(zh="[选项]", en="[OPTIONS]"), what, *map(_name, arguments)]
    sections = {
        say(zh="参数", en="Arguments"): [(_name(p), _explained(p)) for p in arguments],
        say(zh="选项", en="Options"): [(_name(p), _explained(p)) for p in options],
        say(zh="命令", en="Commands"): commands,
    }
    lines = [f"{say(zh='用法', en='Usage')}: {' '.join(filter(None, usage))}", ""]
    lines += _wrapped(command.help or "", width)
    for heading, rows in sections.items():
        if rows:
            lines += ["", f"{heading}:", *_columns(rows, width)]
    if command.epilog:
        lines += ["", f"{say(zh='例子', en='Example')}:"]
        lines += [f"  {line}" for line in command.epilog.splitlines()]
    return "\n".join(lines) + "\n"


def _name(param: Any) -> str:
    """Return how a parameter is typed: ``--out RUN``, ``--force``, ``FILE …``."""
    if isinstance(param, TyperArgument):
        return f"{param.metavar or param.name.upper()}{' …' if param.nargs == -1 else ''}"
    names = "/".join([*param.opts, *param.secondary_opts])
    if param.is_flag or param.name == "help":
        return names
    return f"{names} {param.metavar or param.name.upper()}"


def _explained(param: Any) -> str:
    if param.name == "help":
        return say(zh="显示这页帮助。", en="Show this page.")
    text = param.help or ""
    if param.required:
        return text + say(zh="（必填）", en=" Required.")
    if param.default in (None, False) or getattr(param, "is_flag", False):
        return str(text)
    return text + say(zh=f"（默认 {param.default}）", en=f" Default: {param.default}.")


def _columns(rows: Iterable[tuple[str, str]], width: int) -> Iterator[str]:
    """Yield names to the left and their meaning to the right, below a name that is too long."""
    margin = " " * (NAMES + 2)
    for name, text in rows:
        first, *others = _wrapped(text, width - len(margin)) or [""]
        if _cells(name) < NAMES:
            yield f"  {name}{' ' * (NAMES - _cells(name))}{first}"
        else:
            yield f"  {name}"
            yield f"{margin}{first}"
        yield from (f"{margin}{line}" for line in others)


def _wrapped(text: str, width: int) -> list[str]:
    """Break ``text`` into lines of ``width`` columns, between words or wide characters."""
    lines, line = [], ""
    for piece in _PIECE.findall(text):
        if _cells(line + piece) > width and piece not in _CLOSING and line:
            lines.append(line.rstrip())
            line = ""
        if line or not piece.isspace():
            line += piece
    return [*lines, line.rstrip()] if line.strip() else lines


def _cells(text: str) -> int:
    """Return the columns that ``text`` takes: two for a wide character."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
