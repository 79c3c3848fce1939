"""Begins anew, takes a round back, or has it said differently."""

from bot.plugin import Session, on_command
from trainer.language import say


@on_command(
    "reset",
    "重来",
    about=say(zh="忘掉前面说的，重新开始", en="forget what was said, begin anew"),
    permission="admin",
    interrupts=True,
)
async def reset(session: Session) -> str:
    """Begin anew, also while a reply is being thought up."""
    session.reset()
    greeting = session.persona.greeting
    return greeting or say(zh="前面说的都忘了。", en="All that was said is forgotten.")


@on_command("undo", "撤回", about=say(zh="收回上一轮", en="take the last round back"))
async def undo(session: Session) -> str:
    """Take the last round back."""
    rounds = await session.history()
    if not rounds:
        return _nothing()
    session.undo(rounds[-1])
    question = rounds[-1].user
    return say(zh=f"收回了：{question}", en=f"Taken back: {question}")


@on_command("retry", "换个说法", about=say(zh="换个说法", en="say it differently"))
async def retry(session: Session) -> str | None:
    """Take the last round back and have its question answered again."""
    rounds = await session.history()
    if not rounds:
        return _nothing()
    session.undo(rounds[-1])
    session.ask(rounds[-1].user)
    return None


def _nothing() -> str:
    return say(zh="还什么都没说。", en="Nothing was said yet.")
