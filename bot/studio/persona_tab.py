"""The tab Persona."""

from __future__ import annotations

import gradio as gr

from bot.studio.jobs import Jobs
from bot.studio.workshop import Workshop
from trainer.language import say

CSS = ""


def title() -> str:
    """Return what the tab is called."""
    return say(zh="人设", en="Persona")


def build(page: gr.Blocks, tab: gr.Tab, workshop: Workshop, jobs: Jobs) -> None:
    """Build the tab."""
