"""Which marks of Telegram's mean the bot, and what is left of the text."""

from typing import Any

import pytest

from bot.adapters.telegram.incoming import Me, Move, read_update
from bot.event import Event
from tests.fakes.bot_api import ANN, BEN, BotApi
from tests.fakes.bot_api_chats import Chat
from tests.fakes.bot_api_methods import BOT
from tests.fakes.bot_api_text import units

ME = Me(BOT["id"], BOT["username"])


@pytest.fixture
def api() -> BotApi:
    return BotApi()


@pytest.fixture
def group(api: BotApi) -> Chat:
    return api.chats.group(-1001234567890)


def read(message: dict[str, Any]) -> Event:
    event = read_update({"update_id": 1, "message": message}, ME)
    assert isinstance(event, Event)
    return event


def marked(text: str, part: str, kind: str, **more: Any) -> dict[str, Any]:
    offset = units(text[: text.index(part)])
    return {"type": kind, "offset": offset, "length": units(part), **more}


def test_a_private_message(api: BotApi) -> None:
    message = api.say(api.chats.private(501), "  你好 ")
    event = read(message)
    assert (event.text, event.chat.kind, event.chat.id) == ("你好", "private", "501")
    assert (event.sender.id, event.sender.name) == ("501", "Ann")
    assert event.message_id == str(message["message_id"])
    assert event.time == message["date"]
    assert not (event.mentions_bot or event.replies_to_bot or event.reply_to or event.chat.thread)


def test_a_mention_whose_name_is_written_otherwise(api: BotApi, group: Chat) -> None:
    event = read(api.say(group, "hey @SNOW_bot how are you"))
    assert (event.text, event.mentions_bot, event.chat.kind) == ("hey how are you", True, "group")


def test_an_emoji_before_the_mention(api: BotApi, group: Chat) -> None:
    event = read(api.say(group, "😀👨‍👩‍👧 @Snow_Bot 你好😀"))
    assert (event.text, event.mentions_bot) == ("😀👨‍👩‍👧 你好😀", True)


def test_a_mention_of_somebody_else_stays(api: BotApi, group: Chat) -> None:
    event = read(api.say(group, "@Snow_Bot2 and @ann_user, hello"))
    assert (event.text, event.mentions_bot) == ("@Snow_Bot2 and @ann_user, hello", False)


def test_what_looks_like_a_mention_without_being_marked_is_text(api: BotApi, group: Chat) -> None:
    event = read(api.say(group, "@Snow_Bot", entities=[]))
    assert (event.text, event.mentions_bot) == ("@Snow_Bot", False)


def test_a_text_mention(api: BotApi, group: Chat) -> None:
    text = "😀雪雪，你好"
    of_bot = marked(text, "雪雪", "text_mention", user=BOT)
    event = read(api.say(group, text, entities=[of_bot]))
    assert (event.text, event.mentions_bot) == ("😀，你好", True)
    of_ben = marked(text, "雪雪", "text_mention", user=BEN)
    assert not read(api.say(group, text, entities=[of_ben])).mentions_bot


def test_a_command_for_the_bot_loses_its_name(api: BotApi, group: Chat) -> None:
    event = read(api.say(group, "/reset@snow_bot now"))
    assert (event.text, event.mentions_bot) == ("/reset now", True)
    assert read(api.say(group, "/reset now")).mentions_bot is False


def test_a_command_for_another_bot_is_none_of_ours(api: BotApi, group: Chat) -> None:
    message = api.say(group, "/reset@Other_Bot @Snow_Bot")
    assert read_update({"update_id": 1, "message": message}, ME) is None


def test_two_mentions_are_cut_out(api: BotApi, group: Chat) -> None:
    assert read(api.say(group, "@Snow_Bot hi @Snow_Bot")).text == "hi"
    assert read(api.say(group, "@Snow_Bot")).text == ""


def test_a_caption_has_its_own_marks(api: BotApi, group: Chat) -> None:
    caption = "😀@Snow_Bot 看"
    photo = [{"file_id": "a", "file_unique_id": "b", "width": 1, "height": 1}]
    entities = [marked(caption, "@Snow_Bot", "mention")]
    content = {"photo": photo, "caption": caption, "caption_entities": entities}
    event = read(api.chats.put(group, ANN, content))
    assert (event.text, event.mentions_bot) == ("😀 看", True)
    assert read(api.chats.put(group, ANN, {"photo": photo})).text == ""


