"""What an operator is told: wrong tokens, privacy mode, and never a secret."""

import io
import logging
import traceback
from collections.abc import Callable

import pytest

from bot.adapter import Adapter
from bot.adapters import make_adapter
from bot.adapters.telegram.adapter import Telegram
from bot.adapters.telegram.config import TelegramConfig
from bot.errors import AdapterError, BotConfigError
from bot.event import Chat, Failed, Sent, Unknown
from tests.bot.adapters.telegram.conftest import (
    ME,
    TIMING,
    Inbox,
    outgoing,
    running,
    settings,
    until,
)
from tests.fakes.bot_api import TOKEN, BotApi, Fault
from tests.fakes.http_proxy import http_proxy

pytestmark = pytest.mark.anyio

SECRET = TOKEN.partition(":")[2]
PRIVATE = Chat("501", "private")


async def test_it_is_an_adapter(api: BotApi, inbox: Inbox) -> None:
    adapter: Adapter = make_adapter("telegram", settings(api), inbox)
    assert isinstance(adapter, Telegram) and not adapter.accounts
    await adapter.start()
    assert adapter.accounts == (ME,)
    await adapter.close()
    await adapter.close()


async def test_it_shows_its_connection(api: BotApi, inbox: Inbox) -> None:
    async with running(api, inbox) as adapter:
        await until(lambda: adapter.links[0].up)
        assert adapter.links[0].name == "Telegram @Snow_Bot"
        await api.silence()
        await until(lambda: not adapter.links[0].up)
        assert adapter.links[0].detail


