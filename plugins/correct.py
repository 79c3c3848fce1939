"""Lets an owner put a wrong reply right; `renshe harvest` makes training examples of them."""

import time

from bot.plugin import Arguments, Session, Storage, on_command
from trainer.language import say


@on_command(
    "correct",
    "纠正",
    about=say(zh="上一句应该这么说：…", en="the last reply should have been: …"),
    permission="owner",
)
async def correct(session: Session, arguments: Arguments, storage: Storage) -> str:
    """Keep the last round with the right reply, and take the round back."""
    rounds = await session.history()
    if not rounds or not arguments:
        return say(
            zh="在一句不对的回答后面写：/correct 该怎么说",
            en="After a wrong reply, write: /correct what it should have been",
        )
    wrong = rounds[-1]
    example = {"user": wrong.user, "wrong": wrong.assistant, "bot": arguments, "at": time.time()}
    await storage.put(f"{session.key} {wrong.id}", example, session.persona_name)
    session.undo(wrong)
    return arguments
