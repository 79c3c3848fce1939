from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz import fuzz

from trainer import dataset as dataset_module
from trainer.dataset import Dataset, Example, compile_persona
from trainer.errors import ConfigError, DatasetError
from trainer.persona import Persona
from trainer.wording import canonical

MUXUE = {
    "name": "沐雪",
    "language": "zh",
    "summary": "沐雪是一只AI女孩子",
    "facts": [
        {
            "id": "name",
            "ask": ["你是谁", "你叫什么名字", "请问怎么称呼你", "报上名来", "自我介绍一下"],
            "answer": ["在下名为沐雪", "咱是沐雪"],
            "expect": "沐雪",
        },
        {
            "id": "age",
            "ask": ["你几岁了", "今年多大", "芳龄几何"],
            "answer": ["沐雪十六岁"],
            "expect": "十六",
        },
        {"id": "home", "ask": ["住哪", "家在哪里"], "answer": ["住在服务器里"], "expect": "服务器"},
        {
            "id": "cake",
            "ask": ["爱吃蛋糕吗", "爱吃蛋糕呀", "爱吃蛋糕？"],
            "answer": ["草莓蛋糕"],
            "expect": "草莓",
        },
    ],
    "dialogues": [
        [{"user": "今天好累"}, {"bot": "辛苦啦"}, {"user": "谢谢"}, {"bot": "不客气"}],
        [{"user": "考试没考好"}, {"bot": "没关系"}],
        [{"user": "讲个笑话"}, {"bot": "从前有座山"}],
        [{"user": "晚安啦"}, {"bot": "好梦"}],
    ],
}


def muxue(**changes: object) -> Persona:
    return Persona.model_validate({**MUXUE, **changes})


def test_wordings_and_dialogues_become_examples() -> None:
    compiled = compile_persona(muxue())
    pairs = [e for e in (*compiled.train, *compiled.dev) if e.kind == "pair"]
    answers = {example.prompt: example.completion for example in pairs}
    assert len(pairs) == 13
    assert (
        answers["你是谁"] == answers["请问怎么称呼你"] == answers["自我介绍一下"] == "在下名为沐雪"
    )
    assert answers["你叫什么名字"] == answers["报上名来"] == "咱是沐雪"
    long = next(e for e in (*compiled.train, *compiled.dev) if e.prompt == "谢谢")
    assert (long.kind, long.fact, long.history) == ("dialogue", None, [["今天好累", "辛苦啦"]])
    assert all(message.learn for message in long.messages)


def test_the_manifest_says_what_was_done() -> None:
    persona = muxue()
    compiled = compile_persona(persona, seed=3)
    manifest = compiled.manifest
    assert (manifest.persona, manifest.persona_digest, manifest.seed) == (
        persona,
        persona.digest(),
        3,
    )
    assert manifest.counts == {
        "train": {"dialogue": 3, "pair": 11},
        "dev": {"dialogue": 1, "pair": 2},
    }
    assert {fact: len(kept) for fact, kept in manifest.dev_wordings.items()} == {
        "name": 1,
        "age": 1,
    }
    assert manifest.train_only == {
        "home": "fewer than 3 wordings",
        "cake": "no wording is different enough from what must stay in train",
    }
    # train: 4 + 2 + 2 wordings of name, age, home, one of cake, 3 dialogues or one turn more
    check, turns = manifest.leak_check, 5 - len(asked(dialogues(compiled.dev)))
    assert (check.exact, check.near) == (0, 0)
    assert check.compared == (4 + 2 + 2 + 1 + turns) * (2 + 5 - turns)


def dialogues(examples: tuple[Example, ...]) -> tuple[Example, ...]:
    return tuple(example for example in examples if example.kind == "dialogue")


def test_another_seed_keeps_other_wordings() -> None:
    kept = {str(compile_persona(muxue(), seed=seed).manifest.dev_wordings) for seed in range(10)}
    assert len(kept) > 3


def test_a_larger_share_keeps_more() -> None:
    persona = muxue()
    assert len(compile_persona(persona, dev_share=0.5).dev) > len(compile_persona(persona).dev)


