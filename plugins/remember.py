"""Keeps notes on whoever asks for it; the persona then knows them, in that chat only."""

from pydantic import Field

from bot.plugin import (
    Arguments,
    Event,
    Prompt,
    Session,
    Settings,
    Storage,
    before_prompt,
    on_command,
)
from trainer.language import say


class Notes(Settings):
    """How much is kept."""

    most: int = Field(8, ge=1, le=50)
    """Notes on a person in a chat; the oldest gives way."""
    length: int = Field(100, ge=10, le=500)
    """Characters of a note."""


@on_command("remember", "记住", about=say(zh="记住一件关于我的事", en="remember this about me"))
async def remember(
    event: Event, session: Session, arguments: Arguments, storage: Storage, limits: Notes
) -> str:
    """Keep a note on whoever sends it."""
    if not arguments:
        return "\n".join(await _notes(event, session, storage)) or _nothing()
    if len(arguments) > limits.length:
        return say(
            zh=f"太长了，{limits.length} 个字以内才记得住。",
            en=f"That is too long; {limits.length} characters at most.",
        )
    notes = [*await _notes(event, session, storage), str(arguments)]
    await storage.put(event.user, notes[-limits.most :], str(session.key))
    return say(zh="记住了。", en="I will remember.")


@on_command("forget", "忘记", about=say(zh="忘掉记住的关于我的事", en="forget my notes"))
async def forget(event: Event, session: Session, storage: Storage) -> str:
    """Drop every note on whoever sends it, in this chat."""
    if not await _notes(event, session, storage):
        return _nothing()
    await storage.forget(event.user, str(session.key))
    return say(zh="都忘了。", en="Forgotten.")


@before_prompt
async def tell(event: Event, session: Session, prompt: Prompt, storage: Storage) -> None:
    """Put the notes before the question."""
    prompt.notes += await _notes(event, session, storage)


async def _notes(event: Event, session: Session, storage: Storage) -> list[str]:
    return list(await storage.get(event.user, str(session.key)) or [])


def _nothing() -> str:
    return say(zh="没记着什么。", en="There is nothing noted.")
