"""What a valid ``renshe.yaml`` names and is not there: found before anything is started."""

from __future__ import annotations

from bot.config import BotConfig
from bot.secrets import read_secret
from trainer.errors import Fault, RensheError


def missing_personas(config: BotConfig) -> list[Fault]:
    """Find what is wrong with persona files and checkpoints; no model is loaded."""
    from trainer.checkpoint import open_checkpoint
    from trainer.persona import load_persona

    faults: list[Fault] = []
    for entry in config.personas.values():
        try:
            if entry.tuned is not None:
                open_checkpoint(entry.tuned.run)
            elif file := entry.remote or entry.echo:
                load_persona(file.persona)
        except RensheError as error:
            faults += error.faults
    return faults


def missing_secrets(config: BotConfig) -> list[Fault]:
    """Find secrets that are named but not there: ``*_env`` and ``*_file``, wherever they stand."""
    faults: list[Fault] = []
    remotes = (entry.remote for entry in config.personas.values() if entry.remote)
    for part in [*(entry for _, entry in config.adapters.each()), *remotes]:
        names = (name for name in type(part).model_fields if name.endswith("_env"))
        for what in (name.removesuffix("_env") for name in names):
            try:
                env, file = getattr(part, f"{what}_env"), getattr(part, f"{what}_file")
                read_secret(what, env, file)
            except RensheError as error:
                faults += error.faults
    return faults
