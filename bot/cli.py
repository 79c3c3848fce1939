"""``renshe``: the trainer's commands, and those that put a persona where people are.

What a user does wrong is told in a sentence with its place and its fix, never in a
traceback; what is our fault keeps its traceback. Nothing heavy is imported before a
command needs it: typing ``renshe --help`` must not feel like starting a model.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from typer.exceptions import TyperException

from bot import commands
from trainer import cli as trainer_cli
from trainer.commands.bilingual import Group, add, usage_fault
from trainer.commands.run_report import tell_backend
from trainer.commands.screen import console, reporting, show_faults
from trainer.errors import RensheError
from trainer.language import Language, say, use

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``renshe``; returns the exit code.

    Args:
        arguments: what was typed after ``renshe``; that of this process if left out.
    """
    try:
        return run(sys.argv[1:] if arguments is None else arguments)
    except RensheError as error:
        show_faults(error.faults)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED


def run(arguments: Sequence[str]) -> int:
    """Run ``renshe`` for a program, which is told of mistakes; returns the exit code.

    Raises:
        RensheError: what :func:`main` prints.
    """
    _set_environment()
    _print_anything()
    try:
        rest = _speak(list(arguments))
        command = typer.main.get_command(build_app())
        outcome = command.main(rest, prog_name="renshe", standalone_mode=False)
    except TyperException as error:
        raise RensheError(faults=(usage_fault(error),)) from error
    return outcome if isinstance(outcome, int) else 0


def build_app() -> typer.Typer:
    """Build the command line, worded in the language that is spoken now."""
    app = typer.Typer(
        cls=Group,
        add_completion=False,
        rich_markup_mode=None,
        invoke_without_command=True,
        help=say(
            zh="人设：一个 YAML 文件写一个人设，训练出一直像它的聊天机器人。",
            en="Renshe: a persona is a YAML file; tune a model that stays that persona.",
        ),
        epilog="renshe train personas/muxue.yaml --out run\nrenshe chat run",
    )
    app.callback()(_options)
    trainer_cli.register(app)
    add(
        app,
        "demo",
        demo,
        about=say(
            zh="打开一个网页，在浏览器里和它聊天。",
            en="Open a page to talk to it in a browser.",
        ),
        example="renshe demo run\n"
        "renshe demo run --host 0.0.0.0 --user me --password-file password.txt",
    )
    commands.register(app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"renshe {version('renshe')}")
        except PackageNotFoundError:
            typer.echo("renshe " + say(zh="（没有安装，从源码运行）", en="(run from its sources)"))
        raise typer.Exit


def _options(
    ctx: typer.Context,
    lang: Annotated[
        str | None,
        typer.Option(
            metavar="zh|en",
            help=say(
                zh="说中文还是英文；不写就看系统的语言",
                en="Speak Chinese or English; by default as the system does.",
            ),
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            help=say(zh="显示版本", en="Show the version."),
        ),
    ] = False,
) -> None:
    """Show what there is to whoever names no command; the options are dealt with before."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def demo(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help=say(zh="训练时的 --out 文件夹", en="The --out of renshe train.")
        ),
    ],
    host: Annotated[
        str,
        typer.Option(help=say(zh="监听的地址", en="The address to listen on.")),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, help=say(zh="端口，0 是任意", en="The port; 0 takes any.")),
    ] = 7860,
    user: Annotated[
        str | None,
        typer.Option(
            help=say(
                zh="进门的用户名，也可以用环境变量 RENSHE_USER",
                en="Name to log in with; or set RENSHE_USER.",
            )
        ),
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=say(
                zh="密码所在的文件，也可以用环境变量 RENSHE_PASSWORD",
                en="File with the password; or set RENSHE_PASSWORD.",
            ),
        ),
    ] = None,
    browser: Annotated[
        bool,
        typer.Option(
            "--browser/--no-browser", help=say(zh="自动打开浏览器", en="Open the browser.")
        ),
    ] = True,
    temperature: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=2.0,
            metavar="0-2",
            help=say(
                zh="0 每次说一样的话，越高越多变", en="0 always says the same; higher varies more."
            ),
        ),
    ] = 0.3,
) -> None:
    """Load the run and serve its page until Ctrl-C."""
    from bot.studio.serve import door, serve

    place = door(host, port, user, password_file)
    with reporting() as report:
        report(say(zh="准备", en="getting ready"), 0.0)
        from bot.engine.tuned import load_engine
        from trainer.sampling import Sampling

        engine = load_engine(run, sampling=Sampling(temperature=temperature), report=report)
        report(say(zh="打开网页", en="opening the page"), 0.9)
        from bot.studio.quick_import import import_gradio

        import_gradio()
        from bot.studio.page import CSS, chat_page, theme

        page = chat_page(engine)
        address = serve(page, place, theme=theme(), css=CSS, browser=browser)
    tell_backend(engine.base)
    console().print(
        say(
            zh=f"{engine.persona.name}在 {address} 等你。按 Ctrl-C 关门。",
            en=f"{engine.persona.name} is waiting at {address}. Ctrl-C closes the page.",
        ),
        markup=False,
        soft_wrap=True,
    )
    with suppress(KeyboardInterrupt):  # which is how one closes it
        threading.Event().wait()
    engine.stop()
    page.close(verbose=False)


def _speak(arguments: list[str]) -> list[str]:
    """Take ``--lang`` out, wherever it stands, and speak that language from here on.

    Help is worded when the app is built, so this comes before any parsing.

    Raises:
        RensheError: for a language other than Chinese and English.
    """
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            return [*rest, word, *words]
        name, equals, value = word.partition("=")
        if name != "--lang":
            rest.append(word)
            continue
        language = value if equals else next(words, "")
        if language not in get_args(Language):
            raise RensheError(
                say(zh=f"--lang 不能是 {language!r}", en=f"--lang cannot be {language!r}"),
                fix="--lang zh, --lang en",
                code="lang",
            )
        use(cast(Language, language))
    return rest


def _set_environment() -> None:
    """Keep libraries from calling home, from chatting and from spinning, before any is imported.

    Threads that wait for their next piece of work by spinning keep it from whoever else
    needs the core: beside another busy process a reply took sixteen times as long.
    """
    for name, value in (
        ("OMP_WAIT_POLICY", "PASSIVE"),
        ("HF_HUB_OFFLINE", "1"),
        ("HF_HUB_DISABLE_TELEMETRY", "1"),
        ("HF_HUB_DISABLE_PROGRESS_BARS", "1"),
        ("TRANSFORMERS_VERBOSITY", "error"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("GRADIO_ANALYTICS_ENABLED", "False"),
    ):
        os.environ.setdefault(name, value)


def _print_anything() -> None:
    """Print a question mark for what a terminal's encoding lacks, rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
