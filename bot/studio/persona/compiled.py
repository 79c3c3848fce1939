"""What a persona is compiled to, by kind and by example, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.dataset import compile_persona, count_kinds
from trainer.example import Example
from trainer.language import say
from trainer.mix import mixed
from trainer.mix_settings import Mix
from trainer.persona import Persona

TEST = "dev"
"""The kind under which the questions stand that are kept for the test."""


@dataclass(frozen=True)
class Compiled:
    """The examples that a training of default settings would see.

    Attributes:
        examples: by kind, in the order of :func:`kinds`; :data:`TEST` is never taught.
        untested: for each fact that the test leaves out the reason, in English.
    """

    examples: dict[str, tuple[Example, ...]]
    untested: dict[str, str]

    @property
    def taught(self) -> int:
        """How many examples are taught."""
        return sum(len(rows) for kind, rows in self.examples.items() if kind != TEST)


def compiled(persona: Persona) -> Compiled:
    """Compile a persona as ``renshe train`` does by default.

    Raises:
        DatasetError: a question for the test was found among those that are taught.
    """
    dataset = compile_persona(persona)
    mix = mixed(dataset, Mix())
    found = {kind: _of(kind, mix.train) for kind in count_kinds(mix.train)}
    order = {kind: found[kind] for kind in kinds() if kind in found}
    test = {TEST: tuple(dataset.dev)} if dataset.dev else {}
    return Compiled({**order, **test}, dict(dataset.manifest.train_only))


def kinds() -> dict[str, str]:
    """Return what each kind of example is for."""
    return {
        "pair": say(zh="第一轮就问：问题和你写的回答", en="asked first thing: question and answer"),
        "depth": say(
            zh="聊了几轮别的再问，它还得是它", en="asked after other talk: it must still be itself"
        ),
        "recovery": say(
            zh="前面露了馅，接下来照样回到人设", en="after a reply that broke character: back to it"
        ),
        "wording": say(
            zh="换成你没写过的问法，回答还是你的", en="in words you did not write, your answer"
        ),
        "probe": say(
            zh="被追问是不是哪家的模型", en="asked whether it is not some company's model"
        ),
        "dialogue": say(zh="你写的整段对话", en="the conversations you wrote"),
        TEST: say(zh="只用来考试，不拿来训练", en="kept for the test and never taught"),
    }


def _of(kind: str, examples: Sequence[Example]) -> tuple[Example, ...]:
    return tuple(example for example in examples if example.kind == kind)
