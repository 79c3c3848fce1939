import subprocess
import sys

import pytest

from trainer.chat import Message
from trainer.dataset_split import LeakCheck, choose_dev, cluster_questions, leak_check
from trainer.example import Example


def pair(question: str, fact: str = "f", answer: str = "答") -> Example:
    return Example((Message("user", question), Message("assistant", answer)), "pair", fact)


def dialogue(*questions: str) -> Example:
    turns = [(Message("user", question), Message("assistant", "嗯")) for question in questions]
    return Example(tuple(message for turn in turns for message in turn), "dialogue", None)


DISTINCT = ["你是谁", "怎么称呼", "报上姓名", "哪一位呀", "名字是啥", "自我介绍", "贵姓", "何人"]


def chosen(examples: list[Example], seed: int = 0, share: float = 0.22) -> list[str]:
    dev = choose_dev(examples, seed=seed, share=share)
    return [examples[index].prompt for index in sorted(dev)]


# --- clusters ---


def test_the_same_question_and_nearly_the_same_are_one_cluster() -> None:
    examples = [
        pair("你到底叫什么名字呢"),
        pair("今天天气好吗"),
        pair("你到底叫什么名字？！"),  # the same canonical text
        pair("你究竟到底叫什么名字"),  # 2 * 8 / 18 of the letters in common: 88.9
        pair("请问你到底叫什么名字啊，朋友"),
        pair("你到底叫什么名字你"),  # 2 * 8 / 17: 94.1
    ]
    assert cluster_questions(examples) == [(0, 2, 5), (1,), (3,), (4,)]


def test_a_dialogue_is_one_cluster_with_every_wording_it_holds() -> None:
    examples = [
        pair("你是谁"),
        pair("几岁", "age"),
        pair("住哪", "home"),
        dialogue("几岁？", "住哪"),
    ]
    assert cluster_questions(examples) == [(0,), (1, 2, 3)]


def test_questions_of_signs_only_are_alike() -> None:
    assert cluster_questions([pair("？？"), pair("……"), pair("几岁")]) == [(0, 1), (2,)]


# --- choice ---


@pytest.mark.parametrize(
    ("wordings", "kept"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 1), (6, 1), (7, 2), (8, 2)]
)
def test_how_many_wordings_are_kept(wordings: int, kept: int) -> None:
    assert len(chosen([pair(question) for question in DISTINCT[:wordings]])) == kept


@pytest.mark.parametrize(("dialogues", "kept"), [(3, 0), (4, 1), (8, 1)])
def test_how_many_dialogues_are_kept(dialogues: int, kept: int) -> None:
    assert len(chosen([dialogue(question) for question in DISTINCT[:dialogues]])) == kept


def test_the_seed_chooses_any_of_the_wordings() -> None:
    examples = [pair(question) for question in DISTINCT[:4]]
    assert {chosen(examples, seed)[0] for seed in range(40)} == set(DISTINCT[:4])


def test_another_fact_does_not_move_the_choice() -> None:
    examples = [pair(question) for question in DISTINCT[:5]]
    more = [pair(f"{word}好不好吃", "food") for word in ("苹果", "香蕉汤", "草莓大福")]
    kept = chosen(examples)
    assert [question for question in chosen([*more, *examples]) if question in DISTINCT] == kept


def test_an_answer_stays_taught_where_that_is_possible() -> None:
    answers = ["甲", "乙", "甲", "丙"]
    examples = [
        pair(question, "f", answer) for question, answer in zip(DISTINCT, answers, strict=False)
    ]
    for seed in range(20):
        assert chosen(examples, seed)[0] in (DISTINCT[0], DISTINCT[2])


def test_wordings_near_those_of_a_small_fact_stay_in_train() -> None:
    examples = [*map(pair, DISTINCT[:3]), pair(DISTINCT[0] + "？", "small")]
    for seed in range(20):
        assert chosen(examples, seed)[0] in DISTINCT[1:3]


def test_a_dialogue_takes_a_dev_wording_along_only_if_dialogues_can_be_spared() -> None:
    wordings = [pair(question) for question in DISTINCT[:3]]
    one = [*wordings, dialogue(DISTINCT[0]), dialogue(DISTINCT[1]), dialogue(DISTINCT[2])]
    assert chosen(one) == []
    some = [*one, dialogue("天气"), dialogue("晚安")]
    assert sorted(choose_dev(some, seed=0, share=0.22)) in ([0, 3], [1, 4], [2, 5])


def test_a_fact_of_two_clusters_keeps_the_smaller() -> None:
    examples = [
        pair(question) for question in ("你是谁", "你是谁呀", "你是谁？", "叫什么", "叫什么呢")
    ]
    assert chosen(examples) == ["叫什么", "叫什么呢"]


def test_a_fact_of_three_wordings_in_two_clusters_keeps_one_in_train() -> None:
    assert chosen([pair("你是谁"), pair("你是谁呀"), pair("叫什么")]) == ["叫什么"]


def test_nothing_is_kept_of_a_fact_whose_wordings_are_all_alike() -> None:
    assert chosen([pair("你是谁"), pair("你是谁呀"), pair("你是谁？")]) == []


# --- leaks ---


def test_leak_check_finds_what_is_there() -> None:
    train = [pair("你到底叫什么名字"), dialogue("早安", "几岁")]
    dev = [pair("你到底叫什么名字你"), pair("几岁呀"), pair("几岁呢"), pair("住哪")]
    assert leak_check(train, dev) == LeakCheck(exact=1, near=1, compared=9)


def test_leak_check_looks_at_every_turn_of_a_dialogue() -> None:
    assert leak_check([pair("早安")], [dialogue("早安", "晚上吃什么")]).exact == 1


def test_leak_check_of_nothing() -> None:
    assert leak_check([], [pair("早安")]) == LeakCheck(0, 0, 0)


def test_splitting_needs_no_torch() -> None:
    code = "import sys, trainer.dataset; assert not {'torch', 'transformers'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
