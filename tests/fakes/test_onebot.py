"""The fake implementation keeps to the protocol; a real framework is held against it elsewhere."""

from typing import Any

import aiohttp
import pytest

from tests.fakes.onebot import QQ
from tests.fakes.onebot_links import Server

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def call(action: str, **params: Any) -> dict[str, Any]:
    return {"action": action, "params": params, "echo": {"of": action}}


@pytest.mark.parametrize(
    ("frame", "status", "retcode"),
    [
        (call("get_login_info"), "ok", 0),
        (call("send_group_msg", group_id=1, message="嗨"), "ok", 0),
        (call("send_msg", message_type="private", user_id=2, message="嗨"), "ok", 0),
        (call("send_group_msg", group_id=1), "failed", 1400),
        (call("send_private_msg", user_id="x", message="嗨"), "failed", 1400),
        (call("set_group_leave", group_id=1), "failed", 1404),
        (call("get_msg", message_id=1), "failed", 200),
    ],
)
async def test_calls_are_answered_with_their_echo(
    frame: dict[str, Any], status: str, retcode: int
) -> None:
    async with Server(QQ()) as server, aiohttp.ClientSession() as session:
        ws = await session.ws_connect(f"ws://127.0.0.1:{server.port}/api")
        await ws.send_json(frame)
        answer = await ws.receive_json(timeout=5)
        assert (answer["status"], answer["retcode"]) == (status, retcode)
        assert answer["echo"] == frame["echo"]
        await ws.send_str("{")
        assert (await ws.receive_json(timeout=5))["retcode"] == 1400


async def test_api_hears_no_events_and_event_answers_no_calls() -> None:
    qq = QQ()
    async with Server(qq) as server, aiohttp.ClientSession() as session:
        address = f"ws://127.0.0.1:{server.port}"
        api, event = [await session.ws_connect(f"{address}/{path}") for path in ("api", "event")]
        assert (await event.receive_json(timeout=5))["meta_event_type"] == "lifecycle"
        await qq.hear("嗨")
        assert (await event.receive_json(timeout=5))["raw_message"] == "嗨"
        await event.send_json(call("get_login_info"))
        await api.send_json(call("get_login_info"))
        assert (await api.receive_json(timeout=5))["data"]["user_id"] == 10001
        assert qq.calls == ["get_login_info"]


@pytest.mark.parametrize(("token", "status"), [("", 401), ("wrong", 403), ("right", 200)])
async def test_http_wants_its_token(token: str, status: int) -> None:
    async with Server(QQ(), token="right") as server, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{server.port}/get_login_info?access_token={token}"
        response = await session.post(url, json={})
        assert response.status == status


async def test_http_does_not_know_every_action() -> None:
    async with Server(QQ()) as server, aiohttp.ClientSession() as session:
        address = f"http://127.0.0.1:{server.port}"
        assert (await session.post(f"{address}/set_group_leave", json={})).status == 404
        assert (await session.post(f"{address}/get_login_info", data="{")).status == 400
