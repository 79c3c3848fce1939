"""Long polling: committed first, confirmed after; nothing stalls it and it says how it does."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.bot.adapters.telegram.conftest import TIMING, Inbox, running, until
from tests.fakes.bot_api import BotApi, Fault

pytestmark = pytest.mark.anyio

Logged = Callable[[], str]


async def test_messages_arrive_in_order_and_are_confirmed(api: BotApi, inbox: Inbox) -> None:
    ann, group = api.chats.private(501), api.chats.group(-77)
    for index in range(250):  # more than one answer holds
        api.say((ann, group)[index % 2], f"{index}")
    async with running(api, inbox):
        await until(lambda: len(inbox.events) == 250)
        await until(lambda: not api.updates.pending)
    assert inbox.texts == [f"{index}" for index in range(250)]
    assert inbox.given == 250


async def test_an_update_is_confirmed_only_once_it_is_committed(api: BotApi, inbox: Inbox) -> None:
    api.say(api.chats.private(501), "a")
    inbox.open.clear()
    async with running(api, inbox):
        await until(lambda: inbox.given == 1)
        await asyncio.sleep(0.1)
        assert len(api.updates.pending) == 1
        inbox.open.set()
        await until(lambda: not api.updates.pending)
    assert inbox.texts == ["a"]


async def test_what_could_not_be_committed_is_fetched_again(
    api: BotApi, inbox: Inbox, logged: Logged
) -> None:
    for text in "abc":
        api.say(api.chats.private(501), text)
    inbox.full = 2
    async with running(api, inbox):
        await until(lambda: not api.updates.pending)
    assert inbox.texts == ["a", "b", "c"]
    assert "the disk is full" in logged()


async def test_the_kinds_of_updates_are_always_given(api: BotApi, inbox: Inbox) -> None:
    api.updates._allowed = ["poll"]  # what somebody asked for before us would still hold
    async with running(api, inbox):
        await until(lambda: api.updates.is_polled)
        api.say(api.chats.private(501), "a")
        await until(lambda: inbox.texts == ["a"])
    calls = api.called("getUpdates")
    assert calls and all(call.params["allowed_updates"] == ["message"] for call in calls)


async def test_ids_may_jump_back_after_a_quiet_week(api: BotApi, inbox: Inbox) -> None:
    ann = api.chats.private(501)
    async with running(api, inbox, timing=replace(TIMING, poll=1)):
        for text, jump in (("a", -900), ("b", 100_000), ("c", 0)):
            api.say(ann, text)
            await until(lambda text=text: text in inbox.texts and not api.updates.pending)  # type: ignore[misc]
            quiet = len(api.called("getUpdates")) + 2
            await until(lambda quiet=quiet: len(api.called("getUpdates")) >= quiet)  # type: ignore[misc]
            api.updates.skip_ids(jump)
    assert inbox.texts == ["a", "b", "c"]


async def test_the_wait_of_the_server_is_no_timeout(api: BotApi, inbox: Inbox) -> None:
    async with running(api, inbox) as adapter:  # an answer is given up after 1 second
        await until(lambda: api.updates.is_polled)
        await asyncio.sleep(1.5)
        assert adapter.links[0].up
        assert [call.params["timeout"] for call in api.called("getUpdates")] == ["0", "20"]


async def test_an_outage_is_told_once_and_so_is_its_end(
    api: BotApi, inbox: Inbox, logged: Logged
) -> None:
    async with running(api, inbox) as adapter:
        await until(lambda: adapter.links[0].up)
        port = int(api.address.rpartition(":")[2])
        await api.silence()
        await until(lambda: not adapter.links[0].up)
        await asyncio.sleep(0.4)  # some tries
        await api.listen(port)
        api.say(api.chats.private(501), "a")
        await until(lambda: inbox.texts == ["a"])
        assert adapter.links[0].up and adapter.links[0].detail == ""
    assert 1 <= logged().count("is tried again and again") <= 3  # one for each new reason
    assert "is connected after" in logged()


@pytest.mark.parametrize(
    "fault",
    [
        Fault("answer", body=b"\xff\xfe\x00"),
        Fault("answer", body=b"<html>bad gateway</html>", status=502),
        Fault("answer", body=b'{"ok": true, "result": "what"}'),
        Fault("answer", body=b'{"ok": false}', status=500),
        Fault("answer", body=b"[" * 100_000),
        Fault("drop"),
        Fault.refuse(500, "Internal Server Error"),
        Fault.refuse(409, "Conflict: terminated by other getUpdates request"),
        Fault.refuse(401, "Unauthorized"),
    ],
    ids=["bytes", "html", "string", "nothing", "nested", "drop", "500", "409", "401"],
)
async def test_it_goes_on_after(api: BotApi, inbox: Inbox, fault: Fault) -> None:
    api.fault("getUpdates", fault)
    api.say(api.chats.private(501), "a")
    async with running(api, inbox):
        await until(lambda: inbox.texts == ["a"] and not api.updates.pending)


async def test_a_hanging_server_is_given_up(api: BotApi, inbox: Inbox) -> None:
    api.fault("getMe", Fault("hang"))
    api.say(api.chats.private(501), "a")
    async with running(api, inbox):
        await until(lambda: inbox.texts == ["a"])


async def test_it_waits_as_long_as_the_server_says(api: BotApi, inbox: Inbox) -> None:
    api.fault("getUpdates", Fault.refuse(429, "Too Many Requests: retry after 1", retry_after=1))
    async with running(api, inbox):
        await until(lambda: len(api.called("getUpdates")) >= 2)
    first, second, *_ = api.called("getUpdates")
    assert second.at - first.at >= 1


async def test_another_poller_is_named_as_the_reason(
    api: BotApi, inbox: Inbox, logged: Logged
) -> None:
    async with running(api, inbox) as adapter:
        await until(lambda: api.updates.is_polled)
        async with running(api, Inbox()):
            await until(lambda: "only one program may receive" in logged())
        await until(lambda: adapter.links[0].up and api.updates.is_polled)


async def test_a_webhook_left_over_is_removed_and_its_updates_kept(
    api: BotApi, inbox: Inbox, logged: Logged
) -> None:
    async with running(api, Inbox(), webhook=True):
        await until(lambda: api.updates.webhook)
    api.say(api.chats.private(501), "a")
    assert api.updates.pending
    async with running(api, inbox):
        await until(lambda: inbox.texts == ["a"])
    assert "has a webhook that its settings do not name" in logged()


async def test_an_update_beyond_understanding_is_skipped(
    api: BotApi, inbox: Inbox, logged: Logged
) -> None:
    odd = api.updates.add_raw({"message": {"message_id": "no number"}})
    api.updates.add_raw({"a_kind_of_next_year": {}})
    api.say(api.chats.private(501), "a")
    async with running(api, inbox):
        await until(lambda: inbox.texts == ["a"] and not api.updates.pending)
    assert f"skipping odd update {odd}" in logged()


async def test_updates_without_ids_do_not_spin(api: BotApi, inbox: Inbox) -> None:
    api.fault("getUpdates", *[Fault("answer", body=b'{"ok": true, "result": [1, {}]}')] * 3)
    api.say(api.chats.private(501), "a")
    async with running(api, inbox):
        await until(lambda: inbox.texts == ["a"])
    calls = api.called("getUpdates")
    assert calls[3].at - calls[0].at > 0.05


async def test_an_upgraded_group_is_moved(api: BotApi, inbox: Inbox) -> None:
    group = api.chats.group(-77)
    api.say(group, "a")
    new = api.upgrade(group, -1000000000077)
    api.say(new, "b")
    async with running(api, inbox):
        await until(lambda: inbox.texts == ["a", "b"])
    assert inbox.moves == [("-77", "-1000000000077")] * 2
    assert [event.chat.id for event in inbox.events] == ["-77", "-1000000000077"]


async def test_it_stops_at_once_while_it_waits(api: BotApi, inbox: Inbox) -> None:
    loop = asyncio.get_running_loop()
    async with running(api, inbox):
        await until(lambda: api.updates.is_polled)
        begun = loop.time()
    assert loop.time() - begun < 2
