import io
from dataclasses import replace
from pathlib import Path

import pytest

from bot.cli import main
from bot.harvest import Correction, add_dialogues, corrections
from bot.testing import ScriptedEngine, talking
from trainer.errors import SourceError
from trainer.persona import load_persona

ROOT = Path(__file__).parents[2]
BASE = """# mine
name: Robin
language: en
summary: Robin is a friendly stranger.
facts:
  - {id: name, ask: [Who are you?], answer: [Robin.], expect: Robin}
"""
WITH = """dialogues:
    # a first one
    - - user: hello
      - bot: |
          Hello

          you.

# about leaks
leaks: [language model]
"""
NEW = Correction("k", "robin", 'How "are" you: #1?', "wrong", "Fine: thanks\nand you? 🙂")


def texts(path: Path) -> list[list[str]]:
    return [[turn.text for turn in talk] for talk in load_persona(path).dialogues]


@pytest.mark.parametrize("rest", ["", WITH, WITH.rstrip().partition("\n\n#")[0]])
def test_lines_are_added_and_nothing_else_changes(tmp_path: Path, rest: str) -> None:
    path = tmp_path / "robin.yaml"
    path.write_text(BASE + rest, encoding="utf-8")
    before = texts(path)
    for number in (1, 2):
        add_dialogues(path, [NEW])
        assert texts(path) == [*before, *[[NEW.user, NEW.bot]] * number]
    kept = path.read_text("utf-8").splitlines()
    old = (BASE + rest).splitlines()
    assert [line for line in kept if line in old] == [line for line in old if line in kept]
    assert set(old) <= set(kept)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["muxue.yaml", "dory.yaml"])
def test_it_fits_into_the_shipped_personas(tmp_path: Path, name: str) -> None:
    source = ROOT / "personas" / name
    if not source.exists():
        pytest.skip(f"no {name}")
    path = tmp_path / name
    path.write_bytes(source.read_bytes())
    add_dialogues(path, [NEW])
    assert texts(path) == [*texts(source), [NEW.user, NEW.bot]]


def test_the_rounds_that_led_there_are_written_before_it(tmp_path: Path) -> None:
    path = tmp_path / "robin.yaml"
    path.write_text(BASE + WITH, encoding="utf-8")
    before = texts(path)
    long = replace(NEW, history=(("first: #", "yes"), ("second", "- no\n")))
    add_dialogues(path, [long, NEW])
    talk = ["first: #", "yes", "second", "- no", NEW.user, NEW.bot]
    assert texts(path) == [*before, talk, [NEW.user, NEW.bot]]


def test_an_example_that_makes_the_persona_wrong_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "robin.yaml"
    path.write_text(BASE + WITH, encoding="utf-8")
    empty = Correction("k", "robin", "hi", "wrong", " ")
    with pytest.raises(SourceError, match="nothing was written"):
        add_dialogues(path, [empty])
    assert path.read_text("utf-8") == BASE + WITH and list(tmp_path.iterdir()) == [path]


@pytest.mark.anyio
async def test_from_a_chat_into_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, store = tmp_path / "robin.yaml", tmp_path / "bot.db"
    path.write_text(BASE, encoding="utf-8")
    config = {"owners": ["loopback:ann"]}
    plugin = ROOT / "plugins" / "correct.py"
    engines = {"robin": ScriptedEngine()}
    async with talking(plugin, config=config, store=store, engines=engines) as talk:
        for number in range(3):
            await talk.say(f"question {number}")
            await talk.say(f"/correct answer {number}")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\nn\n\n"))
    command = ["harvest", str(store), "--name", "robin", "--into", str(path)]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "> question 0\n  - question 0\n  + answer 0" in out and "added 1, dropped 1" in out
    assert texts(path) == [["question 0", "answer 0"]]
    assert [one.user for one in corrections(store, "robin")] == ["question 2"]
    assert main([*command[:3], "other", *command[4:]]) == 0
    assert "nothing to review" in capsys.readouterr().out
