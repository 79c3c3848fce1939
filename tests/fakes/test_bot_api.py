"""Is the fake honest? aiogram's own client and dispatcher must get along with it.

The same conversation is led with aiogram's dispatcher, by polling and by webhook, and with
our adapter; all three must leave the same chats behind.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from aiogram import Bot, Dispatcher
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    TelegramBadRequest,
    TelegramConflictError,
    TelegramForbiddenError,
    TelegramMigrateToChat,
    TelegramNotFound,
    TelegramUnauthorizedError,
)
from aiogram.filters import CommandStart
from aiogram.types import Message, ReplyParameters
from aiogram.webhook.aiohttp_server import SimpleRequestHandler
from aiohttp import web

from bot.adapters.telegram.adapter import Telegram
from bot.event import Event, Outgoing
from tests.bot.adapters.telegram.conftest import (
    TIMING,
    Inbox,
    free_port,
    settings,
    until,
)
from tests.fakes.bot_api import ANN, BEN, BOT, TOKEN, BotApi
from tests.fakes.bot_api_chats import Chat
from tests.fakes.bot_api_text import Json

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi() as server:
        yield server


def client(api: BotApi, token: str = TOKEN) -> Bot:
    server = TelegramAPIServer.from_base(api.address)
    return Bot(token, session=AiohttpSession(api=server, timeout=5))


@pytest.fixture
async def bot(api: BotApi) -> AsyncIterator[Bot]:
    async with client(api) as one:
        yield one


# --- the same conversation through two frameworks ---------------------------------------------

Peer = Callable[[BotApi], AbstractAsyncContextManager[None]]


def answer_to(text: str) -> str:
    return "在下名为沐雪" if text.partition("@")[0] == "/start" else text[::-1]


def dispatcher() -> Dispatcher:
    own = Dispatcher()

    @own.message(CommandStart())
    async def start(message: Message) -> None:
        await message.answer("在下名为沐雪")

    @own.message()
    async def turn_round(message: Message) -> None:
        if message.text:
            await message.answer(answer_to(message.text))

    return own


@asynccontextmanager
async def aiogram_polls(api: BotApi) -> AsyncIterator[None]:
    own, bot = dispatcher(), client(api)
    polling = asyncio.create_task(own.start_polling(bot, handle_signals=False, polling_timeout=5))
    await until(lambda: api.updates.is_polled)
    yield
    await own.stop_polling()
    await polling


@asynccontextmanager
async def aiogram_is_posted_to(api: BotApi) -> AsyncIterator[None]:
    own, bot, app, port = dispatcher(), client(api), web.Application(), free_port()
    handler = SimpleRequestHandler(own, bot, handle_in_background=False, secret_token="a-secret")
    handler.register(app, path="/hook")
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    url = f"http://127.0.0.1:{port}/hook"
    await bot.set_webhook(url, secret_token="a-secret", max_connections=1)
    yield
    await runner.cleanup()
    await bot.session.close()


class Answering(Inbox):
    """Answers each event by our adapter, as the dispatcher's handlers do."""

    adapter: Telegram

    async def receive(self, event: Event) -> bool:
        is_new = await super().receive(event)
        message = Outgoing(event.message_id, event.account, event.chat, answer_to(event.text))
        await self.adapter.send(message)
        return is_new


@asynccontextmanager
async def our_adapter(api: BotApi) -> AsyncIterator[None]:
    inbox = Answering()
    inbox.adapter = Telegram(settings(api), inbox, TIMING)
    await inbox.adapter.start()
    run = asyncio.create_task(inbox.adapter.run())
    yield
    await inbox.adapter.stop()
    await run
    await inbox.adapter.close()


def topic_of(message: Json) -> int | None:
    return message["message_thread_id"] if message.get("is_topic_message") else None


async def converse(api: BotApi) -> list[list[tuple[int, str, int | None]]]:
    """Talk in four chats; returns who said what in which topic, chat by chat."""
    ann, group = api.chats.private(501), api.chats.group(-77)
    forum = api.chats.forum(-1009999999999)
    topic = api.chats.topic(forum, ANN)

    async def ask(chat: Chat, text: str, **more: int) -> None:
        said = len(api.sent(chat))
        api.say(chat, text, **more)
        await until(lambda: len(api.sent(chat)) == said + 1)

    await ask(ann, "/start")
    await ask(ann, "你好😀")
    await ask(group, "/start@Snow_Bot")
    ours = next(m["message_id"] for m in group.messages.values() if m["from"]["is_bot"])
    await ask(group, "真的吗", reply_to=ours)
    await ask(forum, "in a topic", topic=topic)
    await ask(forum, "in none")
    await ask(forum, "a thread of replies", reply_to=list(forum.messages)[-1])
    new = api.upgrade(group, -1000000000077)
    await ask(new, "still there?")
    await until(lambda: not api.updates.pending)
    return [
        [
            (
                m["from"]["id"],
                m["text"],
                m["message_thread_id"] if "is_topic_message" in m else None,
            )
            for m in chat.messages.values()
            if "text" in m
        ]
        for chat in (ann, group, forum, new)
    ]


