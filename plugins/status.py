"""Tells an owner how the bot is."""

from bot.plugin import Bot, on_command
from trainer.language import say


@on_command(
    "status",
    "状态",
    about=say(zh="连接、插件、数据库", en="connections, plugins, database"),
    permission="owner",
)
async def status(bot: Bot) -> str:
    """Show connections, disabled plugins and what is in the database."""
    return "\n".join(f"{name}: {state}" for name, state in (await bot.status()).items())
