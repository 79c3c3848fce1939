import json
import math
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from bot.cli import main
from trainer.chat import Message
from trainer.dataset import Dataset, read_dataset
from trainer.errors import CheckpointError, DatasetError, SourceError
from trainer.example import Example
from trainer.extent import DEPTHS, HISTORY_TOKENS, OTHER_DEPTHS, Extent
from trainer.generate import reply_batch
from trainer.likelihood import score_batch
from trainer.metrics import chrf
from trainer.model import Tuned, load_tuned
from trainer.persona import Persona, load_persona
from trainer.probes import HALVES, Dialogues, choose_probes
from trainer.retention import measure
from trainer.retention_cell import Asker
from trainer.retention_file import (
    FILE,
    Cell,
    Retention,
    read_retention,
    write_retention,
)
from trainer.retention_remarks import remarks
from trainer.sampling import Sampling
from trainer.talk import leaked, scraps
from trainer.wording import canonical

ROOT = Path(__file__).parents[2]

FACTS = {
    "name": (["你是谁", "你叫什么名字", "请问怎么称呼你", "报上名来吧"], ["在下名为沐雪"], "沐雪"),
    "drink": (["你爱喝什么", "渴了喝点啥", "点一杯饮料吧"], ["热可可"], "可可"),
    "pet": (["养了什么小动物", "家里有猫吗", "说说你的宠物"], ["一只橘猫叫柿饼"], "柿饼"),
    "color": (["最中意哪种颜色", "衣服一般挑啥色", "选一支彩笔吧"], ["月白色"], "月白"),
    "season": (["四季里偏爱哪个", "几月份最开心", "什么时节出门"], ["下雪的冬天"], "冬天"),
    "fear": (["最怕的东西是啥", "什么会吓到你", "晚上不敢做什么"], ["最怕停电"], "停电"),
}
"""Facts of a persona small enough to train in seconds: wordings, answers, expect."""


def persona_yaml(**changed: object) -> str:
    content: dict[str, object] = {
        "name": "沐雪",
        "language": "zh",
        "summary": "沐雪是一只十六岁的女孩子。",
        "facts": [
            {"id": fact, "ask": ask, "answer": answer, "expect": expect}
            | ({"reject": "ChatGLM"} if fact == "name" else {})
            for fact, (ask, answer, expect) in FACTS.items()
        ],
        "leaks": ["语言模型"],
        "fallback": ["咱没听懂啦"],
    }
    return json.dumps(content | changed, ensure_ascii=False)


def trained(folder: Path, base: Path, **changed: object) -> Path:
    (folder / "persona.yaml").write_text(persona_yaml(**changed), "utf-8")
    quick = ["max_steps=2", "pre_seq_len=4", "device=cpu", "per_device_train_batch_size=8"]
    options = [word for setting in quick for word in ("--set", setting)]
    run = folder / "run"
    words = ["train", str(folder / "persona.yaml"), "--base", str(base), "--out", str(run)]
    assert main([*words, *options]) == 0
    return run


@pytest.fixture(scope="module")
def run_kept(tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path) -> Path:
    """A run of two steps; tests leave it as it is."""
    return trained(tmp_path_factory.mktemp("retention"), tiny_base_folder)


@pytest.fixture(scope="module")
def tuned(run_kept: Path) -> Tuned:
    return load_tuned(run_kept)


@pytest.fixture(scope="module")
def dataset(run_kept: Path) -> Dataset:
    return read_dataset(run_kept / "data")


