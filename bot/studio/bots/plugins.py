"""Plugins as the page shows them: on or off, and a form made of each one's own schema.

A field is made of the JSON Schema that pydantic makes of the plugin's ``Settings``: text,
numbers, choices and lists of text have an input of their own; anything else is YAML.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from bot.config import BotConfig, parse_bot_config
from bot.errors import PluginError
from bot.plugin import Settings
from bot.plugin_loader import BUNDLED, Source, describe_plugin, find_plugins, read_plugin
from bot.plugin_set import settings_of
from bot.studio.bots.plugin_words import about_field, about_plugin
from bot.studio.bots.settings import Opened, SettingsFile, changed_text, child
from trainer.errors import Fault, RensheError
from trainer.language import say
from trainer.strict_yaml import Document

Kind = Literal["text", "integer", "number", "switch", "choice", "lines", "yaml"]

_SIMPLE: dict[str, Kind] = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "switch",
}


@dataclass(frozen=True)
class Field:
    """One setting of a plugin.

    Attributes:
        name: its key in ``renshe.yaml``.
        kind: the input that it gets.
        value: what it is now, as the input shows it.
        about: what it does.
        required: it has no default.
        choices: of ``choice``: what it may be.
        minimum: of numbers: the least, if there is one.
        maximum: of numbers: the most, if there is one.
    """

    name: str
    kind: Kind
    value: Any
    about: str = ""
    required: bool = False
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Card:
    """A plugin on the page.

    Attributes:
        name: its name.
        about: what it does.
        enabled: it is to be loaded.
        bundled: it comes with Renshe.
        fields: its settings.
        fault: why it cannot be read; empty if it can.
    """

    name: str
    about: str
    enabled: bool
    bundled: bool
    fields: tuple[Field, ...] = ()
    fault: str = ""


def plugin_cards(config: BotConfig) -> list[Card]:
    """Return every plugin there is, by name.

    Raises:
        PluginError: the folder of plugins is not there.
    """
    return sorted(
        (_card(source, config) for source in find_plugins(config.plugins.folder)),
        key=lambda card: card.name,
    )


def save_plugin(
    file: SettingsFile, seen: str, name: str, enabled: bool, values: Mapping[str, Any]
) -> Opened:
    """Write what was filled in for a plugin into ``renshe.yaml``.

    Args:
        file: where to.
        seen: its digest when the form was shown.
        name: the plugin.
        enabled: whether it is to be loaded.
        values: what its inputs hold, by the name of the field.

    Raises:
        RensheError: a value is wrong, or the file changed meanwhile; nothing was written.
    """
    opened = file.open()
    if opened.digest == seen:  # else the save below says so
        config = parse_bot_config(opened.text, file.path)[0]
        source = _source(config, name)
        card = _card(source, config)
        change = partial(_change, card, enabled, values)
        text = changed_text(opened.text, change)
        _, document = parse_bot_config(text, file.path)
        if card.fields:
            _refuse_misfits(source, settings_of(name, document))
        return file.save(text, seen)
    return file.save(opened.text, seen)


def _refuse_misfits(source: Source, written: Document | None) -> None:
    """Refuse values that do not fit, each named after its input: the form has no lines."""
    try:
        read_plugin(source, written)
    except PluginError as error:
        faults = tuple(
            replace(fault, problem=_named(fault, written), path=None, line=0, column=0)
            for fault in error.faults
        )
        raise PluginError(faults=faults) from None


def _named(fault: Fault, written: Document | None) -> str:
    entries = written.root.entries or {} if written is not None else {}
    where = fault.line, fault.column
    before = [
        ((place.line, place.column), name)
        for name, (place, _) in entries.items()
        if (place.line, place.column) <= where
    ]
    return f"{max(before)[1]}: {fault.problem}" if before else fault.problem


def _source(config: BotConfig, name: str) -> Source:
    for source in find_plugins(config.plugins.folder):
        if source.name == name:
            return source
    raise PluginError(say(zh=f"没有插件 {name} 了", en=f"there is no plugin {name} any more"))


def _card(source: Source, config: BotConfig) -> Card:
    enabled = source.name not in config.plugins.disabled
    bundled = getattr(source.origin, "parent", None) == BUNDLED
    try:
        found = describe_plugin(source)
    except PluginError as error:
        return Card(source.name, "", enabled, bundled, fault=str(error))
    written = config.plugins.settings.get(source.name, {})
    fields = tuple(_fields(source.name, found.settings, written)) if found.settings else ()
    about = about_plugin(source.name, found.about) if bundled else found.about
    return Card(source.name, about, enabled, bundled, fields)


# --- fields -------------------------------------------------------------------------------------


def _fields(plugin: str, settings: type[Settings], written: Mapping[str, Any]) -> Iterator[Field]:
    schema = settings.model_json_schema()
    required = schema.get("required", ())
    for name, part in schema.get("properties", {}).items():
        kind = _kind(part)
        value = written.get(name, part.get("default"))
        yield Field(
            name,
            kind,
            shown(kind, value),
            about_field(plugin, name, part.get("description", "")),
            name in required,
            tuple(part.get("enum", ())),
            part.get("minimum", part.get("exclusiveMinimum")),
            part.get("maximum", part.get("exclusiveMaximum")),
        )


def _kind(part: Mapping[str, Any]) -> Kind:
    if "enum" in part:
        return "choice"
    if part.get("type") == "array" and "prefixItems" not in part:
        return "lines" if part.get("items", {}).get("type") == "string" else "yaml"
    return _SIMPLE.get(str(part.get("type")), "yaml")


def shown(kind: Kind, value: Any) -> Any:
    """Return a setting's value as its input shows it."""
    if kind == "lines":
        items = value if isinstance(value, list | tuple) else []
        return "\n".join(str(item) for item in items)
    if kind == "text":
        return "" if value is None else str(value)
    if kind == "yaml":
        return "" if value is None else _dumped(value)
    return value


