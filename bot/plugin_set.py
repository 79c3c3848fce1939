"""Which plugins there are to run: all that can be read and get along with each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from bot.config import Plugins
from bot.errors import PluginError
from bot.plugin_loader import Plugin, Source, find_plugins, read_plugin
from bot.plugin_thread import in_thread
from trainer.errors import Fault
from trainer.language import say
from trainer.strict_yaml import Document

Find = Callable[[Path | None], list[Source]]


@dataclass
class Reading:
    """What became of reading every plugin.

    Attributes:
        plugins: those that can run.
        faults: what is wrong with the others.
        failed: the names of the others.
        is_whole: the plugins folder could be looked into.
    """

    plugins: list[Plugin] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)
    is_whole: bool = True

    def is_missing_by_fault(self, name: str) -> bool:
        """Tell whether a plugin is not among them, though nobody has taken it out."""
        if any(plugin.name == name for plugin in self.plugins):
            return False
        return name in self.failed or not self.is_whole


def read_plugins(
    settings: Plugins, document: Document | None, find: Find = find_plugins
) -> Reading:
    """Read every plugin that is not disabled; one that is wrong becomes faults."""
    reading = Reading()
    try:
        sources = find(settings.folder)
    except PluginError as error:
        reading.faults += error.faults
        reading.is_whole = False
        sources = find(None)
    for source in sources:
        if source.name in settings.disabled:
            continue
        try:
            plugin = _read(source, settings_of(source.name, document), settings.timeout)
            _refuse_clash(plugin, reading.plugins)
            reading.plugins.append(plugin)
        except PluginError as error:
            reading.faults += error.faults
            reading.failed.add(source.name)
    reading.faults += _unknown(settings, sources, document)
    return reading


def _read(source: Source, own: Document | None, seconds: float) -> Plugin:
    """Read a plugin, unless its top level hangs."""
    reading = in_thread(read_plugin, source, own)
    try:
        return reading.result(seconds)
    except RuntimeError as error:
        raise PluginError(f"{source.name}: {error}", path=_path(source), code="plugin") from None
    except TimeoutError:
        raise PluginError(
            say(
                zh=f"插件 {source.name} {seconds:g} 秒还没有读完，它的顶层代码卡住了",
                en=f"plugin {source.name} was not read within {seconds:g} s: its top level hangs",
            ),
            path=_path(source),
            fix=say(
                zh=f"把要等的事放进函数里，或者写 plugins.disabled: [{source.name}]",
                en=f"wait inside a function instead, or set plugins.disabled: [{source.name}]",
            ),
            code="plugin",
        ) from None


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
