"""``config check`` and ``config schema``: a ``renshe.yaml`` before it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bot.commands.extra import require_extra
from trainer.commands.bilingual import add, command_group
from trainer.errors import RensheError
from trainer.language import say


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``, under ``config``."""
    group = command_group(
        app,
        "config",
        about=say(zh="检查机器人的设置文件 renshe.yaml。", en="Check a bot's renshe.yaml."),
        example="renshe config check renshe.yaml\nrenshe config schema > renshe.schema.json",
    )
    add(
        group,
        "check",
        check,
        about=say(
            zh="列出设置、人设文件、密钥和插件的全部错误。有错误时退出码是 2。",
            en="List every error of the settings, the persona files, the secrets and the plugins. "
            "Exits with 2 if there is one.",
        ),
        example="renshe config check renshe.yaml",
    )
    add(
        group,
        "schema",
        schema,
        about=say(
            zh="输出 renshe.yaml 的 JSON Schema，编辑器用它来补全和查错。",
            en="Print the JSON Schema of renshe.yaml, for editors to complete and check it.",
        ),
        example="renshe config schema > renshe.schema.json",
    )


def check(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help=say(zh="设置文件", en="The settings."))
    ] = Path("renshe.yaml"),
) -> None:
    """Print everything that would keep the bot from starting, and what would be left out."""
    require_extra()
    from bot.config import read_bot_config
    from bot.plugin_set import read_plugins
    from bot.preflight import missing_personas, missing_secrets
    from trainer.commands.screen import console, show_faults

    config, document = read_bot_config(file)
    plugins = read_plugins(config.plugins, document)
    faults = [*missing_personas(config), *missing_secrets(config), *plugins.faults]
    show_faults(faults, errors=False)
    if faults:
        raise typer.Exit(RensheError.exit_code)
    console().print(
        say(
            zh=f"{file} 没有问题：{len(config.personas)} 个人设，"
            f"{len(config.adapters.each())} 个连接，{len(plugins.plugins)} 个插件",
            en=f"{file} has no faults. personas: {len(config.personas)}, "
            f"connections: {len(config.adapters.each())}, plugins: {len(plugins.plugins)}",
        ),
        markup=False,
        soft_wrap=True,
    )


def schema() -> None:
    """Print the schema as JSON."""
    import json

    from bot.config import bot_config_schema

    typer.echo(json.dumps(bot_config_schema(), ensure_ascii=False, indent=2))