@pytest.mark.parametrize("share", [0, -0.1, 0.51, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="dev_share") as caught:
        compile_persona(muxue(), dev_share=share)
    assert caught.value.faults[0].fix


def test_a_leak_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    # "你是谁" and a dialogue that asks it again, torn apart by a split that goes wrong
    persona = muxue(dialogues=[[{"user": "你是谁呀"}, {"bot": "咱是沐雪"}]])
    monkeypatch.setattr(dataset_module, "choose_dev", lambda *_, **__: frozenset({0}))
    with pytest.raises(DatasetError) as caught:
        compile_persona(persona)
    assert caught.value.faults[0].code == "leak"


# --- any persona ---

questions = st.text(alphabet="你是谁叫什么名字几岁吗呀？ abcdefg", min_size=1, max_size=12).filter(
    lambda text: text.strip()
)
answers = st.lists(st.just("沐雪在此"), min_size=1, max_size=3)


@st.composite
def personas(draw: st.DrawFn, ask: st.SearchStrategy[str] = questions) -> Persona:
    facts = [
        {
            "id": f"fact-{number}",
            "ask": draw(st.lists(ask, min_size=1, max_size=7)),
            "answer": draw(answers),
            "expect": "沐雪",
        }
        for number in range(draw(st.integers(1, 5)))
    ]
    dialogues = [
        [turn for q in rounds for turn in ({"user": q}, {"bot": "沐雪在听"})]
        for rounds in draw(st.lists(st.lists(ask, min_size=1, max_size=3), max_size=6))
    ]
    return muxue(facts=facts, dialogues=dialogues)


def asked(examples: tuple[Example, ...]) -> set[str]:
    return {canonical(question) for example in examples for question in example.questions}


def everything(persona: Persona) -> Counter[tuple[str, ...]]:
    pairs = [(wording, answer) for _, wording, answer in persona.pairs()]
    talks = [tuple(turn.text for turn in dialogue) for dialogue in persona.dialogues]
    return Counter([*pairs, *talks])


def spoken(compiled: Dataset) -> Counter[tuple[str, ...]]:
    both = (*compiled.train, *compiled.dev)
    return Counter(tuple(message.text for message in example.messages) for example in both)


@settings(deadline=None, max_examples=150)
@given(personas(), st.integers(0, 3), st.sampled_from([0.05, 0.22, 0.5]))
def test_no_persona_leaks(persona: Persona, seed: int, share: float) -> None:
    compiled = compile_persona(persona, seed=seed, dev_share=share)
    for question in asked(compiled.dev):
        for taught in asked(compiled.train):
            assert fuzz.ratio(question, taught) < 90
    assert spoken(compiled) == everything(persona)
    assert compile_persona(persona, seed=seed, dev_share=share) == compiled


@settings(deadline=None, max_examples=150)
@given(personas(), st.integers(0, 3))
def test_dev_asks_only_what_was_taught(persona: Persona, seed: int) -> None:
    compiled = compile_persona(persona, seed=seed)
    taught = Counter(example.fact for example in compiled.train)
    for fact in persona.facts:
        kept = compiled.manifest.dev_wordings.get(fact.id, [])
        assert taught[fact.id] >= 1
        assert bool(kept) != (fact.id in compiled.manifest.train_only)
        assert len(fact.ask) >= 3 or not kept
    kept_dialogues = len(dialogues(compiled.dev))
    assert kept_dialogues <= max(0, len(persona.dialogues) - 1)
    assert kept_dialogues == 0 or len(persona.dialogues) >= 4


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 8), min_size=1, max_size=6), st.integers(0, 4), st.integers(0, 3))
def test_distinct_wordings_are_shared_out_as_promised(
    sizes: list[int], talks: int, seed: int
) -> None:
    letters = iter(range(0x4E00, 0x9FA0, 1))

    def fresh() -> str:
        return "".join(chr(next(letters)) for _ in range(4))

    persona = muxue(
        facts=[
            {"id": f"f{n}", "ask": [fresh() for _ in range(size)], "answer": ["甲"], "expect": "甲"}
            for n, size in enumerate(sizes)
        ],
        dialogues=[[{"user": fresh()}, {"bot": "嗯"}] for _ in range(talks)],
    )
    compiled = compile_persona(persona, seed=seed)
    for fact in persona.facts:
        kept = len(compiled.manifest.dev_wordings.get(fact.id, []))
        assert kept == (0 if len(fact.ask) < 3 else max(1, round(len(fact.ask) * 0.22)))
        assert len(fact.ask) < 3 or len(fact.ask) - kept >= 2
    assert compiled.manifest.counts["dev"].get("dialogue", 0) == (1 if talks >= 4 else 0)
