"""What is sent is plain text, once; what is unclear stays so; replies grow without flooding."""

from dataclasses import replace

import pytest

from bot.event import Chat, Failed, Outcome, Sent, Unknown
from bot.text import split_text
from tests.bot.adapters.telegram.conftest import Inbox, outgoing, running, until
from tests.fakes.bot_api import ANN, BEN, BotApi, Fault

pytestmark = pytest.mark.anyio

PRIVATE = Chat("501", "private")
GROUP = Chat("-77", "group")


async def sent(api: BotApi, inbox: Inbox, text: str = "在", chat: Chat = PRIVATE) -> Outcome:
    async with running(api, inbox) as adapter:
        return await adapter.send(outgoing(chat, text))


async def test_a_message(api: BotApi, inbox: Inbox) -> None:
    ann = api.chats.private(501)
    outcome = await sent(api, inbox)
    assert isinstance(outcome, Sent)
    assert ann.messages[int(outcome.message_id)]["text"] == "在"


@pytest.mark.parametrize(
    "text",
    [
        "<b>bold</b> <a href='tg://user?id=1'>x</a> <unknown>",
        "*bold* _it_ [x](http://example.org) `code` ```",
        "&lt;&amp;&#91; \\n \\*",
        "/start@Snow_Bot",
        "[CQ:at,qq=all]",
    ],
)
async def test_nothing_in_a_text_is_markup(api: BotApi, inbox: Inbox, text: str) -> None:
    ann = api.chats.private(501)
    assert isinstance(await sent(api, inbox, text), Sent)
    assert api.sent(ann) == [text]
    (message,) = ann.messages.values()
    assert {mark["type"] for mark in message.get("entities", [])} <= {"mention", "bot_command"}
    (call,) = api.called("sendMessage")
    assert "parse_mode" not in call.params and "reply_markup" not in call.params
    assert "entities" not in call.params
    assert '"is_disabled": true' in call.params["link_preview_options"]


async def test_4097_characters_lose_nothing(api: BotApi, inbox: Inbox) -> None:
    ann = api.chats.private(501)
    for text in ("雪" * 4097, "😀" * 4097, "咱在这里哦。" * 683):
        before = len(api.sent(ann))
        async with running(api, inbox) as adapter:
            limits = adapter.capabilities
            for part in split_text(text, limits.max_length, limits.measure):
                assert isinstance(await adapter.send(outgoing(PRIVATE, part)), Sent)
        assert "".join(api.sent(ann)[before:]) == text


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("drop", accepted=True), Unknown),
        (Fault("hang", accepted=True), Unknown),
        (Fault("hang"), Unknown),
        (Fault("answer", accepted=True, body=b"\xff"), Unknown),
        (Fault("answer", accepted=True, status=502, body=b"<html>"), Unknown),
        (Fault.refuse(500, "Internal Server Error"), Unknown),
        (Fault.refuse(400, "Bad Request: x"), Failed),
        (Fault.refuse(403, "Forbidden: bot was blocked by the user"), Failed),
        (Fault.refuse(429, "Too Many Requests: retry after 9", retry_after=9), Failed),
    ],
    ids=["drop", "hang", "never", "bytes", "502", "500", "400", "403", "429"],
)
async def test_a_send_is_never_repeated(
    api: BotApi, inbox: Inbox, fault: Fault, kind: type[Outcome]
) -> None:
    ann = api.chats.private(501)
    api.fault("sendMessage", fault)
    outcome = await sent(api, inbox)
    assert type(outcome) is kind
    assert len(api.called("sendMessage")) == 1
    assert len(api.sent(ann)) == int(fault.accepted)
    if isinstance(outcome, Failed):
        assert outcome.retry_after == (9 if b"429" in fault.body else None)


async def test_without_a_connection_nothing_was_sent(api: BotApi, inbox: Inbox) -> None:
    async with running(api, inbox) as adapter:
        await until(lambda: api.updates.is_polled)
        await api.silence()
        outcome = await adapter.send(outgoing(PRIVATE, "在"))
    assert isinstance(outcome, Failed) and outcome.retry_after == 0.5


async def test_a_group_that_became_a_supergroup(api: BotApi, inbox: Inbox) -> None:
    group = api.chats.group(-77)
    asked = api.say(group, "a")["message_id"]
    async with running(api, inbox) as adapter:
        await until(lambda: inbox.texts == ["a"])
        new = api.chats.group(-1000000000077)
        group.upgraded_to = new.id  # and the update about it is still on its way
        outcome = await adapter.send(outgoing(GROUP, "在", reply_to=str(asked)))
    assert isinstance(outcome, Sent) and outcome.chat == str(new.id)
    assert inbox.moves == [("-77", "-1000000000077")]
    assert api.sent(new) == ["在"] and api.sent(group) == []
    assert "reply_to_message" not in new.messages[int(outcome.message_id)]


async def test_topics(api: BotApi, inbox: Inbox) -> None:
    forum = api.chats.forum(-1009999999999)
    topic = api.chats.topic(forum, ANN)
    asked = api.say(forum, "a", topic=topic)["message_id"]
    here = Chat(str(forum.id), "group", str(topic))
    async with running(api, inbox) as adapter:
        await adapter.show_typing(adapter.accounts[0], here)
        outcome = await adapter.send(outgoing(here, "在", reply_to=str(asked)))
        general = await adapter.send(outgoing(replace(here, thread=None), "在"))
    assert isinstance(outcome, Sent) and isinstance(general, Sent)
    message = forum.messages[int(outcome.message_id)]
    assert message["message_thread_id"] == topic
    assert message["reply_to_message"]["message_id"] == asked
    assert "message_thread_id" not in forum.messages[int(general.message_id)]
    assert api.called("sendChatAction")[0].params["message_thread_id"] == str(topic)


