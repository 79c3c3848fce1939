"""Lists what one can say."""

from bot.plugin import Arguments, Bot, Event, on_command
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