@pytest.mark.parametrize("peer", [aiogram_polls, aiogram_is_posted_to, our_adapter])
async def test_the_same_conversation(
    api: BotApi, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELEGRAM_TOKEN", TOKEN)
    async with peer(api):
        chats = await converse(api)
    topic = chats[2][0][2]
    assert topic
    assert [[(text, at) for who, text, at in chat if who == BOT["id"]] for chat in chats] == [
        [("在下名为沐雪", None), ("😀好你", None)],
        [("在下名为沐雪", None), ("吗的真", None)],
        [("cipot a ni", topic), ("enon ni", None), ("seilper fo daerht a", None)],
        [("?ereht llits", None)],
    ]


# --- its rules --------------------------------------------------------------------------------


async def test_an_offset_confirms_all_before_it_for_good(api: BotApi, bot: Bot) -> None:
    ids = [api.updates.add_raw({}) for _ in range(5)]
    assert [u.update_id for u in await bot.get_updates()] == ids
    assert [u.update_id for u in await bot.get_updates(limit=2)] == ids[:2]
    assert [u.update_id for u in await bot.get_updates(offset=ids[2])] == ids[2:]
    assert [u.update_id for u in await bot.get_updates(offset=ids[0])] == ids[2:]
    assert [u.update_id for u in await bot.get_updates(offset=-1)] == ids[4:]
    assert api.updates.pending == ids[4:]


async def test_a_wait_ends_with_the_update(api: BotApi, bot: Bot) -> None:
    waiting = asyncio.create_task(bot.get_updates(timeout=5))
    await until(lambda: api.updates.is_polled)
    api.say(api.chats.private(501), "a")
    assert [u.message.text for u in await waiting if u.message] == ["a"]
    assert not api.updates.is_polled


async def test_a_second_poller_ends_the_first_ones_wait(api: BotApi, bot: Bot) -> None:
    first = asyncio.create_task(bot.get_updates(timeout=5))
    await until(lambda: api.updates.is_polled)
    async with client(api) as other:
        second = asyncio.create_task(other.get_updates(timeout=5))
        with pytest.raises(TelegramConflictError, match="terminated by other getUpdates"):
            await first
        api.say(api.chats.private(501), "a")
        assert len(await second) == 1


async def test_a_webhook_excludes_polling(api: BotApi, bot: Bot) -> None:
    waiting = asyncio.create_task(bot.get_updates(timeout=5))
    await until(lambda: api.updates.is_polled)
    await bot.set_webhook("http://127.0.0.1:1/", secret_token="a-secret")
    with pytest.raises(TelegramConflictError, match="terminated by setWebhook"):
        await waiting
    with pytest.raises(TelegramConflictError, match="webhook is active"):
        await bot.get_updates()
    api.say(api.chats.private(501), "a")
    await asyncio.sleep(0.05)
    info = await bot.get_webhook_info()
    assert (info.url, info.pending_update_count) == ("http://127.0.0.1:1/", 1)
    assert info.last_error_message
    await bot.delete_webhook()
    assert len(await bot.get_updates()) == 1
    with pytest.raises(TelegramBadRequest, match="unallowed characters"):
        await bot.set_webhook("http://127.0.0.1:1/", secret_token="a secret")


async def test_the_kinds_of_updates_are_remembered_for_later_ones(api: BotApi, bot: Bot) -> None:
    ann = api.chats.private(501)
    api.say(ann, "before")
    assert len(await bot.get_updates(allowed_updates=["poll"])) == 1
    api.say(ann, "nobody wants it")
    assert len(await bot.get_updates()) == 1
    assert len(await bot.get_updates(allowed_updates=[])) == 1
    api.say(ann, "after")
    assert len(await bot.get_updates()) == 2


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("  \n ", None, "message text is empty"),
        ("雪" * 4097, None, "message is too long"),
        ("😀" * 2049, None, "message is too long"),
        ("<b>" + "a" * 4097 + "</b>", "HTML", "message is too long"),
        ("<b></b>", "HTML", "message text is empty"),
        ("<what>", "HTML", "Unsupported start tag"),
        ("<b>a", "HTML", "Can't find end tag"),
        ("a</b>", "HTML", "Unmatched end tag"),
    ],
)
async def test_texts_that_are_refused(
    api: BotApi, bot: Bot, text: str, mode: str | None, said: str
) -> None:
    api.chats.private(501)
    with pytest.raises(TelegramBadRequest, match=said):
        await bot.send_message(501, text, parse_mode=mode)


