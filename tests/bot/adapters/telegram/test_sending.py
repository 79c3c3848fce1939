"""What is sent is plain text, once; what is unclear stays so; replies grow without flooding."""

import asyncio
from dataclasses import replace
from itertools import pairwise

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
    assert isinstance(outcome, Sent)
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


# --- drafts -----------------------------------------------------------------------------------


async def test_a_private_reply_grows_as_a_draft_and_ends_as_a_message(
    api: BotApi, inbox: Inbox
) -> None:
    ann = api.chats.private(501)
    async with running(api, inbox) as adapter:
        for end in range(1, 41):
            await adapter.draft(outgoing(PRIVATE, "雪" * end))
            await asyncio.sleep(0.005)
        assert api.draft(ann) and not api.sent(ann)
        await adapter.send(outgoing(PRIVATE, "雪" * 40))
    assert api.draft(ann) is None and api.sent(ann) == ["雪" * 40]
    drafts = api.called("sendMessageDraft")
    assert 2 <= len(drafts) < 20 and len({call.params["draft_id"] for call in drafts}) == 1
    assert all(b.at - a.at >= 0.049 for a, b in pairwise(drafts))


async def test_a_group_reply_grows_by_edits(api: BotApi, inbox: Inbox) -> None:
    group = api.chats.group(-77)
    asked = str(api.say(group, "a")["message_id"])
    async with running(api, inbox) as adapter:
        for end in range(1, 41):
            await adapter.draft(outgoing(GROUP, "雪" * end, reply_to=asked))
            await asyncio.sleep(0.005)
        (growing,) = api.sent(group)
        assert 0 < len(growing) < 41
        outcome = await adapter.send(outgoing(GROUP, "雪" * 41, reply_to=asked))
    assert isinstance(outcome, Sent)
    assert api.sent(group) == ["雪" * 41]
    calls = [*api.called("sendMessage"), *api.called("editMessageText")]
    assert len(api.called("sendMessage")) == 1 and 3 <= len(calls) < 20
    assert all(b.at - a.at >= 0.049 for a, b in pairwise(calls[:-1]))


async def test_a_short_group_reply_is_sent_whole(api: BotApi, inbox: Inbox) -> None:
    group = api.chats.group(-77)
    async with running(api, inbox) as adapter:
        await adapter.draft(outgoing(GROUP, "在"))
        await adapter.send(outgoing(GROUP, "在哦"))
    assert api.sent(group) == ["在哦"] and not api.called("editMessageText")


async def grown(api: BotApi, inbox: Inbox, *faults: Fault, end: str = "在哦") -> Outcome:
    """A group reply whose first part is shown; then its last edit meets ``faults``."""
    async with running(api, inbox) as adapter:
        await adapter.draft(outgoing(GROUP, "在"))
        await asyncio.sleep(0.06)
        await adapter.draft(outgoing(GROUP, "在"))
        await until(lambda: api.called("sendMessage"))
        api.fault("editMessageText", *faults)
        return await adapter.send(outgoing(GROUP, end))


async def test_a_last_edit_may_be_repeated(api: BotApi, inbox: Inbox) -> None:
    group = api.chats.group(-77)
    outcome = await grown(api, inbox, Fault("hang"), Fault("drop", accepted=True))
    assert isinstance(outcome, Sent) and api.sent(group) == ["在哦"]
    assert len(api.called("sendMessage")) == 1


async def test_a_last_edit_that_stays_unclear(api: BotApi, inbox: Inbox) -> None:
    api.chats.group(-77)
    assert isinstance(await grown(api, inbox, *[Fault("drop")] * 3), Unknown)
    assert len(api.called("sendMessage")) == 1


async def test_a_reply_that_has_grown_to_its_end_already(api: BotApi, inbox: Inbox) -> None:
    group = api.chats.group(-77)
    assert isinstance(await grown(api, inbox, end="在"), Sent)
    assert api.sent(group) == ["在"]


async def test_a_growing_reply_that_was_deleted_is_sent_anew(api: BotApi, inbox: Inbox) -> None:
    group = api.chats.group(-77)
    outcome = await grown(api, inbox, Fault.refuse(400, "Bad Request: message to edit not found"))
    assert isinstance(outcome, Sent) and api.sent(group) == ["在", "在哦"]


async def test_a_last_edit_that_has_to_wait_long_is_edited_later(api: BotApi, inbox: Inbox) -> None:
    group = api.chats.group(-77)
    async with running(api, inbox) as adapter:
        await adapter.draft(outgoing(GROUP, "在"))
        await asyncio.sleep(0.06)
        await adapter.draft(outgoing(GROUP, "在"))
        api.fault("editMessageText", Fault.refuse(429, "later", retry_after=9))
        outcome = await adapter.send(outgoing(GROUP, "在哦"))
        assert isinstance(outcome, Failed) and outcome.retry_after == 9
        assert isinstance(await adapter.send(outgoing(GROUP, "在哦")), Sent)
    assert api.sent(group) == ["在哦"]


async def test_a_first_part_that_is_unclear_is_not_shown_twice(api: BotApi, inbox: Inbox) -> None:
    group = api.chats.group(-77)
    api.fault("sendMessage", Fault("drop", accepted=True))
    async with running(api, inbox) as adapter:
        for end in range(1, 5):
            await adapter.draft(outgoing(GROUP, "雪" * end))
            await asyncio.sleep(0.06)
        assert len(api.called("sendMessage")) == 1
        await adapter.send(outgoing(GROUP, "雪" * 5))
    assert api.sent(group) == ["雪" * 2, "雪" * 5]


async def test_a_draft_obeys_the_server_and_its_failures_are_not_felt(
    api: BotApi, inbox: Inbox
) -> None:
    ann = api.chats.private(501)
    api.fault("sendMessageDraft", Fault.refuse(429, "later", retry_after=1), Fault("drop"))
    async with running(api, inbox) as adapter:
        for end in range(1, 25):
            await adapter.draft(outgoing(PRIVATE, "雪" * end))
            await asyncio.sleep(0.06)
        await adapter.draft(outgoing(PRIVATE, "  "))
        outcome = await adapter.send(outgoing(PRIVATE, "雪" * 25))
    assert isinstance(outcome, Sent) and api.sent(ann) == ["雪" * 25]
    first, second, *others = api.called("sendMessageDraft")
    assert second.at - first.at >= 1 and others


async def test_a_late_draft_does_not_follow_the_message(api: BotApi, inbox: Inbox) -> None:
    group = api.chats.group(-77)
    async with running(api, inbox) as adapter:
        await adapter.draft(outgoing(GROUP, "在"))
        await asyncio.sleep(0.06)
        api.fault("sendMessage", Fault("slow"))
        begun = asyncio.get_running_loop().time()
        for end in range(1, 4):
            await adapter.draft(outgoing(GROUP, "在" * end))
        assert asyncio.get_running_loop().time() - begun < 0.05
        assert isinstance(await adapter.send(outgoing(GROUP, "在哦")), Sent)
    assert api.sent(group) == ["在哦"] and len(api.called("editMessageText")) == 1


async def test_replies_that_were_given_up_are_forgotten(
    api: BotApi, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.chats.private(501)
    async with running(api, inbox) as adapter:
        monkeypatch.setattr("bot.adapters.telegram.sending._FORGOTTEN_AFTER", 0.0)
        for index in range(20):
            await adapter.draft(outgoing(PRIVATE, "在", f"{index}"))
            await asyncio.sleep(0.06)
        assert len(adapter._started.sending._drafts) <= 2
