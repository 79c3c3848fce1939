"""Which plugins there are to run: all that can be read and get along with each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path

from bot.config import Plugins
from bot.errors import PluginError
from bot.plugin_loader import Plugin, Source, find_plugins, read_plugin
from trainer.errors import Fault
from trainer.language import say
from trainer.strict_yaml import Document

Find = Callable[[Path | None], list[Source]]


def read_plugins(
    settings: Plugins, document: Document | None, find: Find = find_plugins
) -> tuple[list[Plugin], list[Fault]]:
    """Read every plugin that is not disabled; one that is wrong becomes faults."""
    faults: list[Fault] = []
    try:
        sources = find(settings.folder)
    except PluginError as error:
        faults += error.faults
        sources = find(None)
    plugins: list[Plugin] = []
    for source in sources:
        if source.name in settings.disabled:
            continue
        try:
            plugin = read_plugin(source, settings_of(source.name, document))
            _refuse_clash(plugin, plugins)
            plugins.append(plugin)
        except PluginError as error:
            faults += error.faults
    return plugins, [*faults, *_unknown(settings, sources, document)]


def settings_of(name: str, document: Document | None) -> Document | None:
    """Return a plugin's part of ``renshe.yaml``, if it has one."""
    node = document.node("plugins", "settings", name) if document is not None else None
    return None if node is None or document is None else Document(document.path, node)


def _refuse_clash(plugin: Plugin, others: Sequence[Plugin]) -> None:
    """Refuse a second plugin of a name, or with a command that another has."""
    for other in others:
        names, taken = _commands_of(plugin), _commands_of(other)
        if other.name != plugin.name and not names & taken:
            continue
        what = ", ".join(sorted(names & taken)) or plugin.name
        raise PluginError(
            say(
                zh=f"插件 {plugin.name} 的 {what} 和插件 {other.name} 重了",
                en=f"plugin {plugin.name}: {what} is taken by plugin {other.name}",
            ),
            path=_path(plugin.source),
            fix=say(
                zh=f"改个名，或者写 plugins.disabled: [{other.name}]",
                en=f"rename it, or set plugins.disabled: [{other.name}]",
            ),
            code="plugin-clash",
        )


def _commands_of(plugin: Plugin) -> set[str]:
    return {name.casefold() for handler in plugin.handlers for name in handler.mark.names}


def _path(source: Source) -> Path | None:
    return source.origin if isinstance(source.origin, Path) else None


def _unknown(
    settings: Plugins, sources: Sequence[Source], document: Document | None
) -> list[Fault]:
    """Find names of plugins in ``renshe.yaml`` that there are not."""
    known = [source.name for source in sources]
    faults = []
    for name in [*settings.settings, *settings.disabled]:
        if name in known:
            continue
        near = get_close_matches(name, known, n=1)
        place = document.key_place("plugins", "settings", name) if document else None
        faults.append(
            Fault(
                say(zh=f"没有插件 {name}", en=f"there is no plugin {name}"),
                document.path if document else None,
                place.line if place else 0,
                place.column if place else 0,
                say(zh="有这些：", en="there are: ") + ", ".join(near or known),
                "no-plugin",
            )
        )
    return faults
