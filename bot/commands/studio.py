"""``studio``: the page on which personas are made."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from trainer.commands.bilingual import add
from trainer.commands.screen import console, reporting
from trainer.language import say, spoken


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    add(
        app,
        "studio",
        studio,
        about=say(
            zh="打开工作室：在浏览器里写人设、训练、评测、对话、上线。",
            en="Open the studio: write, tune, judge, talk and go online, all in a browser.",
        ),
        example="renshe studio\nrenshe studio my-project --port 8000",
    )


def studio(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help=say(
                zh="项目文件夹，里面放 personas/ 和 runs/",
                en="The project folder, which holds personas/ and runs/.",
            ),
        ),
    ] = Path(),
    host: Annotated[
        str, typer.Option(help=say(zh="监听的地址", en="The address to listen on."))
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
) -> None:
    """Serve the studio until Ctrl-C; a training that runs goes on."""
    os.environ["RENSHE_LANG"] = spoken()
    from bot.studio.serve import door, serve

    place = door(host, port, user, password_file)
    with reporting() as report:
        report(say(zh="打开网页", en="opening the page"), 0.3)
        from bot.studio.quick_import import import_gradio

        import_gradio()
        from bot.studio.app import css, studio_page
        from bot.studio.jobs import Jobs
        from bot.studio.page import theme
        from bot.studio.workshop import Workshop

        workshop = Workshop(folder)
        jobs = Jobs(workshop)
        page = studio_page(workshop, jobs)
        address = serve(page, place, theme=theme(), css=css(), browser=browser)
    console().print(
        say(
            zh=f"工作室开在 {address}。按 Ctrl-C 关门。",
            en=f"The studio is at {address}. Ctrl-C closes it.",
        ),
        markup=False,
        soft_wrap=True,
    )
    with suppress(KeyboardInterrupt):  # which is how one closes it
        threading.Event().wait()
    jobs.close()
    page.close(verbose=False)