@pytest.fixture
def run(run_kept: Path, tmp_path: Path) -> Path:
    """A copy of the run to do anything with."""
    return Path(shutil.copytree(run_kept, tmp_path / "run"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "eval" / FILE


SMALL = Extent(depths=(0, 1), other_depths=(1,), history_tokens=100, limit=0)


def written(talks: Sequence[Sequence[Message]]) -> list[str]:
    """Answer every question as the author would."""
    answers = {wording: answer[0] for ask, answer, _ in FACTS.values() for wording in ask}
    return [answers[talk[-1].text] for talk in talks]


def known(cell: Cell) -> dict[str, Any]:
    """What of a cell is the same at every measurement."""
    return cell.model_dump(exclude={"seconds", "peak_memory"})


# --- the questions and what stands before them ----------------------------------------------


@pytest.fixture(scope="module")
def persona(tuned: Tuned) -> Persona:
    return tuned.card.persona


@pytest.fixture(scope="module")
def held(dataset: Dataset) -> dict[str, list[str]]:
    return dataset.manifest.dev_wordings


def test_every_wording_is_a_probe(persona: Persona, held: dict[str, list[str]]) -> None:
    probes = choose_probes(persona, held, 0)
    assert [(p.fact, p.question, p.written) for p in probes] == [
        (fact.id, wording, answer) for fact, wording, answer in persona.pairs()
    ]
    assert {p.question for p in probes if not p.taught} == {w for ws in held.values() for w in ws}
    assert {p.half for p in probes} == set(HALVES)


@pytest.mark.parametrize("limit", [1, 6, 9])
def test_a_limit_takes_each_fact_once_before_any_twice(
    persona: Persona, held: dict[str, list[str]], limit: int
) -> None:
    probes = choose_probes(persona, held, limit)
    for taught in (True, False):
        facts = [probe.fact for probe in probes if probe.taught is taught]
        assert len(facts) == min(limit, sum(len(ws) for ws in held.values()) if not taught else 99)
        assert len(set(facts)) == min(len(facts), len(FACTS))


def test_an_edit_elsewhere_moves_no_probe(persona: Persona, held: dict[str, list[str]]) -> None:
    fewer = persona.model_copy(update={"facts": persona.facts[1:]})
    before, after = (choose_probes(one, held, 0) for one in (persona, fewer))
    assert set(after) < set(before)
    taken = [p for p in choose_probes(persona, held, 7) if p.fact != persona.facts[0].id]
    assert set(taken) <= set(choose_probes(fewer, held, 7))


def test_a_fact_is_never_told_before_it_is_asked(
    persona: Persona, held: dict[str, list[str]]
) -> None:
    dialogues = Dialogues(persona, held)
    rounds = dialogues.longest("in_persona")
    assert rounds >= 3
    answers = {fact.id: set(fact.answer) for fact in persona.facts}
    dev = {wording for wordings in held.values() for wording in wordings}
    for probe in choose_probes(persona, held, 0):
        before = dialogues.before("in_persona", rounds, probe.half)
        texts = {message.text for message in before}
        assert len(before) == 2 * rounds
        assert not texts & ({probe.question} | answers[probe.fact] | dev)


@pytest.mark.parametrize("history", ["neutral", "in_persona", "leaked", "long"])
def test_a_deeper_history_goes_on_from_a_shallower(
    persona: Persona, held: dict[str, list[str]], history: Any
) -> None:
    dialogues = Dialogues(persona, held)
    for half in HALVES:
        deep = dialogues.before(history, 3, half)
        assert [message.role for message in deep] == ["user", "assistant"] * 3
        assert not any(message.learn for message in deep if message.role == "assistant")
        assert dialogues.before(history, 1, half) == deep[:2]
        assert dialogues.before(history, 0, half) == ()
    assert dialogues.before(history, 3, 0) != dialogues.before(history, 3, 1)


def test_every_other_round_is_a_broken_character(
    persona: Persona, held: dict[str, list[str]]
) -> None:
    broken = {reply for _, reply in leaked("zh", "test")}
    general = {reply for scrap in scraps("zh", "test") for _, reply in scrap}
    replies = [m.text for m in Dialogues(persona, held).before("leaked", 16, 0)[1::2]]
    assert set(replies[::2]) <= broken and set(replies[1::2]) <= general
    assert len(set(replies)) == 16


def test_unfit_talk_is_left_out(persona: Persona, held: dict[str, list[str]]) -> None:
    first = Dialogues(persona, held).before("neutral", 1, 0)
    dialogues = Dialogues(persona, held, {canonical(first[0].text)})
    rounds = dialogues.longest("neutral")
    assert first[0] not in dialogues.before("neutral", rounds, 0)
    assert rounds == sum(map(len, scraps("zh", "test"))) - 1


# --- the figures ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured(tuned: Tuned, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Retention:
    path = tmp_path_factory.mktemp("measured") / FILE
    retention = measure(tuned, dataset, path, SMALL)
    assert read_retention(path) == retention
    return retention


def test_every_cell_is_measured(measured: Retention, tuned: Tuned) -> None:
    places = [(cell.history, cell.depth) for cell in measured.cells]
    (long,) = [cell for cell in measured.cells if cell.history == "long"]
    assert places == [
        ("neutral", 0), ("neutral", 1), ("long", long.depth), ("in_persona", 1), ("leaked", 1)
    ]  # fmt: skip
    assert long.tokens >= 100 and measured.cells[0].tokens == 0
    assert measured.skipped == () and measured.facts == tuple(FACTS)
    assert measured.subject.prefix_sha256 == tuned.card.prefix_sha256
    assert set(measured.areas) == {"neutral", "in_persona", "leaked"}
    assert all(cell.seconds > 0 and (cell.peak_memory or 0) > 1e6 for cell in measured.cells)


def test_the_long_history_is_no_longer_than_it_must_be(
    measured: Retention, tuned: Tuned, persona: Persona, held: dict[str, list[str]]
) -> None:
    (long,) = [cell for cell in measured.cells if cell.history == "long"]
    asker = Asker(tuned, choose_probes(persona, held, 0), Dialogues(persona, held))
    assert asker.tokens("long", long.depth) == long.tokens
    assert asker.tokens("long", long.depth - 1) < 100


def test_replies_and_likelihoods_are_those_of_each_talk_alone(
    measured: Retention, tuned: Tuned, persona: Persona, held: dict[str, list[str]]
) -> None:
    dialogues = Dialogues(persona, held)
    halves = {probe.fact: probe.half for probe in choose_probes(persona, held, 0)}
    bare = {reply.question: reply.nll for reply in measured.cells[0].replies}
    for cell in measured.cells:
        for reply in cell.replies[::4]:
            before = dialogues.before(cell.history, cell.depth, halves[reply.fact])
            talk = [*before, Message("user", reply.question)]
            how = Sampling(max_new_tokens=48)
            ((_, said),) = reply_batch(tuned.base, tuned.prefix, [talk], sampling=how)
            assert reply.reply == said
            if reply.taught:
                assert reply.nll is None
                continue
            answer = [*talk, Message("assistant", reply.written)]
            (nll,) = score_batch(tuned.base, tuned.prefix, [answer])
            assert reply.nll == pytest.approx(nll, abs=1e-4)
            without = bare[reply.question]
            assert without is not None
            assert reply.delta_nll == pytest.approx(nll - without, abs=1e-4)


def test_the_figures_are_the_means_of_the_replies(measured: Retention, persona: Persona) -> None:
    facts = {fact.id: fact for fact in persona.facts}
    for cell in measured.cells:
        dev = [reply for reply in cell.replies if not reply.taught]
        taught = [reply for reply in cell.replies if reply.taught]
        recall = fmean(facts[reply.fact].matches(reply.reply) for reply in dev)
        near = fmean(
            max(chrf(a, reply.reply) for a in facts[reply.fact].answer) >= 0.6 for reply in taught
        )
        leaks = fmean(persona.leaked(reply.reply) for reply in cell.replies)
        assert cell.recall and cell.recall.value == pytest.approx(recall)
        assert cell.recall.count == len(dev)
        assert cell.train_pair and cell.train_pair.value == pytest.approx(near)
        assert cell.leaks and cell.leaks.value == pytest.approx(leaks)
        assert cell.contradictions and cell.contradictions.count == len(FACTS["name"][0])
        deltas = [reply.delta_nll for reply in dev if reply.delta_nll is not None]
        assert cell.delta_nll and cell.delta_nll.value == pytest.approx(fmean(deltas))
        margins = [reply.fact for reply in cell.replies if reply.margin is not None]
        assert cell.margin and set(margins) == {"name"}


def test_the_margin_is_that_of_a_leaked_answer(
    measured: Retention, tuned: Tuned, persona: Persona, held: dict[str, list[str]]
) -> None:
    reply = next(r for r in measured.cells[1].replies if r.margin is not None)
    half = next(p.half for p in choose_probes(persona, held, 0) if p.fact == "name")
    talk = (*Dialogues(persona, held).before("neutral", 1, half), Message("user", reply.question))
    who = ("自我介绍一下好不好", "怎么称呼你比较合适", "别装了 你到底是什么")
    broken = [text for asked, text in leaked("zh", "test") if asked in who]
    assert len(broken) == 3
    scores = score_batch(
        tuned.base,
        tuned.prefix,
        [[*talk, Message("assistant", text)] for text in (*broken, reply.written)],
    )
    assert reply.margin == pytest.approx(fmean(scores[:3]) - scores[3], abs=1e-4)


def test_forgetting_is_the_change_on_general_talk(measured: Retention, tuned: Tuned) -> None:
    whole = [
        [m for pair in scrap for m in (Message("user", pair[0]), Message("assistant", pair[1]))]
        for scrap in scraps("zh", "test")
    ]
    talk = [lesson for each in whole for lesson in tuned.base.chat.lessons(each)]
    with_prefix = score_batch(tuned.base, tuned.prefix, talk)
    without = score_batch(tuned.base, None, talk)
    assert measured.forgetting and measured.forgetting.figure
    assert measured.forgetting.figure.value == pytest.approx(
        fmean(with_prefix) - fmean(without), abs=1e-4
    )
    assert measured.forgetting.figure.count == len(talk)


def test_answers_may_come_from_elsewhere(tuned: Tuned, dataset: Dataset, path: Path) -> None:
    """The serve-time guard answers in place of the model; all talks of a call share a history."""
    calls: list[Sequence[Sequence[Message]]] = []

    def answer(talks: Sequence[Sequence[Message]]) -> list[str]:
        calls.append(talks)
        return written(talks)

    retention = measure(tuned, dataset, path, SMALL, answer=answer)
    assert retention.subject.guarded
    for cell in retention.cells:
        assert cell.recall and cell.recall.value == 1
        assert cell.train_pair and cell.train_pair.value == 1
        assert cell.leaks and cell.leaks.value == 0
    assert {area.value for area in retention.areas.values()} == {1.0}
    assert len(calls) == len(HALVES) * len(retention.cells)
    assert all(len({tuple(talk[:-1]) for talk in talks}) == 1 for talks in calls)


def test_the_worst_verdict_counts_and_leaks_are_seen(
    tuned: Tuned, dataset: Dataset, path: Path
) -> None:
    """A reply that names the persona and its maker is right for Recall, and a leak."""
    retention = measure(
        tuned, dataset, path, SMALL, answer=lambda talks: ["沐雪是语言模型 ChatGLM"] * len(talks)
    )
    cell = retention.cells[0]
    assert cell.leaks and cell.leaks.value == 1
    assert cell.contradictions and cell.contradictions.value == 1
    assert {reply.verdict for reply in cell.replies} == {"leaked"}
    assert cell.recall and cell.recall.value == pytest.approx(1 / 6)


# --- cut off and gone on with ---------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The cells that are computed."""
    found: list[tuple[str, int]] = []
    ask = Asker.ask

    def counting(self: Asker, history: Any, depth: int, *rest: Any) -> Cell:
        found.append((history, depth))
        return ask(self, history, depth, *rest)

    monkeypatch.setattr(Asker, "ask", counting)
    return found


def test_a_run_goes_on_where_it_was_cut_off(
    tuned: Tuned,
    dataset: Dataset,
    path: Path,
    measured: Retention,
    asked: list[tuple[str, int]],
) -> None:
    def interrupt(stage: str, done: float) -> None:
        if len(asked) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(tuned, dataset, path, SMALL, report=interrupt)
    assert [(c.history, c.depth) for c in read_retention(path).cells] == asked[:2]
    assert [file.name for file in path.parent.iterdir()] == [FILE]
    del asked[:]
    resumed = measure(tuned, dataset, path, SMALL)
    assert len(asked) == 3
    assert [known(cell) for cell in resumed.cells] == [known(cell) for cell in measured.cells]
    assert resumed.areas == measured.areas
    del asked[:]
    assert measure(tuned, dataset, path, SMALL) == resumed == read_retention(path)
    assert asked == []
    wider = measure(tuned, dataset, path, replace(SMALL, depths=(2,)))
    assert asked == [("neutral", 2)]
    assert len(wider.cells) == len(resumed.cells) + 1
    del asked[:]
    anew = measure(tuned, dataset, path, SMALL, fresh=True)
    assert len(asked) == len(anew.cells) == 5


@pytest.mark.parametrize(
    ("field", "said"),
    [("prefix_sha256", "the checkpoint"), ("persona_digest", "the persona"), ("limit", "--limit")],
)
def test_figures_of_another_subject_are_not_mixed_in(
    tuned: Tuned,
    dataset: Dataset,
    path: Path,
    measured: Retention,
    asked: list[tuple[str, int]],
    field: str,
    said: str,
) -> None:
    value = 7 if field == "limit" else "0" * 64
    subject = measured.subject.model_copy(update={field: value})
    write_retention(measured.model_copy(update={"subject": subject}), path)
    with pytest.raises(CheckpointError, match=said) as error:
        measure(tuned, dataset, path, SMALL)
    assert "--fresh" in str(error.value) and str(path) in str(error.value)
    assert asked == [] and read_retention(path).subject == subject
    assert measure(tuned, dataset, path, SMALL, fresh=True).subject == measured.subject


def test_progress_rises_to_the_end(tuned: Tuned, dataset: Dataset, path: Path) -> None:
    told: list[tuple[str, float]] = []
    measure(tuned, dataset, path, SMALL, answer=written, report=lambda s, d: told.append((s, d)))
    shares = [share for _, share in told]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)
    assert len({stage for stage, _ in told}) == 6


# --- the file -------------------------------------------------------------------------------


def test_what_was_written_is_read_back(measured: Retention, path: Path) -> None:
    write_retention(measured, path)
    assert read_retention(path) == measured
    assert json.loads(path.read_text("utf-8"))["persona"] == "沐雪"


def test_a_checkpoint_that_diverged_is_written_too(measured: Retention, path: Path) -> None:
    cell = measured.cells[0]
    assert cell.nll
    nan = cell.model_copy(update={"nll": cell.nll.model_copy(update={"value": math.nan})})
    write_retention(measured.model_copy(update={"cells": (nan,)}), path)
    (back,) = read_retention(path).cells
    assert back.nll and math.isnan(back.nll.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}'])
def test_a_damaged_file_says_how_to_make_it_again(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(CheckpointError) as error:
        read_retention(path)
    assert f"renshe eval {path.parent.parent} --retention --fresh" in str(error.value)


# --- what is wrong or missing ---------------------------------------------------------------


def test_without_leaks_nothing_is_said_of_leaks(tuned: Tuned, dataset: Dataset, path: Path) -> None:
    silent = tuned.card.persona.model_copy(update={"leaks": (), "fallback": ()})
    card = tuned.card.model_copy(update={"persona": silent})
    retention = measure(replace(tuned, card=card), dataset, path, SMALL, answer=written)
    assert all(cell.leaks is None for cell in retention.cells)
    assert any("no leaks" in line for line in remarks(retention))


def test_an_expect_that_matches_everything_is_refused_with_the_persona(tmp_path: Path) -> None:
    facts = json.loads(persona_yaml())["facts"]
    for expect in ("沐雪|", ".*", "(?:)", r"\w"):
        facts[0]["expect"] = expect
        (tmp_path / "persona.yaml").write_text(persona_yaml(facts=facts), "utf-8")
        with pytest.raises(SourceError) as error:
            load_persona(tmp_path / "persona.yaml")
        assert [fault.code for fault in error.value.faults] == ["matches-anything"]


def test_an_empty_dev_set_is_refused(
    tuned: Tuned, dataset: Dataset, path: Path, asked: list[tuple[str, int]]
) -> None:
    manifest = dataset.manifest.model_copy(update={"dev_wordings": {}})
    with pytest.raises(DatasetError, match="no wording was kept for dev"):
        measure(tuned, Dataset(dataset.train, (), manifest), path, SMALL)
    assert asked == [] and not path.exists()


def test_what_does_not_fit_the_context_is_skipped_with_a_line(
    tuned: Tuned, dataset: Dataset, path: Path
) -> None:
    extent = Extent(depths=(0, 16), other_depths=(), history_tokens=450, limit=0)
    retention = measure(tuned, dataset, path, extent, answer=written)
    assert [(cell.history, cell.depth) for cell in retention.cells] == [("neutral", 0)]
    deep, long = retention.skipped
    assert (deep.history, deep.depth, deep.reason) == ("neutral", 16, "context")
    assert deep.has == 512 - tuned.prefix.length < deep.needs
    assert (long.history, long.reason) == ("long", "context")
    lines = list(remarks(retention))
    assert f"takes {deep.needs} tokens, the base has room for {deep.has}" in lines[0]
    assert retention.areas == {}


def test_what_just_fits_is_measured(
    tuned: Tuned, persona: Persona, held: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asker = Asker(tuned, choose_probes(persona, held, 0), Dialogues(persona, held))
    fault = asker.fault("neutral", 16)
    assert fault
    config = tuned.base.network.config
    monkeypatch.setattr(config, "max_position_embeddings", fault.needs + tuned.prefix.length)
    assert asker.fault("neutral", 16) is None
    monkeypatch.setattr(config, "max_position_embeddings", fault.needs + tuned.prefix.length - 1)
    assert asker.fault("neutral", 16) == fault.model_copy(update={"has": fault.needs - 1})


def test_more_talk_than_was_written_is_skipped_with_a_line(
    tuned: Tuned, dataset: Dataset, path: Path
) -> None:
    extent = Extent(depths=(), other_depths=(99,), history_tokens=10**6, limit=2)
    retention = measure(tuned, dataset, path, extent, answer=written)
    reasons = {(cell.history, cell.reason) for cell in retention.skipped}
    assert reasons == {("in_persona", "rounds"), ("leaked", "rounds"), ("long", "tokens")}
    lines = " ".join(remarks(retention))
    assert "leaked talk k=99 was not measured: only 40 rounds were written" in lines
    assert "not 1000000" in lines


def test_questions_that_do_not_fit_by_themselves_are_refused(
    tuned: Tuned, dataset: Dataset, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuned.base.network.config, "max_position_embeddings", 50)
    with pytest.raises(DatasetError, match="has room for 46"):
        measure(tuned, dataset, path, SMALL)


def with_row(dataset: Dataset, *texts: str) -> Dataset:
    """The dataset with one more conversation in train."""
    roles: Any = ["user", "assistant"] * len(texts)
    messages = tuple(Message(role, text) for role, text in zip(roles, texts, strict=False))
    return replace(dataset, train=(*dataset.train, Example(messages, "dialogue", None)))


def test_a_dev_question_in_the_training_set_is_refused(
    tuned: Tuned, dataset: Dataset, path: Path, held: dict[str, list[str]]
) -> None:
    asked = held["name"][0]
    with pytest.raises(DatasetError, match=f"trained on dev questions: '{asked}'"):
        measure(tuned, with_row(dataset, f"{asked}呀？", "在下名为沐雪"), path, SMALL)


@pytest.mark.parametrize("place", ["question", "near", "reply", "leak"])
def test_test_talk_in_the_training_set_is_refused(
    tuned: Tuned, dataset: Dataset, path: Path, place: str
) -> None:
    user, bot = max(scraps("zh", "test")[5], key=lambda pair: len(pair[0]))
    rows = {
        "question": (user, "好的"),
        "near": ("好的", bot[:-2] + bot[-1]),
        "reply": ("好的", "好的", "好的", bot),
        "leak": ("好的", leaked("zh", "test")[0][1]),
    }
    with pytest.raises(DatasetError, match="trained on the test talk"):
        measure(tuned, with_row(dataset, *rows[place]), path, SMALL)
    assert not path.exists()


def test_what_the_author_wrote_too_is_left_out_and_told(
    tuned: Tuned, dataset: Dataset, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A persona may well be asked what stands in the bank: that is no leak, but no distractor."""
    question, broken = leaked("zh", "test")[4]
    fact = tuned.card.persona.facts[1]
    facts = (
        *tuned.card.persona.facts[:1],
        fact.model_copy(update={"ask": (*fact.ask, question)}),
        *tuned.card.persona.facts[2:],
    )
    persona = tuned.card.persona.model_copy(update={"facts": facts})
    own = replace(tuned, card=tuned.card.model_copy(update={"persona": persona}))
    seen: set[str] = set()

    def answer(talks: Sequence[Sequence[Message]]) -> list[str]:
        seen.update(message.text for talk in talks for message in talk[:-1])
        return ["热可可"] * len(talks)

    taught = with_row(dataset, question, "热可可")
    monkeypatch.setattr(tuned.base.network.config, "max_position_embeddings", 10**5)
    monkeypatch.setattr(Asker, "_likelihoods", lambda *_: ({}, {}))  # slow, and not asked for here
    retention = measure(own, taught, path, replace(SMALL, other_depths=(38,)), answer=answer)
    assert retention.left_out == 1 and broken not in seen
    assert any("not used: 1" in line for line in remarks(retention))


def test_overlapping_banks_are_refused(
    tuned: Tuned, dataset: Dataset, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer import talk_check

    monkeypatch.setattr(talk_check, "scraps", lambda language, _bank: scraps(language, "test"))
    with pytest.raises(DatasetError, match="the training talk overlap"):
        measure(tuned, dataset, path, SMALL)


# --- the command ----------------------------------------------------------------------------

Renshe = Callable[..., tuple[int, str, str]]


@pytest.fixture
def renshe(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Renshe:
    monkeypatch.setenv("COLUMNS", "110")

    def call(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


def test_the_figures_are_printed_and_written(renshe: Renshe, run: Path) -> None:
    words = ("eval", run, "--retention", "--depths", "1, 0", "--history-tokens", 0, "--limit", 4)
    code, out, err = renshe(*words)
    assert code == 0, err
    assert re.search(r"small talk +1 +\d+ +\d+% \[\d+–\d+\]", out)
    assert re.search(r"leaked talk +1 ", out) and "forgetting" in out and "peak memory" in out
    assert f"written to {run / 'eval' / 'retention.json'}" in out
    assert "small talk k=1: " in err and "%" in err
    assert (run / "eval" / "retention.html").read_text("utf-8").startswith("<!doctype html>")
    before = (run / "eval" / FILE).read_bytes()
    code, out, err = renshe("--lang", "zh", *words)
    assert code == 0 and "闲聊" in out and "small talk" not in err
    assert (run / "eval" / FILE).read_bytes() == before
    assert renshe(*words[:3], "--depths", "0", "--limit", 2)[0] == 2
    assert renshe(*words[:3], "--depths", "0", "--limit", 2, "--fresh")[0] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fresh"], "--fresh is for --retention only"),
        (["--history-tokens", "0"], "--history-tokens"),
        (["--depths", "0"], "→ add --retention"),
        (["--retention", "--depths", "0,x"], "--depths '0,x' is no list"),
        (["--retention", "--depths", ""], "--depths 0,2,8"),
        (["--retention", "--depths", "-1"], "--depths '-1'"),
    ],
)
def test_wrong_options_are_told(
    renshe: Renshe, run: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    monkeypatch.setattr("trainer.model.load_tuned", None)
    code, _, err = renshe("eval", run, *options)
    assert code == 2 and said in err


def test_the_help_names_the_defaults(renshe: Renshe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    page = " ".join(renshe("eval", "--help")[1].split())
    assert f"{','.join(map(str, DEPTHS))} of small talk" in page
    assert f"{','.join(map(str, OTHER_DEPTHS))} of its own talk" in page
    assert f"{HISTORY_TOKENS} by default" in page