def meant(field: Field, value: Any) -> Any:
    """Return what an input holds as the value of its setting; None leaves it out.

    Raises:
        RensheError: it is no YAML.
    """
    if field.kind == "lines":
        return [line.strip() for line in str(value or "").splitlines() if line.strip()]
    if field.kind == "integer" and value is not None and float(value).is_integer():
        return int(value)
    if field.kind != "yaml":
        return value
    try:
        return YAML().load(str(value or ""))
    except (YAMLError, ValueError) as error:
        raise RensheError(
            say(zh=f"{field.name} 不是 YAML", en=f"{field.name} is no YAML"),
            fix=str(getattr(error, "problem", "") or ""),
            code="no-yaml",
        ) from None


def _change(card: Card, enabled: bool, values: Mapping[str, Any], data: CommentedMap) -> None:
    """Change only what was changed in the form, so that the rest stays as it was written."""
    if enabled != card.enabled:
        _switch(data, card.name, enabled)
    different = [one for one in card.fields if one.name in values and values[one.name] != one.value]
    if not different:
        return
    settings = child(child(child(data, "plugins", {}), "settings", {}), card.name, {})
    for field in different:
        value = meant(field, values[field.name])
        if value is None or (value == "" and field.required):
            settings.pop(field.name, None)
        else:
            settings[field.name] = value
    if not settings:
        del data["plugins"]["settings"][card.name]


def _switch(data: CommentedMap, name: str, enabled: bool) -> None:
    plugins = child(data, "plugins", {})
    disabled = child(plugins, "disabled", [])
    if not enabled:
        disabled.append(name)
        return
    while name in disabled:
        disabled.remove(name)
    if not disabled:
        del plugins["disabled"]
    if not plugins:
        del data["plugins"]


def _dumped(value: Any) -> str:
    yaml = YAML()
    yaml.width = 4096
    out = io.StringIO()
    yaml.dump(value, out)
    return out.getvalue().removesuffix("...\n").strip("\n")
