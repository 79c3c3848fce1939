from dataclasses import replace
from pathlib import Path

import pytest
from rapidfuzz import fuzz

from trainer.dataset import compile_persona
from trainer.dataset_files import Dataset, read_dataset, write_dataset
from trainer.evaluate import taught
from trainer.mix import identity_probes, known_wordings, mixed
from trainer.mix_settings import Mix
from trainer.persona import load_persona
from trainer.talk import intents, leaked, running_talk, scraps
from trainer.wording import NEAR, canonical

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=["muxue", "dory"])
def dataset(request: pytest.FixtureRequest) -> Dataset:
    return compile_persona(load_persona(ROOT / "personas" / f"{request.param}.yaml"))


def test_every_wording_is_taught_in_every_pass_after_other_histories(dataset: Dataset) -> None:
    mix = Mix(passes=3, wordings=0, rephrased=0)
    result = mixed(dataset, mix)
    for pair in (example for example in dataset.train if example.kind == "pair"):
        again = [e for e in result.train if e.fact == pair.fact and e.prompt == pair.prompt]
        assert len(again) == 3 and {e.completion for e in again} == {pair.completion}
    histories = {example.messages[:-2] for example in result.train if example.kind == "depth"}
    assert len(histories) > 10
    assert result.dev == dataset.dev and result.manifest.mix == mix
    assert sum(result.manifest.counts["train"].values()) == len(result.train)
    assert {e.prompt for e in taught(result)} == {e.prompt for e in taught(dataset)}


def test_a_history_carries_no_loss_and_is_shared_by_several_questions(dataset: Dataset) -> None:
    result = mixed(dataset, Mix(passes=1, questions=4, alone=0, wordings=0))
    after = [e for e in result.train if e.kind in ("depth", "recovery")]
    assert after and all(not m.learn for e in after for m in e.messages[:-1] if m.role != "user")
    assert all(e.messages[-1].learn for e in after)
    groups = {example.messages[:-2] for example in after}
    assert len(groups) <= len(after) / 3


def test_shares_are_kept(dataset: Dataset) -> None:
    def kinds(**settings: float) -> set[str]:
        made = mixed(dataset, Mix(passes=2, wordings=0, probes=0, **settings))
        return {e.kind for e in made.train} - {"dialogue"}

    assert kinds(alone=1) == {"pair"}
    assert kinds(alone=0, leaked=0) == {"depth"}
    assert kinds(alone=0, leaked=1) == {"recovery"}


def test_wordings_are_rephrased_but_once_stand_as_written(dataset: Dataset) -> None:
    result = mixed(dataset, Mix(passes=4, wordings=0, probes=0, rephrased=1))
    pairs = {example.prompt for example in dataset.train if example.kind == "pair"}
    asked = [e.prompt for e in result.train if e.kind in ("pair", "depth", "recovery")]
    assert pairs <= set(asked)
    assert sum(question not in pairs for question in asked) > len(asked) / 3
    assert {e.prompt for e in taught(result)} == pairs
    check = result.manifest.leak_check
    assert check.exact == check.near == 0


def test_who_asks_for_the_model_is_told_who_it_is(dataset: Dataset) -> None:
    persona = dataset.manifest.persona
    pairs = [example for example in dataset.train if example.kind == "pair"]
    probes = identity_probes(persona, dataset.dev)
    assert len(probes) > 50 and {example.kind for example in probes} == {"probe"}
    own = [canonical(q) for fact in persona.facts for q in fact.ask]
    known = {w for i in intents(persona.language) if i.kind == "probe" for w in i.wordings}
    who = {answer for fact in persona.facts if fact.is_identity for answer in fact.answer}
    for example in probes:
        assert example.prompt in known and example.completion in who
        assert max(fuzz.ratio(canonical(example.prompt), q) for q in own) < NEAR
        assert not persona.leaked(example.completion)
    counts = mixed(dataset, Mix(passes=2, probes=0.2)).manifest.counts["train"]
    assert counts["probe"] == 2 * min(len(probes), round(0.2 * len(pairs)))
    nameless = persona.model_copy(
        update={"facts": tuple(f for f in persona.facts if not f.is_identity)}
    )
    assert identity_probes(nameless, dataset.dev) == []


def test_known_wordings_ask_what_was_asked_and_nothing_that_dev_asks(dataset: Dataset) -> None:
    pairs = [example for example in dataset.train if example.kind == "pair"]
    more = known_wordings(dataset.manifest.persona, pairs, dataset.dev)
    facts = {fact.id: fact for fact in dataset.manifest.persona.facts}
    assert len({example.fact for example in more}) > len(facts) / 3
    assert all(example.completion in facts[example.fact or ""].answer for example in more)
    asked = [canonical(q) for example in dataset.dev for q in example.questions]
    for example in more:
        assert max(fuzz.ratio(canonical(example.prompt), q) for q in asked) < NEAR
    check = mixed(dataset, Mix()).manifest.leak_check
    assert check.exact == check.near == 0 and check.compared > 0


def test_the_same_seed_gives_the_same_bytes(dataset: Dataset, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_dataset(mixed(dataset, Mix()), tmp_path / name)
    for file in ("train.json", "dev.json", "manifest.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    back = read_dataset(tmp_path / "one")
    assert back == mixed(dataset, Mix()) and back.manifest.mix == Mix()
    seeded = replace(dataset, manifest=dataset.manifest.model_copy(update={"seed": 1}))
    assert mixed(seeded, Mix()).train != back.train


@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_is_measured_with_was_not_trained_with(language: str) -> None:
    def texts(bank: str) -> list[str]:
        talk = [*scraps(language, bank), *([pair] for pair in leaked(language, bank))]  # type: ignore[arg-type]
        return [canonical(user) for scrap in talk for user, _ in scrap]

    train, test = texts("train"), texts("test")
    assert len(train) + len(test) >= 300 and len(test) >= 100
    assert len({*train, *test}) == len(train) + len(test)
    assert all(fuzz.ratio(one, other) < NEAR for one in test for other in train)
    assert len(intents(language)) >= 75  # type: ignore[arg-type]
    talk = running_talk(language, "test", 16, "seed")  # type: ignore[arg-type]
    assert len(talk) == 32 and not any(m.learn for m in talk[1::2])
    assert talk[:8] == running_talk(language, "test", 4, "seed")  # type: ignore[arg-type]
