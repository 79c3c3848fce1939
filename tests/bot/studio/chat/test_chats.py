from pathlib import Path
from typing import Any

import pytest

from bot.studio.chat.chats import (
    LONGEST,
    MOST_ROUNDS,
    Chat,
    Chats,
    GoneError,
    Reply,
    Round,
    new_secret,
)
from trainer.errors import RensheError
from trainer.guard import Counts

ME, OTHER = new_secret(), new_secret()
BOTH = ["tuned:a", "base:a"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chats.db"


@pytest.fixture
def chats(path: Path) -> Chats:
    return Chats(path)


def talked(chats: Chats, *messages: str) -> Chat:
    """A chat in which both speakers answered each of the messages, the second one less."""
    chat = chats.begin(ME, BOTH)
    for text in messages:
        chat = chats.say(ME, chat.id, text)
        at = chat.rounds[-1].id
        replies = {key: Reply(text=f"{key} {text}", state="done") for key in BOTH}
        chats.answer(ME, chat.id, at, replies)
    return chats.open(ME, chat.id)


def test_a_chat_is_there_after_a_restart_and_only_in_its_browser(chats: Chats, path: Path) -> None:
    chat = talked(chats, "hello", "and now?")
    chats.close()
    again = Chats(path)
    assert again.open(ME, chat.id) == chat
    assert [one.title for one in again.listed(ME)] == ["hello"]
    assert again.listed(OTHER) == []
    with pytest.raises(GoneError, match="no such chat"):
        again.open(OTHER, chat.id)
    with pytest.raises(GoneError):
        again.say(OTHER, chat.id, "mine now")
    with pytest.raises(GoneError):
        again.undo(OTHER, chat.id, chat.rounds[0].id)
    with pytest.raises(GoneError):
        again.choose(OTHER, chat.id, [])
    again.delete(OTHER, chat.id)
    assert again.open(ME, chat.id) == chat


@pytest.mark.parametrize("secret", ["", "short", "x" * 1000, None, 7])
def test_what_is_no_secret_opens_nothing(chats: Chats, secret: Any) -> None:
    with pytest.raises(GoneError):
        chats.listed(secret)
    with pytest.raises(GoneError):
        chats.begin(secret, BOTH)


def test_the_file_tells_nobody_the_secret(chats: Chats, path: Path) -> None:
    talked(chats, "hello")
    chats.close()
    assert b"hello" in path.read_bytes() and ME.encode() not in path.read_bytes()


def test_each_speaker_knows_only_what_it_answered(chats: Chats) -> None:
    chat = talked(chats, "one", "two")
    chat.rounds[0].replies.pop("base:a")
    chat.rounds[1].replies["tuned:a"] = Reply(state="failed", problem="no base")
    chat.rounds.append(Round(user="three"))
    last = chat.rounds[-1].id
    assert [each.text for each in chat.history("tuned:a", last)] == ["one", "tuned:a one"]
    assert [each.text for each in chat.history("base:a", last)] == ["two", "base:a two"]
    assert chat.history("tuned:new", last) == []
    assert chat.history("tuned:a", chat.rounds[0].id) == []


def test_the_last_message_is_reworded_in_place(chats: Chats) -> None:
    chat = talked(chats, "one", "two")
    after = chats.reword(ME, chat.id, chat.rounds[1].id, "deux")
    assert after.id == chat.id
    assert [(one.user, one.replies) for one in after.rounds][1] == ("deux", {})


def test_rewording_an_earlier_message_loses_nothing(chats: Chats) -> None:
    chat = talked(chats, "one", "two", "three")
    after = chats.reword(ME, chat.id, chat.rounds[1].id, "deux")
    assert after.id != chat.id and [one.user for one in after.rounds] == ["one", "deux"]
    assert after.rounds[0].replies == chat.rounds[0].replies
    assert chats.open(ME, chat.id) == chat
    assert {one.id for one in chats.listed(ME)} == {chat.id, after.id}


def test_undo_takes_a_round_back(chats: Chats) -> None:
    chat = talked(chats, "one", "two")
    assert [one.user for one in chats.undo(ME, chat.id, chat.rounds[1].id).rounds] == ["one"]
    with pytest.raises(GoneError, match="not there any more"):
        chats.undo(ME, chat.id, chat.rounds[1].id)


def test_a_reply_that_grew_when_the_server_stopped_is_kept_and_marked(
    chats: Chats, path: Path
) -> None:
    chat = chats.begin(ME, BOTH)
    at = chats.say(ME, chat.id, "tell me a story").rounds[0].id
    half = Reply(text="Once upon", counts=Counts(redrawn=1))
    chats.answer(ME, chat.id, at, {"tuned:a": half, "base:a": Reply(text="No.", state="done")})
    found = Chats(path).open(ME, chat.id).rounds[0].replies  # the former one was never closed
    assert found["tuned:a"] == half.model_copy(update={"state": "cut"})
    assert found["base:a"].state == "done"
    history = chats.say(ME, chat.id, "go on").history("tuned:a", "next")
    assert [each.text for each in history] == ["tell me a story", "Once upon"]


def test_an_answer_to_a_chat_that_was_deleted_meanwhile_does_not_bring_it_back(
    chats: Chats,
) -> None:
    chat = talked(chats, "one")
    chats.delete(ME, chat.id)
    chats.answer(ME, chat.id, chat.rounds[0].id, {"tuned:a": Reply(text="late")})
    assert chats.listed(ME) == []


def test_a_damaged_file_is_set_aside_and_told(path: Path) -> None:
    path.write_bytes(b"this is no database " * 100)
    chats = Chats(path)
    assert chats.told is not None and chats.told.path is not None
    assert "set aside" in chats.told.problem and chats.told.fix
    assert chats.told.path.read_bytes().startswith(b"this is no database")
    assert talked(chats, "hello") and Chats(path).told is None


def test_a_file_that_is_damaged_in_the_middle_is_set_aside(chats: Chats, path: Path) -> None:
    for number in range(40):
        talked(chats, f"{number} " + "x" * 900)
    chats.close()
    whole = bytearray(path.read_bytes())
    whole[4096 * 2 : 4096 * 6] = b"\xff" * (4096 * 4)
    path.write_bytes(whole)
    again = Chats(path)
    assert again.told is not None and again.listed(ME) == []


@pytest.mark.parametrize(
    ("text", "says"), [(" \n", "say something"), ("x" * (LONGEST + 1), "1000")]
)
def test_what_is_no_message_is_refused(chats: Chats, text: str, says: str) -> None:
    chat = talked(chats, "one")
    with pytest.raises(RensheError, match=says):
        chats.say(ME, chat.id, text)
    with pytest.raises(RensheError, match=says):
        chats.reword(ME, chat.id, chat.rounds[0].id, text)
    assert chats.open(ME, chat.id) == chat


def test_a_chat_is_bounded(chats: Chats) -> None:
    chat = chats.begin(ME, BOTH, [Round(user="x")] * MOST_ROUNDS)
    with pytest.raises(RensheError, match="200 rounds"):
        chats.say(ME, chat.id, "one more")
