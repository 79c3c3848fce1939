"""The flags of an official ptuning script (``train.sh``, ``train_chat.sh``) as our settings.

Whoever trained ChatGLM2 before has such a script, and knows it by heart. Read as it is,
it trains what it would have trained, and says of each flag what becomes of it. What the
script leaves out is as in the official code (THUDM/ChatGLM2-6B, ``ptuning/main.py`` and
``arguments.py``, over the defaults of transformers' ``Seq2SeqTrainingArguments``).
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.config import TrainConfig
from trainer.errors import Fault, SourceError
from trainer.language import say
from trainer.official_flags import OFFICIAL, PLACES, SETTINGS, ignored, refused, unknown
from trainer.shell_words import Word, commands
from trainer.strict_yaml import parse_yaml, read_text

if TYPE_CHECKING:
    from trainer.training_set import TrainingSet


@dataclass(frozen=True)
class Note:
    """What becomes of one flag: taken, or ignored and why."""

    flag: str
    value: str
    taken: bool
    why: str = ""

    def __str__(self) -> str:
        fate = say(zh="采用", en="taken") if self.taken else say(zh="忽略", en="ignored")
        said = f"--{self.flag} {self.value}".rstrip()
        return f"{said}: {fate}{say(zh='，', en=', ') if self.why else ''}{self.why}"


@dataclass(frozen=True)
class OfficialScript:
    """A script, read.

    Attributes:
        config: its settings, over those of the official code.
        base: folder of the base, unless an option gives it.
        train_file: what it trains on, unless an option gives it.
        validation_file: what is kept for the dev loss.
        columns: names of the data's columns by option.
        out: where it writes.
        notes: what became of each flag, in the order of the script.
        filled: settings that the script leaves to the official code.
    """

    config: TrainConfig
    base: str | None = None
    train_file: Path | None = None
    validation_file: Path | None = None
    columns: dict[str, str] = field(default_factory=dict)
    out: Path | None = None
    notes: tuple[Note, ...] = ()
    filled: dict[str, Any] = field(default_factory=dict)

    def training_set(
        self, persona: Path | None, columns: Mapping[str, str | None]
    ) -> TrainingSet | None:
        """Read the script's data, if it names any.

        Args:
            persona: the file of the persona whose data it is.
            columns: names that win over the script's.

        Raises:
            SourceError: the persona is wrong.
            DatasetError: the data is wrong, or is missing its persona.
        """
        from trainer.training_set import Columns, load_files

        if self.train_file is None:
            return None
        prompt, response, history = (
            columns.get(name) or self.columns.get(name)
            for name in ("prompt_column", "response_column", "history_column")
        )
        named = Columns(prompt, response, history)
        return load_files(self.train_file, self.validation_file, persona, named)

    def lines(self) -> Iterator[str]:
        """Yield what to tell the user: a line a flag, and one of what the script leaves out."""
        yield from map(str, self.notes)
        told = ", ".join(f"{name}={_plain(value)}" for name, value in self.filled.items())
        yield say(
            zh=f"脚本没写的按官方代码：{told}",
            en=f"what the script leaves out is as in the official code: {told}",
        )


def open_script(name: str, given: Collection[str] = ()) -> OfficialScript:
    """Read a script from a file, or from standard input where ``name`` is ``-``.

    Raises:
        SourceError: see :func:`read_script`; or there is no such file.
    """
    if name == "-":
        return read_script(sys.stdin.read(), Path("stdin"), given)
    return read_script(read_text(name), Path(name), given)


def read_script(text: str, path: Path, given: Collection[str] = ()) -> OfficialScript:
    """Read the command of a script that runs ``main.py``.

    Args:
        text: the script.
        path: its place, for faults.
        given: settings, and options of ``renshe train`` (``base``, ``source``, ``out``,
            ``prompt_column`` …), that are given explicitly and win over the script.

    Raises:
        SourceError: with every flag that cannot be followed, its line and what to do.
    """
    reader = _Reader(path, frozenset(given))
    for word, value in _flags(text, path):
        reader.take(word, value)
    return reader.finished()


# --- from words to flags ---------------------------------------------------------------------


def _flags(text: str, path: Path) -> list[tuple[Word, Word | None]]:
    """Return the flags of the one command that runs ``main.py``, each with its value."""
    found = [
        (place, command)
        for command in commands(text, path)
        if (place := _main(command, path)) is not None
    ]
    if len(found) != 1:
        raise _not_one_command(path, found)
    place, command = found[0]
    flags: list[tuple[Word, Word | None]] = []
    for word in command[place + 1 :]:
        if word.text.startswith("--"):
            name, equals, value = word.text[2:].partition("=")
            flag = Word(name.replace("-", "_"), word.line)
            flags.append((flag, replace(word, text=value) if equals else None))
        elif flags and flags[-1][1] is None:
            flags[-1] = (flags[-1][0], word)
        else:
            raise SourceError(
                say(zh=f"{word.text!r} 不属于任何参数", en=f"{word.text!r} belongs to no flag"),
                path=path,
                line=word.line,
                fix=say(
                    zh="参数以 -- 开头，带空格的值要加引号",
                    en="a flag begins with --, and a value with spaces takes quotes",
                ),
                code="script-word",
            )
    return flags


def _main(command: list[Word], path: Path) -> int | None:
    """Return where ``main.py`` stands in a command, if it does."""
    if command[0].text.startswith("--"):
        raise SourceError(
            say(
                zh=f"{command[0].text} 前面没有命令",
                en=f"there is no command before {command[0].text}",
            ),
            path=path,
            line=command[0].line,
            fix=say(
                zh="上一行要以反斜杠结尾，后面不能有空格或注释",
                en="end the line above with a backslash, without a space or comment after it",
            ),
            code="script-broken-line",
        )
    places = [i for i, word in enumerate(command) if word.text.split("/")[-1] == "main.py"]
    return places[0] if places else None


def _not_one_command(path: Path, found: list[tuple[int, list[Word]]]) -> SourceError:
    lines = ", ".join(str(command[0].line) for _, command in found)
    return SourceError(
        say(zh=f"第 {lines} 行都运行 main.py", en=f"lines {lines} each run main.py")
        if found
        else say(zh="这里没有运行 main.py 的命令", en="no command here runs main.py"),
        path=path,
        line=found[1][1][0].line if found else 0,
        fix=say(
            zh="只留一条训练命令，如 python3 main.py --do_train …",
            en="keep one command that trains, like python3 main.py --do_train ...",
        ),
        code="script-command",
    )


# --- from flags to settings ------------------------------------------------------------------


class _Reader:
    """Takes flag after flag; collects settings, places, notes and faults."""

    def __init__(self, path: Path, given: frozenset[str]) -> None:
        self._path, self._given = path, given
        self._settings: dict[str, Any] = {}
        self._places: dict[str, str] = {}
        self._notes: dict[str, Note] = {}
        self._faults: list[Fault] = []
        self._trains = False

    def take(self, flag: Word, value: Word | None) -> None:
        """Take one flag; of one that is given twice, the last counts, as for argparse."""
        name, text = flag.text, value.text if value else ""
        if winner := self._winner(name):
            self._notes[name] = _overruled(name, text, winner)
        elif value and value.unknown:
            self._refuse_unknown(flag, value.unknown)
        elif name in (*SETTINGS, *PLACES) and not text:
            self._refuse(flag, *_no_value(name))
        elif name in SETTINGS:
            self._set(flag, text)
        elif name in PLACES:
            self._place(flag, text)
        elif cannot := refused(name, text):
            self._refuse(flag, *cannot)
        elif (why := ignored(name)) is not None:
            self._trains |= name == "do_train" and text.lower() in ("", "true", "1")
            self._notes[name] = Note(name, text, taken=False, why=why)
        else:
            self._refuse(flag, *unknown(name))

    def finished(self) -> OfficialScript:
        """Return the script; raise every fault there was."""
        self._refuse_missing()
        if self._faults:
            raise SourceError(faults=tuple(self._faults))
        files = {name: Path(text) for name, text in self._places.items() if name.endswith("file")}
        columns = {n: text for n, text in self._places.items() if n.endswith("_column")}
        out = self._places.get("output_dir")
        filled = {
            name: value
            for name, value in OFFICIAL.items()
            if name not in self._settings and name not in self._given
        }
        return OfficialScript(
            TrainConfig(**{**OFFICIAL, **self._settings}),
            base=self._places.get("model_name_or_path"),
            train_file=files.get("train_file"),
            validation_file=files.get("validation_file"),
            columns=columns,
            out=Path(out) if out else None,
            notes=tuple(self._notes.values()),
            filled=filled,
        )

    def _winner(self, name: str) -> str:
        """Return the setting or option that was given explicitly and wins over a flag."""
        option = SETTINGS.get(name) or PLACES.get(name, "")
        # A source of the user's own has its own columns.
        if option.endswith("_column") and "source" in self._given:
            return "source"
        return option if option in self._given else ""

    def _set(self, flag: Word, text: str) -> None:
        setting = SETTINGS[flag.text]
        value: Any = text
        if setting != "prefix_init":
            one, faults = parse_yaml(f"{setting}: {text}\n", TrainConfig, self._path)
            if one is None or one.model_fields_set != {setting}:
                first = faults[0] if faults else Fault(say(zh="不是一个值", en="is not a value"))
                self._refuse(flag, f"--{flag.text} {text}: {first.problem}", first.fix)
                return
            value = getattr(one, setting)
        self._settings[setting] = value
        self._notes[flag.text] = Note(flag.text, text, taken=True)

    def _place(self, flag: Word, text: str) -> None:
        if PLACES[flag.text] == "base" and not (Path(text) / "config.json").is_file():
            self._refuse(
                flag,
                say(
                    zh=f"这里没有 {text} 这个模型文件夹",
                    en=f"there is no model folder {text} here",
                ),
                say(
                    zh="不从网上下载模型：用 --base 指出官方文件夹在哪里",
                    en="models are not fetched from a hub: say where its folder is, --base PATH",
                ),
            )
            return
        self._places[flag.text] = text
        self._notes[flag.text] = Note(flag.text, text, taken=True)

    def _refuse(self, flag: Word, problem: str, fix: str) -> None:
        self._faults.append(Fault(problem, self._path, flag.line, fix=fix, code="script-flag"))

    def _refuse_unknown(self, flag: Word, what: str) -> None:
        name = what.strip("${}")
        if name.isidentifier() and what[0] == "$":
            problem = say(zh=f"变量 {name} 没有值", en=f"the variable {name} has no value")
            fix = say(zh=f"在脚本开头加一行 {name}=…", en=f"begin the script with {name}=...")
        else:
            problem = say(
                zh=f"{what} 要运行才知道，而脚本不会被运行",
                en=f"{what} is known only to a shell, and nothing is run here",
            )
            fix = say(zh="把它换成它的值", en="write its value instead")
        self._refuse(flag, f"--{flag.text}: {problem}", fix)

    def _refuse_missing(self) -> None:
        known = self._given | self._settings.keys()
        wrong = bool(self._faults)  # a refused flag is not missing, it is wrong
        if not self._trains:
            self._missing(
                say(zh="这个脚本不训练：没有 --do_train", en="it does not train: no --do_train"),
                say(
                    zh="用 train.sh；评测用 renshe eval",
                    en="use train.sh; to evaluate, renshe eval",
                ),
            )
        if "pre_seq_len" not in known and not wrong:
            self._missing(
                say(
                    zh="没有 --pre_seq_len：这个脚本训练全部权重",
                    en="without --pre_seq_len the script trains all the weights",
                ),
                "--set pre_seq_len=128",
            )
        if "max_steps" not in known and not wrong:
            self._missing(
                say(
                    zh="没有 --max_steps：官方代码会练 3 轮（epoch），这里按步数练",
                    en="without --max_steps the official code trains 3 epochs; here it is steps",
                ),
                "--set max_steps=3000",
            )

    def _missing(self, problem: str, fix: str) -> None:
        self._faults.append(Fault(problem, self._path, fix=fix, code="script-missing"))


def _overruled(flag: str, text: str, option: str) -> Note:
    name = {"source": "SOURCE"}.get(
        option, option if option in TrainConfig.model_fields else f"--{option}"
    )
    return Note(
        flag, text, taken=False, why=say(zh=f"已经给了 {name}", en=f"{name} is given and wins")
    )


def _no_value(name: str) -> tuple[str, str]:
    return (
        say(zh=f"--{name} 后面没有值", en=f"--{name} has no value"),
        say(zh="写上它的值", en="write its value"),
    )


def _plain(value: Any) -> str:
    return "none" if value is None else str(value)
