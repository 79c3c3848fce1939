"""Settings that cannot work are refused in the file, with place and fix."""

import re
from pathlib import Path
from typing import Any

import pytest

from bot.config import load_bot_config
from bot.errors import BotConfigError

HEAD = "personas: {muxue: {echo: {persona: muxue.yaml}}}\nadapters:\n  onebot_v11:\n    - "


def load(tmp_path: Path, entry: str) -> Any:
    path = tmp_path / "renshe.yaml"
    path.write_text(HEAD + entry, "utf-8")
    return load_bot_config(path).adapters.onebot_v11[0]


@pytest.mark.parametrize(
    "entry",
    [
        "{}",
        "{port: 8081, token_env: T}",
        "{host: '::1'}",
        "{host: localhost}",
        "{host: 0.0.0.0, token_file: token.txt}",
        "{transport: forward_websocket, url: 'ws://127.0.0.1:3001'}",
        "{transport: forward_websocket, url: 'wss://qq.example/ws?access_token=x', token_env: T}",
        "{transport: http, url: 'http://127.0.0.1:3000'}",
        "{transport: http, url: 'http://h:3000', host: 0.0.0.0, secret_env: S}",
    ],
)
def test_good_settings(tmp_path: Path, entry: str) -> None:
    load(tmp_path, entry)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{host: 0.0.0.0}", "other machines reach 0.0.0.0: it needs token_env or token_file"),
        ("{host: '::'}", "other machines reach"),
        ("{host: 192.168.1.2}", "other machines reach"),
        ("{host: qq.example}", "other machines reach"),
        (
            "{transport: http, url: 'http://h', host: 0.0.0.0, token_env: T}",
            "it needs secret_env or secret_file",
        ),
        ("{transport: forward_websocket}", "needs a url that begins with ws://"),
        ("{transport: forward_websocket, url: 'http://h'}", "begins with ws://"),
        ("{transport: forward_websocket, url: 'ws://h/event'}", "the bot needs both"),
        ("{transport: forward_websocket, url: 'ws://h/', port: 1}", "port does nothing"),
        ("{transport: http}", "needs a url that begins with http://"),
        ("{url: 'ws://h'}", "url does nothing with transport reverse_websocket"),
        ("{secret_env: S}", "secret_env does nothing"),
        ("{path: onebot}", "path"),
        ("{token: abc}", "token"),
        ("{transport: websocket}", "transport"),
    ],
)
def test_bad_settings(tmp_path: Path, entry: str, problem: str) -> None:
    with pytest.raises(BotConfigError) as refused:
        load(tmp_path, entry)
    assert problem in str(refused.value)
    (fault,) = refused.value.faults
    assert fault.path == tmp_path / "renshe.yaml" and fault.line == 4 and fault.fix


def test_the_settings_in_the_manual_are_good(tmp_path: Path) -> None:
    manual = Path(__file__).parents[4] / "docs" / "onebot.md"
    examples = re.findall(r"```yaml\n(.*?)```", manual.read_text("utf-8"), re.DOTALL)
    for example in examples:
        path = tmp_path / "renshe.yaml"
        path.write_text(example, "utf-8")
        assert load_bot_config(path).adapters.onebot_v11
    assert len(examples) == 3
