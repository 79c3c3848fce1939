"""Shows who answers in a chat, and lets its admins choose another."""

from bot.plugin import Arguments, Bot, Event, Session, on_command
from trainer.language import say


@on_command("persona", "人设", about=say(zh="看看或换一个人设", en="show or change who answers"))
async def persona(bot: Bot, event: Event, session: Session, arguments: Arguments) -> str:
    """Show the persona, or give the chat another; its history then begins anew."""
    if not arguments:
        return _shown(bot, session)
    names = [
        name
        for name, one in bot.personas.items()
        if arguments.casefold() in (name.casefold(), one.name.casefold())
    ]
    if not names:
        return say(zh=f"没有 {arguments} 这个人设。", en=f"There is no persona {arguments}.")
    if not bot.allows(event, "admin"):
        return say(zh="只有管理员能换人设。", en="Only an admin may change the persona.")
    session.switch(names[0])
    chosen = bot.personas[names[0]]
    return chosen.greeting or say(zh=f"{chosen.name}来了。", en=f"{chosen.name} is here.")


def _shown(bot: Bot, session: Session) -> str:
    others = [name for name in bot.personas if name != session.persona_name]
    shown = f"{session.persona.name}：" if session.persona.language == "zh" else ""
    lines = [f"{shown}{session.persona.summary}"]
    lines += [f"{bot.prefix}persona {name}  {bot.personas[name].name}" for name in others]
    return "\n".join(lines)
