"""Finds plugins and makes them ready: one bad file is named, and the others run.

They are looked for in three places: the ``plugins`` folder beside this package, the folder
that ``renshe.yaml`` names, and the entry points ``renshe.plugins`` of installed packages.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from bot.errors import PluginError
from bot.plugin import (
    MARK,
    Arguments,
    Bot,
    Event,
    Kind,
    Mark,
    Outcome,
    Outgoing,
    Problem,
    Prompt,
    Reply,
    Said,
    Session,
    Settings,
    Storage,
)
from trainer.errors import Fault
from trainer.language import say
from trainer.strict_yaml import Document, fit

GROUP = "renshe.plugins"
BUNDLED = Path(__file__).parents[1] / "plugins"
_PACKAGE = "renshe_plugins"

_ALWAYS = (Bot, Storage)
OFFERED: dict[Kind, tuple[Any, ...]] = {
    "command": (*_ALWAYS, Event, Session, Arguments),
    "message": (*_ALWAYS, Event, Session),
    "before_prompt": (*_ALWAYS, Event, Session, Prompt),
    "after_reply": (*_ALWAYS, Event, Session, Said),
    "before_send": (*_ALWAYS, Reply),
    "after_sent": (*_ALWAYS, Outgoing, Outcome),
    "on_error": (*_ALWAYS, Problem),
    "every": _ALWAYS,
    "daily": _ALWAYS,
}
"""What a function may ask for, by its mark; besides its plugin's own settings."""


@dataclass(frozen=True)
class Source:
    """Where a plugin is: a file, or an entry point."""

    name: str
    origin: Path | EntryPoint


@dataclass(frozen=True, eq=False)  # each is itself: a plugin that is read anew has others
class Handler:
    """A marked function with what it asks for.

    Attributes:
        plugin: the plugin's name.
        function: what is called.
        mark: when.
        wants: the type of each parameter by its name.
    """

    plugin: str
    function: Callable[..., Any]
    mark: Mark
    wants: dict[str, Any]

    @cached_property
    def is_async(self) -> bool:
        """Whether it has to be awaited."""
        return inspect.iscoroutinefunction(self.function)


@dataclass(frozen=True)
class Plugin:
    """A plugin that was read.

    Attributes:
        name: the name of its file or entry point.
        about: the first line of its docstring.
        source: to read it again from.
        handlers: its marked functions, in the order of the file.
        settings: its settings, if it has any.
    """

    name: str
    about: str
    source: Source
    handlers: tuple[Handler, ...]
    settings: Settings | None


def find_plugins(folder: Path | None, bundled: Path = BUNDLED) -> list[Source]:
    """Return every plugin there is: the bundled, those of ``folder``, the installed; by name.

    Raises:
        PluginError: ``folder`` is no folder.
    """
    if folder is not None and not folder.is_dir():
        raise PluginError(
            say(zh="没有这个插件文件夹", en="there is no such plugins folder"),
            path=folder,
            fix=say(zh="检查 plugins.folder", en="check plugins.folder"),
            code="plugin-folder",
        )
    files = [*_files(bundled), *(_files(folder) if folder else ())]
    installed = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    return [
        *(Source(path.stem, path) for path in files),
        *(Source(entry.name, entry) for entry in installed),
    ]


def read_plugin(source: Source, settings: Document | None = None) -> Plugin:
    """Read one plugin.

    Args:
        source: where it is.
        settings: its part of ``renshe.yaml``.

    Raises:
        PluginError: with its place: it cannot be read, asks for what there is not, or its
            settings are wrong.
    """
    module = _import(source)
    kind = _settings_class(module, source.name)
    handlers = tuple(_handlers(module, source.name, kind))
    if not handlers:
        raise _refused(module, say(zh="里面没有插件函数", en="no function in it is marked"))
    return Plugin(source.name, _about(module), source, handlers, _fill(kind, source.name, settings))


@dataclass(frozen=True)
class Description:
    """What a plugin says of itself, whatever its settings are.

    Attributes:
        about: the first line of its docstring.
        settings: the class of its settings, if it has any.
    """

    about: str
    settings: type[Settings] | None


def describe_plugin(source: Source) -> Description:
    """Read a plugin, without its settings.

    Raises:
        PluginError: it cannot be read.
    """
    module = _import(source)
    return Description(_about(module), _settings_class(module, source.name))


def _about(module: ModuleType) -> str:
    return (inspect.getdoc(module) or "").partition("\n")[0]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))


def _import(source: Source) -> ModuleType:
    try:
        if isinstance(source.origin, Path):
            return _import_file(source.name, source.origin)
        module = source.origin.load()
    except (Exception, SystemExit) as error:  # a plugin's top level is anyone's code
        raise _broken(source, error) from error
    if not isinstance(module, ModuleType):
        raise PluginError(
            say(
                zh=f"插件 {source.name} 的入口点不是模块",
                en=f"the entry point of plugin {source.name} is no module",
            ),
            fix=f'{GROUP}: {source.name} = "package.module"',
            code="plugin",
        )
    return module


