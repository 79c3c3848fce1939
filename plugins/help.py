"""Lists what one can say, and says hello to whoever has just come."""

from bot.plugin import Arguments, Bot, Event, Session, on_command
from trainer.language import say


@on_command("help", "帮助", about=say(zh="看看有哪些命令", en="list the commands"))
async def show_help(bot: Bot, event: Event, arguments: Arguments) -> str:
    """List the commands that whoever asks may use, or explain one."""
    usable = [one for one in bot.commands if one.about and bot.allows(event, one.permission)]
    wanted = arguments.removeprefix(bot.prefix)
    if wanted:
        usable = [one for one in usable if wanted in (one.name, *one.aliases)]
    if not usable:
        return say(zh=f"没有 {wanted} 这个命令", en=f"There is no command {wanted}.")
    names = ["  ".join(bot.prefix + name for name in (one.name, *one.aliases)) for one in usable]
    return "\n".join(f"{name}  {one.about}" for name, one in zip(names, usable, strict=True))


@on_command("start")
async def start(session: Session, bot: Bot) -> str:
    """Greet: Telegram sends this when somebody opens the chat for the first time."""
    persona = session.persona
    hello = persona.greeting or say(zh=f"我是{persona.name}。", en=f"I am {persona.name}.")
    hint = say(zh=f"（发 {bot.prefix}help 看有哪些命令）", en=f"({bot.prefix}help lists commands)")
    return f"{hello}\n{hint}"
