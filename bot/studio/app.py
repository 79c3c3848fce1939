"""The studio: one page on which a persona is written, tuned, judged, talked to and put online.

Each tab is a module with one ``build``; what a tab does without a page stands in modules
of its own. They share the workshop (what there is) and the jobs (what is being made).

Handlers run in threads of Gradio's, where :func:`trainer.language.use` of another thread is
not heard: ``renshe studio`` sets the language in the environment, for them and for the
processes that train.
"""

from __future__ import annotations

from types import ModuleType

import gradio as gr

from bot.studio.bots import tab as bots_tab
from bot.studio.chat import tab as chat_tab
from bot.studio.evaluate import tab as evaluate_tab
from bot.studio.jobs import Jobs
from bot.studio.persona import tab as persona_tab
from bot.studio.train import tab as train_tab
from bot.studio.workshop import Workshop
from trainer.language import say

TABS: dict[str, ModuleType] = {
    "chat": chat_tab,
    "persona": persona_tab,
    "train": train_tab,
    "evaluate": evaluate_tab,
    "bots": bots_tab,
}


def studio_page(workshop: Workshop, jobs: Jobs) -> gr.Blocks:
    """Build the page, worded in the spoken language."""
    name = say(zh="人设工作室", en="Renshe Studio")
    page = gr.Blocks(title=name, analytics_enabled=False)
    with page:
        gr.HTML(_header(), elem_id="studio-header")
        led = gr.State({})  # by tab: the persona or run with which another tab led there
        with gr.Tabs(elem_id="studio-tabs"):
            for name, module in TABS.items():
                with gr.Tab(module.title(), id=name, elem_id=f"tab-{name}") as tab:
                    module.build(page, tab, workshop, jobs, led)
    return page


def css() -> str:
    """Return the style of the whole page: the shell's, then each tab's own."""
    return "\n".join([_CSS, *(module.CSS for module in TABS.values())])


def _header() -> str:
    name = say(zh="人设", en="Renshe")
    motto = say(zh="写下来，练出来，一直是它", en="Write it, tune it, and it stays itself")
    return f"<h1>{name}</h1><p>{motto}</p>"


_CSS = """
.gradio-container { width: 100%; max-width: 1180px !important; margin: 0 auto !important; }
#studio-header { padding: 0.4rem 0.2rem 0; border: 0; background: none; }
#studio-header h1 { display: inline-block; font-size: 1.5rem; margin: 0 0.8rem 0 0; }
#studio-header p { display: inline-block; margin: 0; opacity: 0.65; }
/* All five names fit a phone. */
@media (max-width: 480px) {
  #studio-tabs > .tab-wrapper button { padding-inline: 0.5rem; }
}
"""
