import json
from pathlib import Path
from typing import get_args

import jsonschema
import pytest

from bot.adapters import ADAPTERS
from bot.config import Adapters, BotConfig, bot_config_schema, load_bot_config
from bot.errors import BotConfigError

WHOLE = """
store: data/bot.db
personas:
  robin: {tuned: {run: runs/robin}, tired: [Phew.]}
  dory: {remote: {url: "http://127.0.0.1:8000/v1", model: m, persona: dory.yaml, key_env: K}}
  test: {echo: {persona: /elsewhere/dory.yaml}}
adapters:
  console: [{}]
  telegram: [{token_file: secrets/token}]
owners: [telegram:12345]
triggers: {random: 0.02, prefix: "!"}
chats: {deny: ["telegram:-100*"]}
plugins:
  folder: my-plugins
  settings: {greet: {at: ["08:00"]}}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "renshe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_paths_count_from_the_file(tmp_path: Path) -> None:
    config = load_bot_config(write(tmp_path, WHOLE))
    assert config.store == tmp_path / "data/bot.db" and next(iter(config.personas)) == "robin"
    robin, dory, test = config.personas.values()
    assert robin.tuned and robin.tuned.run == tmp_path / "runs/robin"
    assert dory.remote and dory.remote.persona == tmp_path / "dory.yaml"
    assert test.echo and test.echo.persona == Path("/elsewhere/dory.yaml")
    assert config.adapters.telegram[0].token_file == tmp_path / "secrets/token"
    assert config.plugins.folder == tmp_path / "my-plugins"
    least = "personas: {a: {echo: {persona: a.yaml}}}\nadapters: {console: [{}]}\n"
    assert load_bot_config(write(tmp_path, least)).store == tmp_path / "renshe.db"


def test_every_fault_comes_at_once_with_its_place(tmp_path: Path) -> None:
    text = """personas:
  a: {echo: {persona: a.yaml}, tuned: {run: x}}
adapters:
  telegrm: []
  telegram: [{tokn_env: A}]
owners: [12345]
limits: {per_user: 0}
"""
    with pytest.raises(BotConfigError) as raised:
        load_bot_config(write(tmp_path, text))
    assert [fault.line for fault in raised.value.faults] == [2, 4, 5, 6, 7]
    assert "did you mean telegram?" in str(raised.value)
    assert all(fault.fix and fault.path for fault in raised.value.faults)


def test_there_must_be_somewhere_to_be(tmp_path: Path) -> None:
    text = "personas: {a: {echo: {persona: a.yaml}}}\nadapters: {}\n"
    with pytest.raises(BotConfigError, match="there is no platform"):
        load_bot_config(write(tmp_path, text))


def test_editors_agree_with_us() -> None:
    from ruamel.yaml import YAML

    schema = bot_config_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(YAML(typ="safe").load(WHOLE), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"personas": {}, "adapters": {}}, schema)


def test_each_setting_says_what_it_does() -> None:
    definitions = list(bot_config_schema()["$defs"].values())
    fields = [
        (definition["title"], name, field)
        for definition in [*definitions, bot_config_schema()]
        for name, field in definition.get("properties", {}).items()
    ]
    assert len(fields) > 50 and all("description" in one for one in definitions)
    assert not [
        (title, name) for title, name, field in fields if not {"description", "$ref"} & set(field)
    ]


def test_each_adapter_has_its_list_and_each_list_its_adapter() -> None:
    assert list(Adapters.model_fields) == list(ADAPTERS)
    for field in Adapters.model_fields.values():
        (kind, _) = get_args(field.annotation)
        assert issubclass(kind, BotConfig.__mro__[1])


def test_the_schema_is_json() -> None:
    assert json.loads(json.dumps(bot_config_schema()))
