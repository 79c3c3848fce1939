"""The tab Bots: a tuned persona goes to QQ and Telegram, and is looked after there."""

from __future__ import annotations

import gradio as gr

from bot.commands.extra import require_extra
from bot.studio.bots.style import CSS
from bot.studio.jobs import Jobs
from bot.studio.workshop import Workshop
from trainer.errors import RensheError
from trainer.language import say

__all__ = ["CSS", "build", "title"]


def title() -> str:
    """Return what the tab is called."""
    return say(zh="机器人", en="Bots")


def build(page: gr.Blocks, tab: gr.Tab, workshop: Workshop, jobs: Jobs, led: gr.State) -> None:
    """Build the tab; without the libraries of a bot, it says how to get them."""
    try:
        require_extra()
    except RensheError as error:
        fault = error.faults[0]
        gr.Markdown(f"### {fault.problem}\n\n```\n{fault.fix}\n```", elem_id="bots-no-extra")
        return
    from bot.studio.bots.desk import BotDesk
    from bot.studio.bots.page import build_bots

    build_bots(tab, BotDesk(workshop))