async def test_texts_that_are_taken(api: BotApi, bot: Bot) -> None:
    ann = api.chats.private(501)
    await bot.send_message(501, " " + "雪" * 4096 + " ")
    await bot.send_message(501, "<b>" + "a" * 4096 + "</b>", parse_mode="HTML")
    await bot.send_message(501, "😀 /help @ann_user")
    message = await bot.send_message(501, "😀<b>a&lt;</b>", parse_mode="HTML")
    assert [len(text) for text in api.sent(ann)] == [4096, 4096, 17, 3]
    assert message.entities and message.entities[0].extract_from(message.text or "") == "a<"


async def test_places_that_are_refused(api: BotApi, bot: Bot) -> None:
    with pytest.raises(TelegramBadRequest, match="chat not found"):
        await bot.send_message(9, "a")
    ann = api.chats.private(501)
    ann.forbidden = "bot was blocked by the user"
    with pytest.raises(TelegramForbiddenError, match="blocked"):
        await bot.send_message(501, "a")
    forum = api.chats.forum(-1009999999999)
    for thread in (1, 99):
        with pytest.raises(TelegramBadRequest, match="thread not found"):
            await bot.send_message(forum.id, "a", message_thread_id=thread)
    with pytest.raises(TelegramBadRequest, match="replied not found"):
        await bot.send_message(forum.id, "a", reply_parameters=ReplyParameters(message_id=9))
    group = api.chats.group(-77)
    api.upgrade(group, -1000000000077)
    with pytest.raises(TelegramMigrateToChat) as moved:
        await bot.send_message(-77, "a")
    assert moved.value.migrate_to_chat_id == -1000000000077


async def test_edits(api: BotApi, bot: Bot) -> None:
    ann = api.chats.private(501)
    theirs = api.say(ann, "a")["message_id"]
    ours = (await bot.send_message(501, "在")).message_id
    await bot.edit_message_text("在哦", chat_id=501, message_id=ours)
    assert api.sent(ann) == ["在哦"]
    for message, text, said in (
        (ours, "在哦", "message is not modified"),
        (theirs, "b", "can't be edited"),
        (9, "b", "not found"),
        (ours, "", "text is empty"),
    ):
        with pytest.raises(TelegramBadRequest, match=said):
            await bot.edit_message_text(text, chat_id=501, message_id=message)


async def test_drafts(api: BotApi, bot: Bot) -> None:
    ann, group = api.chats.private(501), api.chats.group(-77)
    await bot.send_message_draft(501, 7, text="在")
    assert api.draft(ann) == "在" and not api.sent(ann)
    await bot.send_message(501, "在哦")
    assert api.draft(ann) is None
    for chat, draft in ((group.id, 7), (501, 0)):
        with pytest.raises(TelegramBadRequest):
            await bot.send_message_draft(chat, draft, text="在")


async def test_privacy_mode() -> None:
    async with BotApi(can_read_all=False) as api, client(api) as bot:
        group = api.chats.group(-77)
        ours = (await bot.send_message(-77, "在")).message_id
        for text, more in (("a", {}), ("@Snow_Bot b", {}), ("/c", {}), ("d", {"reply_to": ours})):
            api.say(group, text, BEN, **more)
        texts = [u.message.text for u in await bot.get_updates() if u.message]
        assert texts == ["/c", "d"]
        assert (await bot.get_me()).can_read_all_group_messages is False


async def test_tokens_and_methods(api: BotApi, bot: Bot) -> None:
    async with client(api, "1:AAother") as other:
        with pytest.raises(TelegramUnauthorizedError):
            await other.get_me()
    with pytest.raises(TelegramNotFound):
        await bot.get_my_commands()
    with pytest.raises(TelegramBadRequest, match="wrong parameter action"):
        api.chats.private(501)
        await bot.send_chat_action(501, "dancing")