def test_marks_that_do_not_fit_their_text_count_for_nothing(api: BotApi, group: Chat) -> None:
    for offset, length in ((0, 99), (-1, 9), (99, 9), (0, 0), (0, -9)):
        mark = {"type": "mention", "offset": offset, "length": length}
        event = read(api.say(group, "@Snow_Bot", entities=[mark]))
        assert (event.text, event.mentions_bot) == ("@Snow_Bot", False)


def test_halves_of_characters_are_mended(api: BotApi, group: Chat) -> None:
    message = api.chats.put(
        group, {**ANN, "first_name": "A\ud83d"}, {"text": "\ud83d\ude00x\udc00"}
    )
    event = read(message)
    assert (event.text, event.sender.name) == ("😀x\ufffd", "A\ufffd")


def test_a_reply_to_the_bot(api: BotApi, group: Chat) -> None:
    ours = api.chats.put(group, BOT, {"text": "在"})
    event = read(api.say(group, "真的？", reply_to=ours["message_id"]))
    assert (event.replies_to_bot, event.reply_to) == (True, str(ours["message_id"]))
    theirs = api.say(group, "x")
    event = read(api.say(group, "真的？", reply_to=theirs["message_id"]))
    assert (event.replies_to_bot, event.reply_to) == (False, str(theirs["message_id"]))


def test_a_thread_of_replies_is_no_topic(api: BotApi, group: Chat) -> None:
    message = api.say(group, "真的？", reply_to=api.say(group, "x")["message_id"])
    assert message["message_thread_id"] and "is_topic_message" not in message
    assert read(message).chat.thread is None


def test_what_is_said_in_a_topic_is_no_reply_to_its_root(api: BotApi) -> None:
    forum = api.chats.forum(-1009999999999)
    topic = api.chats.topic(forum, BOT)  # the bot has opened it, so its root is the bot's
    message = api.say(forum, "hi", topic=topic)
    assert message["reply_to_message"]["from"] == BOT
    event = read(message)
    assert (event.chat.thread, event.replies_to_bot, event.reply_to) == (str(topic), False, None)
    bare = {**message, "reply_to_message": {**message["reply_to_message"]}}
    del bare["reply_to_message"]["forum_topic_created"]
    assert read(bare).replies_to_bot is False
    ours = api.chats.put(forum, BOT, {"text": "在"}, topic=topic)
    event = read(api.say(forum, "hi", topic=topic, reply_to=ours["message_id"]))
    assert (event.chat.thread, event.replies_to_bot) == (str(topic), True)


def test_the_general_topic_is_no_topic(api: BotApi) -> None:
    message = api.say(api.chats.forum(-1009999999999), "hi")
    general = {**message, "message_thread_id": 1, "is_topic_message": True}
    assert read(message).chat.thread is None
    assert read(general).chat.thread is None


def test_bots_are_not_listened_to(api: BotApi, group: Chat) -> None:
    for author in (BOT, {**BEN, "is_bot": True}):
        message = api.say(group, "hi", author)
        assert read_update({"update_id": 1, "message": message}, ME) is None


def test_an_anonymous_admin_speaks_as_the_group(api: BotApi, group: Chat) -> None:
    hidden = {"id": 1087968824, "is_bot": True, "first_name": "Group"}
    event = read(api.say(group, "hi", hidden, sender_chat=group.json))
    assert (event.sender.id, event.sender.role) == (str(group.id), "admin")
    channel = {"id": -1005, "type": "channel", "title": "News"}
    event = read(api.say(group, "hi", hidden, sender_chat=channel))
    assert (event.sender.name, event.sender.role) == ("News", "member")


def test_what_the_chat_itself_says_is_no_event(api: BotApi, group: Chat) -> None:
    for content in ({"new_chat_members": [BEN]}, {"new_chat_title": "x"}):
        message = api.chats.put(group, ANN, content)
        assert read_update({"update_id": 1, "message": message}, ME) is None


def test_an_upgrade_is_a_move_from_either_side(api: BotApi) -> None:
    group, new = api.chats.group(-77), api.chats.group(-1000000000077)
    to = api.chats.put(group, ANN, {"migrate_to_chat_id": new.id})
    come = api.chats.put(new, ANN, {"migrate_from_chat_id": group.id})
    for message in (to, come):
        moved = read_update({"update_id": 1, "message": message}, ME)
        assert moved == Move("-77", "-1000000000077")


def test_other_updates_and_no_updates() -> None:
    answer = {"poll_id": "1", "option_ids": []}  # of an API that aiogram does not know yet
    assert read_update({"update_id": 1, "poll_answer": answer}, ME) is None
    assert read_update({"update_id": 1}, ME) is None
    with pytest.raises(ValueError):
        read_update({"update_id": 1, "message": {"message_id": "x"}}, ME)
