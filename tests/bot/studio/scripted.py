"""Models whose words are written down, and runs that they pretend to be."""

import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bot.studio.chat.models import Models, Report, Voice
from bot.studio.chat.speakers import Speaker
from bot.studio.workshop import Workshop
from trainer.chat import Message
from trainer.checkpoint import CARD_FILE, PREFIX_FILE, Card, RunIndex, write_index
from trainer.config import TrainConfig
from trainer.persona import Persona
from trainer.sampling import Sampling

PERSONA = Persona.model_validate(
    {
        "name": "Robin",
        "language": "en",
        "summary": "Robin is a friendly stranger.",
        "facts": [{"id": "name", "ask": ["Who?"], "answer": ["Robin."], "expect": "Robin"}],
    }
)


def pretend(workshop: Workshop, run: str, persona: Persona = PERSONA) -> None:
    """Put a run there that can be read, though nothing could answer with it."""
    folder = workshop.run_folder(run) / "checkpoint-1"
    folder.mkdir(parents=True)
    (folder / PREFIX_FILE).write_bytes(b"a prefix")
    card = Card(
        base="smollm2",
        base_sha256="0" * 64,
        bits=8,
        chat_format="plain",
        pre_seq_len=4,
        depth=3,
        settings=TrainConfig(),
        persona=persona,
        dataset_sha256="0" * 64,
        step=1,
        dev_loss=None,
        versions={},
        prefix_sha256=hashlib.sha256(b"a prefix").hexdigest(),
    )
    (folder / CARD_FILE).write_text(card.model_dump_json(), encoding="utf-8")
    write_index(folder.parent, RunIndex(best=folder.name, last=folder.name))


class Scripted(Models):
    """Models without a model: what each says is written down, and what it heard noted.

    Args:
        workshop: whose runs they are.
        says: by run, or by kind and run (``base_a``); ``{}`` stands for what it heard.
    """

    def __init__(self, workshop: Workshop, **says: str | Exception) -> None:
        super().__init__(workshop)
        self.says = says
        self.heard: list[tuple[str, list[str], Sampling]] = []
        self.loaded: set[str] = set()
        self.persona_of_all = PERSONA
        self.before_word: Callable[[], None] = lambda: None

    def label(self, who: Speaker) -> str:
        return who.key

    def ready(self, who: Speaker) -> Voice | None:
        return self.voice(who) if who.run in self.loaded else None

    def load(self, who: Speaker, report: Report = lambda _stage, _done: None) -> Voice:
        says = self.says[who.run]
        report("loading the base", 0.4)
        time.sleep(0.25)
        if isinstance(says, Exception):
            raise says
        self.loaded.add(who.run)
        return self.voice(who)

    def voice(self, who: Speaker) -> Voice:
        def draw(messages: Sequence[Message], sampling: Sampling) -> Iterator[str]:
            self.heard.append((who.run, [message.text for message in messages], sampling))
            says = self.says.get(f"{who.kind}_{who.run}", self.says[who.run])
            words = str(says).format(messages[-1].text).split(" ")
            for end in range(1, len(words) + 1):
                self.before_word()
                if words[end - 1] == "BOOM":
                    raise ZeroDivisionError
                yield " ".join(words[:end])

        return Voice(self.persona_of_all, draw, tuned=who.kind == "tuned")


def main(folder: str, port: str) -> None:
    """Serve the tab Chat of a studio in which every run says a word each tenth of a second."""
    from unittest.mock import patch

    from bot.studio.app import css, studio_page
    from bot.studio.chat import tab as chat_tab
    from bot.studio.jobs import Jobs
    from bot.studio.page import theme
    from bot.studio.serve import Door, serve

    workshop = Workshop(Path(folder))
    models = Scripted(workshop, **dict.fromkeys(workshop.runs(), "well {} " + "and " * 80))
    models.loaded, models.before_word = set(models.says), lambda: time.sleep(0.1)
    with (
        patch.dict("bot.studio.app.TABS", {"chat": chat_tab}, clear=True),  # the others take time
        patch("bot.studio.chat.desk.Models", lambda _workshop: models),
    ):
        page = studio_page(workshop, Jobs(workshop))
    serve(page, Door(port=int(port)), theme=theme(), css=css())
    page.block_thread()


if __name__ == "__main__":
    main(*sys.argv[1:])