async def test_a_token_that_the_server_does_not_know(
    api: BotApi, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELEGRAM_TOKEN", "1:AAother-token")
    adapter = Telegram(settings(api), inbox, TIMING)
    with pytest.raises(AdapterError, match="refuses the token in TELEGRAM_TOKEN") as error:
        await adapter.start()
    await adapter.close()
    assert "other-token" not in everything(error.value)


@pytest.mark.parametrize("token", ["rubbish", "12:", "a:b", "1 2:x y"])
async def test_a_token_of_another_form(
    api: BotApi, inbox: Inbox, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELEGRAM_TOKEN", token)
    with pytest.raises(AdapterError, match="another form"):
        await Telegram(settings(api), inbox, TIMING).start()
    assert not api.calls


async def test_a_token_that_is_not_there(
    api: BotApi, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TELEGRAM_TOKEN")
    with pytest.raises(BotConfigError, match="TELEGRAM_TOKEN"):
        await Telegram(settings(api), inbox, TIMING).start()


async def test_privacy_mode_is_warned_of(inbox: Inbox, logged: Callable[[], str]) -> None:
    async with BotApi(can_read_all=False) as api:
        group = api.chats.group(-77)
        api.say(group, "@Snow_Bot hi")
        api.say(group, "/help")
        async with running(api, inbox):
            await until(lambda: inbox.texts == ["/help"])
    assert logged().count("/setprivacy") == 1


async def test_without_privacy_mode_nothing_is_warned_of(
    api: BotApi, inbox: Inbox, logged: Callable[[], str]
) -> None:
    async with running(api, inbox) as adapter:
        await until(lambda: adapter.links[0].up)
    assert "/setprivacy" not in logged()


async def test_it_goes_through_a_proxy(api: BotApi, inbox: Inbox) -> None:
    ann = api.chats.private(501)
    async with http_proxy() as proxy, running(api, inbox, proxy=proxy.address) as adapter:
        assert isinstance(await adapter.send(outgoing(PRIVATE, "在")), Sent)
        assert api.sent(ann) == ["在"]
        await until(lambda: adapter.links[0].up)
        assert set(proxy.targets) == {api.address.removeprefix("http://")}


async def test_a_proxy_that_refuses_is_no_connection(api: BotApi, inbox: Inbox) -> None:
    async with http_proxy() as proxy:
        proxy.is_refusing = True
        async with running(api, inbox, proxy=proxy.address) as adapter:
            refused = await adapter.send(outgoing(PRIVATE, "在"))
    async with running(api, inbox, proxy="http://127.0.0.1:1") as adapter:
        absent = await adapter.send(outgoing(PRIVATE, "在"))
    for outcome in (refused, absent):
        assert isinstance(outcome, Failed) and outcome.retry_after
    assert not api.calls


class _Everything(logging.Handler):
    """Formats each record with its traceback, as a careless handler would."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = io.StringIO()
        self.setFormatter(logging.Formatter("%(message)s %(args)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.text.write(self.format(record) + repr(record.__dict__))


LEAKING = [
    Fault("answer", status=302, location="/bot{token}/getMe?{token}"),  # round and round
    Fault("answer", status=302, location="ftp://example.org/bot{token}"),
    Fault("answer", status=302, location="http://[{token}"),
    Fault("answer", status=400, body=b'{"ok": false, "description": "%s"}' % TOKEN.encode()),
    Fault("answer", status=500, body=b'{"ok": false, "description": "%s"}' % TOKEN.encode()),
    Fault("answer", status=200, body=TOKEN.encode()),
    Fault("answer", status=200, body=b'{"ok": true, "result": "%s"}' % TOKEN.encode()),
    Fault("drop"),
]


@pytest.mark.parametrize("fault", LEAKING, ids=range(len(LEAKING)))
async def test_the_token_is_in_no_log_and_no_error(api: BotApi, inbox: Inbox, fault: Fault) -> None:
    handler = _Everything()
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        for method in ("getUpdates", "sendMessage", "sendMessageDraft", "sendChatAction"):
            api.fault(method, *[fault] * 12)
        api.chats.private(501)
        async with running(api, inbox) as adapter:
            await adapter.show_typing(ME, PRIVATE)
            await adapter.draft(outgoing(PRIVATE, "在"))
            outcome = await adapter.send(outgoing(PRIVATE, "在"))
            await until(lambda: adapter.links[0].detail)
            link = adapter.links[0]
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    assert isinstance(outcome, Failed | Unknown)
    for text in (handler.text.getvalue(), repr(outcome), repr(link)):
        assert SECRET not in text
    assert "getUpdates" in str(api.calls) and handler.text.getvalue()


async def test_the_token_is_in_no_error_of_the_start(api: BotApi, inbox: Inbox) -> None:
    said = b'{"ok": false, "description": "no bot %s"}' % TOKEN.encode()
    api.fault("getMe", Fault("answer", status=401, body=said))
    adapter = Telegram(settings(api), inbox, TIMING)
    with pytest.raises(AdapterError, match=r"no bot 123456789:\*\*\*") as error:
        await adapter.start()
    await adapter.close()
    assert SECRET not in everything(error.value)


def everything(error: BaseException) -> str:
    """What the worst of handlers could print: the chain of causes too."""
    shown = "".join(traceback.format_exception(error))
    return shown + repr(error) + repr(error.__context__) + repr(error.__cause__)


# --- settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "exactly one of token_env and token_file"),
        ({"token_env": "A", "token_file": "b"}, "exactly one of token_env and token_file"),
        ({"token_env": "A", "token": "1:x"}, "Extra inputs"),
        ({"token_env": "A", "api_url": "ftp://x"}, "api_url"),
        ({"token_env": "A", "proxy": "socks5://me:secret@127.0.0.1:1080"}, "proxy"),
        ({"token_env": "A", "webhook": {"url": "http://x.org/t"}}, "https on the ports 443"),
        ({"token_env": "A", "webhook": {"url": "https://x.org:8081/t"}}, "https on the ports 443"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TelegramConfig.model_validate(settings)


def test_settings_that_work() -> None:
    hook = {"url": "https://x.org:8443/t"}
    assert TelegramConfig.model_validate({"token_env": "A", "webhook": hook}).webhook
    own = {"token_env": "A", "api_url": "http://127.0.0.1:8081", "webhook": {"url": "http://x/t"}}
    assert TelegramConfig.model_validate(own).webhook
