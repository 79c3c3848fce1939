from pathlib import Path

import pytest

from bot.studio.chat.examples import MOST_ROUNDS, Example, Examples
from bot.studio.workshop import Workshop
from trainer.errors import RensheError
from trainer.persona import Persona, load_persona

TEXT = """# mine
name: Robin
language: en
summary: Robin is a friendly stranger.
facts:
  - {id: name, ask: [Who are you?], answer: [Robin.], expect: Robin}  # its name
"""


@pytest.fixture
def persona(workshop: Workshop) -> Persona:
    path = workshop.persona_file("robin")
    path.write_text(TEXT, encoding="utf-8")
    return load_persona(path)


@pytest.fixture
def examples(workshop: Workshop) -> Examples:
    return Examples(workshop, workshop.own / "examples.db")


def example(persona: Persona, **other: object) -> Example:
    fields = {
        "history": (("hi", "hello"),),
        "user": "How?",
        "wrong": "I am a model.",
        "right": "Well!",
    }
    return Example(persona=persona.name, digest=persona.digest(), **{**fields, **other})


def talks(path: Path) -> list[list[str]]:
    return [[turn.text for turn in talk] for talk in load_persona(path).dialogues]


def test_an_example_waits_over_a_restart_and_is_then_written(
    workshop: Workshop, examples: Examples, persona: Persona
) -> None:
    kept = examples.propose(example(persona))
    path = workshop.persona_file("robin")
    assert path.read_text("utf-8") == TEXT
    examples.close()
    again = Examples(workshop, workshop.own / "examples.db")
    assert again.waiting() == [kept]
    assert again.accept(kept.model_copy(update={"right": "Splendid!"})) == path
    assert talks(path) == [["hi", "hello", "How?", "Splendid!"]]
    assert path.read_text("utf-8").startswith(TEXT)
    assert again.waiting() == []


def test_a_persona_that_was_changed_since_is_found_by_its_name(
    workshop: Workshop, examples: Examples, persona: Persona
) -> None:
    path = workshop.persona_file("robin")
    path.rename(workshop.persona_file("other"))
    workshop.persona_file("other").write_text(TEXT.replace("friendly", "kind"), encoding="utf-8")
    assert examples.accept(examples.propose(example(persona))).stem == "other"


def test_of_two_with_one_name_the_trained_one_gets_it(
    workshop: Workshop, examples: Examples, persona: Persona
) -> None:
    workshop.persona_file("a").write_text(TEXT.replace("friendly", "kind"), encoding="utf-8")
    assert examples.accept(examples.propose(example(persona))).stem == "robin"
    other = example(persona).model_copy(update={"digest": "of none that is left"})
    with pytest.raises(RensheError, match=r"several personas.*a.yaml, robin.yaml"):
        examples.accept(examples.propose(other))


def test_without_its_persona_an_example_is_kept(
    workshop: Workshop, examples: Examples, persona: Persona
) -> None:
    kept = examples.propose(example(persona))
    workshop.persona_file("robin").unlink()
    with pytest.raises(RensheError, match="no persona file is called Robin") as error:
        examples.accept(kept)
    assert "kept" in error.value.faults[0].fix and examples.waiting() == [kept]


@pytest.mark.parametrize(
    ("wrong", "code"), [("\nage: 3\n", "example-broken"), ("\n  - [\n", "example-no-file")]
)
def test_with_a_broken_persona_an_example_is_kept(
    workshop: Workshop, examples: Examples, persona: Persona, wrong: str, code: str
) -> None:
    kept = examples.propose(example(persona))
    path = workshop.persona_file("robin")
    path.write_text(TEXT + wrong, encoding="utf-8")
    other = workshop.persona_file("zoe")
    other.write_text(TEXT.replace("Robin", "Zoe"), encoding="utf-8")
    with pytest.raises(RensheError) as error:
        examples.accept(kept)
    first, second = error.value.faults[:2]
    assert first.code == code and "kept" in str(first)
    assert second.path == path and second.line > 0
    assert path.read_text("utf-8") == TEXT + wrong and examples.waiting() == [kept]


def test_an_example_that_would_make_it_wrong_is_kept(
    workshop: Workshop, examples: Examples, persona: Persona
) -> None:
    kept = examples.propose(example(persona, right="x" * 3000))
    with pytest.raises(RensheError, match="nothing was written"):
        examples.accept(kept)
    assert workshop.persona_file("robin").read_text("utf-8") == TEXT
    assert examples.waiting() == [kept]


def test_what_was_decided_is_not_decided_again(
    workshop: Workshop, examples: Examples, persona: Persona
) -> None:
    first, second = (examples.propose(example(persona, user=user)) for user in ("one", "two"))
    examples.drop(first.id)
    examples.accept(second)
    for act in (examples.accept, examples.change):
        for gone in (first, second):
            with pytest.raises(RensheError, match="already"):
                act(gone)
    assert len(talks(workshop.persona_file("robin"))) == 1


def test_a_changed_example_keeps_its_place(examples: Examples, persona: Persona) -> None:
    first, second = (examples.propose(example(persona, user=user)) for user in ("one", "two"))
    changed = first.model_copy(update={"right": "Quite well!", "history": ()})
    examples.change(changed)
    assert examples.waiting() == [changed, second]


@pytest.mark.parametrize("field", ["right", "user"])
def test_nothing_is_no_example(examples: Examples, persona: Persona, field: str) -> None:
    with pytest.raises(RensheError, match="write what"):
        examples.propose(example(persona, **{field: " \n"}))
    assert examples.waiting() == []


@pytest.mark.parametrize(
    ("rounds", "learnt"), [(0, []), (1, ["b", "B"]), (9, ["a", "A", "b", "B"])]
)
def test_of_the_history_only_what_is_wanted_is_learnt(
    workshop: Workshop, examples: Examples, persona: Persona, rounds: int, learnt: list[str]
) -> None:
    history = (("a", "A"), ("b", "B"))
    kept = examples.propose(example(persona, history=history, rounds=rounds))
    examples.accept(kept)
    assert talks(workshop.persona_file("robin")) == [[*learnt, "How?", "Well!"]]


def test_a_long_history_is_cut_to_its_end(examples: Examples, persona: Persona) -> None:
    history = tuple((f"q{number}", f"a{number}") for number in range(20))
    kept = examples.propose(example(persona, history=history))
    assert kept.history == history[-MOST_ROUNDS:]