async def test_a_reply_to_a_message_that_was_deleted(api: BotApi, inbox: Inbox) -> None:
    ann = api.chats.private(501)
    async with running(api, inbox) as adapter:
        assert isinstance(await adapter.send(outgoing(PRIVATE, "在", reply_to="9")), Sent)
    assert api.sent(ann) == ["在"]


async def test_a_mention_goes_before_the_text(api: BotApi, inbox: Inbox) -> None:
    group = api.chats.group(-77)
    api.say(group, "a", {**BEN, "first_name": "😀" * 64})
    async with running(api, inbox) as adapter:
        longest = "雪" * adapter.capabilities.max_length
        outcome = await adapter.send(outgoing(GROUP, longest, mention=str(BEN["id"])))
        unknown = await adapter.send(outgoing(GROUP, "在", mention="999"))
    assert isinstance(outcome, Sent) and isinstance(unknown, Sent)
    message = group.messages[int(outcome.message_id)]
    assert message["text"] == "😀" * 40 + " " + longest
    (mark,) = message["entities"]
    assert (mark["type"], mark["offset"], mark["length"]) == ("text_mention", 0, 80)
    assert mark["user"]["id"] == BEN["id"]
    assert group.messages[int(unknown.message_id)]["text"] == "在"


async def test_typing_is_shown_and_its_failure_is_not_felt(api: BotApi, inbox: Inbox) -> None:
    api.chats.private(501)
    api.fault("sendChatAction", Fault("drop"))
    async with running(api, inbox) as adapter:
        for chat in (PRIVATE, PRIVATE, GROUP):
            await adapter.show_typing(adapter.accounts[0], chat)
    assert [call.params["action"] for call in api.called("sendChatAction")] == ["typing"] * 3


# --- replies that grow ------------------------------------------------------------------------


async def test_a_draft_grows_and_a_message_ends_it(api: BotApi, inbox: Inbox) -> None:
    ann = api.chats.private(501)
    async with running(api, inbox) as adapter:
        for end in range(1, 4):
            drafted = await adapter.draft(outgoing(PRIVATE, "雪" * end, "draft 1"))
            assert isinstance(drafted, Sent)
        assert api.draft(ann) == "雪" * 3 and not api.sent(ann)
        await adapter.send(outgoing(PRIVATE, "雪" * 40))
    assert api.draft(ann) is None and api.sent(ann) == ["雪" * 40]
    assert len({call.params["draft_id"] for call in api.called("sendMessageDraft")}) == 1


async def test_a_draft_that_is_not_shown_says_when_to_come_again(api: BotApi, inbox: Inbox) -> None:
    api.chats.private(501)
    api.fault("sendMessageDraft", Fault.refuse(429, "later", retry_after=9), Fault("drop"))
    async with running(api, inbox) as adapter:
        later = await adapter.draft(outgoing(PRIVATE, "雪"))
        unclear = await adapter.draft(outgoing(PRIVATE, "雪"))
    assert isinstance(later, Failed) and later.retry_after == 9
    assert isinstance(unclear, Unknown)


async def edited(api: BotApi, inbox: Inbox, *faults: Fault, end: str = "在哦") -> Outcome:
    """A message in a group is edited once, and meets ``faults``."""
    async with running(api, inbox) as adapter:
        sent = await adapter.send(outgoing(GROUP, "在"))
        assert isinstance(sent, Sent)
        api.fault("editMessageText", *faults)
        outcome = await adapter.edit(outgoing(GROUP, end, edits=sent.message_id))
    assert len(api.called("sendMessage")) == 1 and len(api.called("editMessageText")) == 1
    assert not isinstance(outcome, Sent) or outcome == sent
    return outcome


async def test_an_edit(api: BotApi, inbox: Inbox) -> None:
    group = api.chats.group(-77)
    assert isinstance(await edited(api, inbox), Sent) and api.sent(group) == ["在哦"]
    (call,) = api.called("editMessageText")
    assert "parse_mode" not in call.params
    assert '"is_disabled": true' in call.params["link_preview_options"]


async def test_an_edit_that_changes_nothing_is_done(api: BotApi, inbox: Inbox) -> None:
    group = api.chats.group(-77)
    assert isinstance(await edited(api, inbox, end="在"), Sent)
    assert api.sent(group) == ["在"]


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault("drop", accepted=True), Unknown),
        (Fault("hang"), Unknown),
        (Fault.refuse(400, "Bad Request: message to edit not found"), Failed),
    ],
)
async def test_an_edit_that_fails(
    api: BotApi, inbox: Inbox, fault: Fault, outcome: type[Outcome]
) -> None:
    api.chats.group(-77)
    found = await edited(api, inbox, fault)
    assert isinstance(found, outcome)
    assert not isinstance(found, Failed) or found.retry_after is None


async def test_an_edit_that_has_to_wait_says_how_long(api: BotApi, inbox: Inbox) -> None:
    api.chats.group(-77)
    outcome = await edited(api, inbox, Fault.refuse(429, "later", retry_after=9))
    assert isinstance(outcome, Failed) and outcome.retry_after == 9


async def test_an_edit_mentions_again(api: BotApi, inbox: Inbox) -> None:
    group = api.chats.group(-77)
    api.say(group, "hi")
    async with running(api, inbox) as adapter:
        sent = await adapter.send(outgoing(GROUP, "在"))
        assert isinstance(sent, Sent)
        message = outgoing(GROUP, "在哦", mention=str(ANN["id"]), edits=sent.message_id)
        assert isinstance(await adapter.edit(message), Sent)
    assert api.sent(group) == [f"{ANN['first_name']} 在哦"]