def _import_file(name: str, path: Path) -> ModuleType:
    """Run a file as a module of its own; reading it again gives a new one."""
    full_name = f"{_PACKAGE}.{name}"
    spec = importlib.util.spec_from_file_location(full_name, path)
    if spec is None or spec.loader is None:
        raise ImportError(str(path))
    module = importlib.util.module_from_spec(spec)
    # Registered, since pydantic looks annotations up there.
    before = sys.modules.get(full_name)
    sys.modules[full_name] = module
    try:  # not through the loader, which may take a stale .pyc for a file changed just now
        exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        if sys.modules.get(full_name) is module:  # not read again since, while this one hung
            sys.modules.pop(full_name)
            if before is not None:
                sys.modules[full_name] = before
        raise
    return module


def _broken(source: Source, error: BaseException) -> PluginError:
    """Word what a plugin raised when it was read, with the line of its own that raised it."""
    path = source.origin if isinstance(source.origin, Path) else None
    line = error.lineno or 0 if isinstance(error, SyntaxError) else 0
    for frame in traceback.extract_tb(error.__traceback__):
        if path is not None and frame.filename == str(path):
            line = frame.lineno or 0
    told = error.msg if isinstance(error, SyntaxError) else f"{type(error).__name__}: {error}"
    return PluginError(
        say(zh=f"插件 {source.name} 读不了：{told}", en=f"plugin {source.name}: {told}"),
        path=path,
        line=line,
        fix=say(
            zh=f"改好它，或者写 plugins.disabled: [{source.name}]",
            en=f"mend it, or set plugins.disabled: [{source.name}]",
        ),
        code="plugin",
    )


def _settings_class(module: ModuleType, name: str) -> type[Settings] | None:
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Settings)
        and value.__module__ == module.__name__
    ]
    if len(found) > 1:
        names = ", ".join(kind.__name__ for kind in found)
        raise _refused(
            module,
            say(
                zh=f"插件 {name} 有几个 Settings：{names}",
                en=f"plugin {name} has several Settings: {names}",
            ),
        )
    return found[0] if found else None


def _handlers(module: ModuleType, name: str, settings: type[Settings] | None) -> Iterator[Handler]:
    own = (settings,) if settings else ()
    for function in filter(inspect.isfunction, list(vars(module).values())):
        marks = getattr(function, MARK, ())
        for mark in marks if function.__module__ == module.__name__ else ():
            allowed = (*OFFERED[mark.kind], *own)
            yield Handler(name, function, mark, _wants(module, function, allowed))


def _wants(
    module: ModuleType, function: Callable[..., Any], allowed: tuple[Any, ...]
) -> dict[str, Any]:
    """Return the type of each parameter; a type that nobody can hand in is refused."""
    try:
        hints = get_type_hints(function)
    except Exception as error:
        raise _refused(module, f"{function.__name__}: {error}", function) from error
    wants = {}
    for parameter in inspect.signature(function).parameters:
        kind = hints.get(parameter)
        if kind not in allowed:
            known = ", ".join(sorted(getattr(one, "__name__", str(one)) for one in allowed))
            raise _refused(
                module,
                say(
                    zh=f"{function.__name__} 的参数 {parameter} 要标注为其中之一：{known}",
                    en=f"parameter {parameter} of {function.__name__} needs one of these "
                    f"annotations: {known}",
                ),
                function,
            )
        wants[parameter] = kind
    return wants


def _refused(
    module: ModuleType, problem: str, function: Callable[..., Any] | None = None
) -> PluginError:
    line = function.__code__.co_firstlineno if inspect.isfunction(function) else 0
    return PluginError(
        problem,
        path=module.__file__,
        line=line,
        fix=say(zh="看 plugins/README.md", en="see plugins/README.md"),
        code="plugin",
    )


def _fill(kind: type[Settings] | None, name: str, settings: Document | None) -> Settings | None:
    """Make a plugin's settings of its part of ``renshe.yaml``."""
    if kind is None:
        if settings is not None:
            place = settings.root.place
            fault = settings.fault(
                place,
                say(zh=f"插件 {name} 没有设置", en=f"plugin {name} has no settings"),
                say(zh="删掉它", en="delete it"),
                "plugin-settings",
            )
            raise PluginError(faults=(fault,))
        return None
    if settings is None:
        return _defaults(kind, name)
    filled, faults = fit(settings, kind)
    if filled is None:
        raise PluginError(faults=tuple(faults))
    return filled


def _defaults(kind: type[Settings], name: str) -> Settings:
    missing = [key for key, field in kind.model_fields.items() if field.is_required()]
    if missing:
        faults = tuple(
            Fault(
                say(zh=f"插件 {name} 缺了设置 {key}", en=f"plugin {name} needs the setting {key}"),
                fix=f"plugins: {{settings: {{{name}: {{{key}: …}}}}}}",
                code="plugin-settings",
            )
            for key in missing
        )
        raise PluginError(faults=faults)
    return kind()
