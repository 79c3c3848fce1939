"""``run``: puts personas where people are, until it is told to stop."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.commands.extra import require_extra
from trainer.commands.bilingual import add
from trainer.errors import RensheError
from trainer.language import say

if TYPE_CHECKING:
    import asyncio

    from bot.presence import Occupant
    from bot.runtime import Runtime


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    add(
        app,
        "run",
        run,
        about=say(
            zh="按 renshe.yaml 把人设放到 QQ、Telegram 或这个终端上，直到 Ctrl-C。"
            "SIGHUP 重新读人设、插件和触发方式。",
            en="Put personas on QQ, Telegram or this terminal as renshe.yaml says, until Ctrl-C. "
            "SIGHUP reads personas, plugins and triggers anew.",
        ),
        example="renshe run renshe.yaml",
    )


def run(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help=say(zh="设置文件", en="The settings."))
    ] = Path("renshe.yaml"),
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help=say(
                zh="设置里没写 operation.port 时，/healthz 和 /metrics 的端口，0 是任意",
                en="Port of /healthz and /metrics where operation.port is not set; 0 takes any.",
            ),
        ),
    ] = None,
) -> None:
    """Load everything, then serve until a signal."""
    require_extra()
    if hasattr(signal, "SIGHUP"):  # which asks to read the settings again, and would end it yet
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    import asyncio

    from bot.cast import load_players
    from bot.config import read_bot_config
    from bot.logs import set_up_logging
    from bot.presence import occupying
    from bot.runtime import Runtime
    from bot.store import Store
    from trainer.commands.screen import reporting

    config, document = read_bot_config(file)
    set_up_logging(config.operation.log)
    port = port if config.operation.port is None else config.operation.port
    with occupying(config.store, file) as occupant:
        with reporting() as report:
            players = load_players(config, report=report)

        async def serve() -> None:
            runtime = Runtime(config, document, Store(config.store), players)
            await _serve(runtime, file, port, occupant)

        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(serve())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the quicker loop, where there is one: Windows has none."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(runtime: Runtime, file: Path, port: int | None, occupant: Occupant) -> None:
    import asyncio

    from bot.operation import watched

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, runtime.stop)
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.create_task(_reload(runtime, file))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    async with watched(runtime, port) as own:
        await runtime.run(lambda: _ready(runtime, own, occupant))


async def _reload(runtime: Runtime, file: Path) -> None:
    """Take a changed file; a wrong one is told, and all goes on as it was."""
    import logging

    from bot.config import read_bot_config

    log = logging.getLogger(__name__)
    try:
        await runtime.reload(*read_bot_config(file))
    except RensheError as error:
        log.error("nothing was reloaded:\n%s", error)
        return
    log.info("reloaded %s", file)


def _ready(runtime: Runtime, port: int | None, occupant: Occupant) -> None:
    """Note that all is loaded: it stays for good, so looking for garbage in it is a waste."""
    gc.collect()
    gc.freeze()
    occupant.ready(port)
    _tell_ready(runtime, port)


def _tell_ready(runtime: Runtime, port: int | None) -> None:
    from trainer.commands.screen import console

    names = say(zh="、", en=", ").join(one.name for one in runtime.personas.values())
    places = say(zh="、", en=", ").join(adapter.platform for adapter in runtime.adapters)
    lines = [
        say(
            zh=f"{names}在 {places} 上了。按 Ctrl-C 停下。",
            en=f"{names}: on {places} now. Ctrl-C stops.",
        )
    ]
    lines += [f"http://127.0.0.1:{port}/healthz  /metrics"] if port is not None else []
    console(errors=True).print("\n".join(lines), markup=False, soft_wrap=True)
