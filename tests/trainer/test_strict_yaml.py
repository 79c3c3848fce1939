"""Reading YAML strictly: every fault at once, each in its place."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from trainer.errors import SourceError
from trainer.strict_yaml import parse_yaml, read_document, read_text
from trainer.strict_yaml.reader import MAX_FAULTS
from trainer.strict_yaml.source import MAX_BYTES
from trainer.strict_yaml.tree import typed

DATA = Path(__file__).parent.parent / "data" / "personas"


@pytest.fixture(autouse=True)
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RENSHE_LANG", "zh")


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    words: tuple[str, ...] = ()
    rate: Annotated[float, Field(gt=0, le=1)] = 0.5


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: Annotated[str, Field(min_length=1, max_length=10)]
    steps: Annotated[int, Field(ge=1)] = 1
    mode: Literal["fast", "slow"] = "fast"
    shout: bool = False
    note: str | None = None
    either: int | bool = 0
    inner: Inner = Inner()
    more: dict[str, Inner] = {}
    many: list[Inner] = []


Found = list[tuple[str, int, int]]


def faults(text: str) -> Found:
    made, found = parse_yaml(text, Settings, Path("s.yaml"))
    assert (made is None) == bool(found)
    assert all(fault.problem and fault.fix and fault.path == Path("s.yaml") for fault in found)
    return [(fault.code, fault.line, fault.column) for fault in found]


def accepted(text: str) -> Settings:
    made, found = parse_yaml(text, Settings)
    assert made is not None, [str(fault) for fault in found]
    return made


def test_a_right_file() -> None:
    made = accepted("title: 雪\nsteps: 20\ninner: {words: [a, b], rate: 3e-2}\nmany:\n- rate: 1\n")
    assert (made.title, made.steps, made.inner.words, made.inner.rate) == (
        "雪",
        20,
        ("a", "b"),
        0.03,
    )
    assert made.many[0].rate == 1.0


@pytest.mark.parametrize(
    "written", ["no", "yes", "12", "1.50", "true", "~", "null", "0x1F", "3:30"]
)
def test_plain_scalars_are_text_as_written_where_text_is_wanted(written: str) -> None:
    assert accepted(f"title: {written}").title == written
    assert accepted(f"title: a\ninner: {{words: [{written}]}}").inner.words == (written,)


def test_nothing_after_a_key_is_a_key_left_out() -> None:
    made = accepted("title: a\nsteps:\nmode:\nnote:\ninner:\n  words:\n")
    assert made == Settings(title="a")
    assert faults("title:\nsteps:\n") == [("missing-value", 1, 1)]
    assert faults("title: ''") == [("empty-text", 1, 8)]
    assert faults("title: a\ninner: {words: [a, '']}") == []  # this model allows it


def test_every_fault_comes_at_once_in_order() -> None:
    text = """\
titel: a
steps: many
mode: fsat
shout: maybe
inner:
  words: one
  rate: 2
  wrods: [a]
more:
  x: {rate: [1]}
many:
  - rate: -1
  - just text
note: {a: b}
either: [x]
steps: 3
"""
    assert faults(text) == [
        ("missing-key", 1, 1),
        ("unknown-key", 1, 1),
        ("wrong-type", 2, 8),
        ("wrong-choice", 3, 7),
        ("wrong-type", 4, 8),
        ("wrong-type", 6, 10),
        ("out-of-range", 7, 9),
        ("unknown-key", 8, 3),
        ("wrong-type", 10, 13),
        ("out-of-range", 12, 11),
        ("wrong-type", 13, 5),
        ("wrong-type", 14, 7),
        ("wrong-type", 15, 9),
        ("repeated-key", 16, 1),
    ]


@pytest.mark.parametrize(
    ("text", "problem", "fix"),
    [
        ("titel: a", "缺了 title", "title: …"),
        ("title: a\nstesp: 1", "不认识的键 stesp", "是不是 steps"),
        ("title: a\ninner: {名字: 1}", "不认识的键 名字", "words、rate"),
        ("title: a\nmode: fsat", "只能是 fast、slow 之一，这里是“fsat”", "改成 fast"),
        ("title: a\ninner: {words: one}", "应该是列表，这里是“one”", "写成 [one]"),
        ("title: [a]", "应该是文字，这里是列表", "引号"),
        ("title: a\nsteps: 0", "应该是≥ 1，这里是“0”", "范围"),
        ("title: 12345678901", "最多 10 个字，这里有 11 个字", "缩短"),
        ("title: a\nsteps: 1.5", "应该是整数，这里是“1.5”", "如 8"),
    ],
)
def test_what_is_said(text: str, problem: str, fix: str) -> None:
    _, found = parse_yaml(text, Settings)
    assert problem in found[0].problem
    assert fix in found[0].fix


def test_english_is_spoken_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RENSHE_LANG", "en")
    _, found = parse_yaml("title: a\nstesp: 1\ninner: {words: one}", Settings)
    assert [fault.problem for fault in found] == [
        "unknown key stesp",
        "expected a list, found “one”",
    ]
    assert found[0].fix == "did you mean steps?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [("empty-file", 1, 1)]),
        ("# nothing\n", [("empty-file", 2, 1)]),
        ("- a\n- b\n", [("not-a-mapping", 1, 1)]),
        ("title：雪\n", [("not-a-mapping", 1, 1)]),
        ("title: &x a\n", [("anchor", 1, 8)]),
        ("title: !!str a\n", [("tag", 1, 8)]),
        ("title: !python/object:os.system a\n", [("tag", 1, 8)]),
        ("title: a\nnote: *a\n", [("alias", 2, 7)]),
        ("title: a\nnote: **重要**\n", [("alias", 2, 7)]),
        ("title: a\n---\ntitle: b\n", [("several-documents", 2, 1)]),
        ("title: a\ntitle: b\n", [("repeated-key", 2, 1)]),
        ("title: a\n? [x]\n: b\n", [("bad-key", 2, 3)]),
        ("title: a\n<<: {steps: 1}\n", [("unknown-key", 2, 1)]),
        ("title: a\nmany: " + "[" * 30, [("too-deep", 2, 22)]),
        (
            "title: a\x07b\nnote: \u2028\n",
            [("control-character", 1, 9), ("control-character", 2, 7)],
        ),
        ("title: a\n\tsteps: 1\n", [("not-yaml", 2, 1)]),
        ("title: a\nsteps：1\nmode: fast\n", [("not-yaml", 2, 1)]),
        ("title: 'a\nsteps: 1\n", [("not-yaml", 1, 8)]),
        ("title: [a\nsteps: 1\n", [("not-yaml", 2, 6)]),
        ("title: a: b\n", [("not-yaml", 1, 9)]),
        ("title: @a\n", [("not-yaml", 1, 8)]),
        ('title: "\\d"\n', [("not-yaml", 1, 10)]),
    ],
)
def test_refused_outright(text: str, expected: Found) -> None:
    assert faults(text) == expected


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("title：雪\n", "全角冒号"),
        ("title: a\nsteps：1\nmode: fast\n", "全角冒号"),
        ("title:雪\n", "空一格"),
        ('title: "\\d"\n', "单引号"),
        ("title: a\n\tsteps: 1\n", "空格"),
        ("title: @a\n", "引号"),
    ],
)
def test_usual_slips_are_named(text: str, fix: str) -> None:
    assert fix in parse_yaml(text, Settings)[1][0].fix


def test_refusals_do_not_hide_what_follows() -> None:
    text = "title: &t a\nnote: *t\nsteps: none\n"
    assert faults(text) == [("anchor", 1, 8), ("alias", 2, 7), ("wrong-type", 3, 8)]


def test_an_anchor_bomb_is_refused_unexpanded() -> None:
    document, found = read_document(read_text(DATA / "bomb.yaml"))
    assert {fault.code for fault in found} == {"anchor", "alias"}
    assert len([fault for fault in found if fault.code == "alias"]) == 80
    assert document is not None and str(document.root.data()).count("x") == 10


def test_a_flood_of_faults_is_cut() -> None:
    assert len(read_document("a: [" + "*x, " * 5000)[1]) == MAX_FAULTS + 1
    assert MAX_FAULTS <= len(read_document("\x01" * 100_000)[1]) <= MAX_FAULTS + 1


def test_core_schema() -> None:
    assert [typed(text) for text in ("12", "-0x", "0x1F", "0o17", "3e-2", "1_000", "١٢")] == [
        *(12, "-0x", 31, 15, 0.03, "1_000", "١٢"),
    ]
    assert typed("9" * 5000) == "9" * 5000
    assert typed(".inf") == float("inf") and typed("-.inf") == -float("inf")
    assert [typed(text) for text in ("no", "on", "2024-01-01", "True")] == [
        *("no", "on", "2024-01-01", True),
    ]


def test_places_inside_text() -> None:
    document, _ = read_document('a: \'x"y\'\nb: "x\\ty"\nc: |\n  long\n')
    assert document is not None
    nodes = [document.node(key) for key in "abc"]
    assert [(node.inside(2).line, node.inside(2).column) for node in nodes if node] == [
        *((1, 7), (2, 4), (3, 4)),
    ]


WORDS = st.sampled_from(
    [
        *"a: \n-[]{}'\"\\Ux!|>#?%@,\t\x00\ud800：\r\u2028~9\ufeff雪",
        *("&a", "*a", "title", "steps: ", "---", "...", "%YAML 1.2"),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(WORDS, max_size=25).map("".join)))
@example("%YAML 1.0")  # the parser asserts
@example("---\n")  # the place is behind the last line
def test_no_text_makes_it_raise(text: str) -> None:
    made, found = parse_yaml(text, Settings)
    assert (made is None) == bool(found)
    assert all(fault.line >= 1 and fault.column >= 1 and fault.code for fault in found)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_text_or_a_fault(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data)
    try:
        text = read_text(path)
    except SourceError as error:
        (fault,) = error.faults
        assert fault.code == "not-utf8"
        assert 1 <= fault.line <= data.count(b"\n") + 1 and fault.column >= 1
    else:
        assert text.encode() == data.removeprefix(b"\xef\xbb\xbf")


def refused(path: Path) -> tuple[str, int, int, str]:
    with pytest.raises(SourceError) as caught:
        read_text(path)
    (fault,) = caught.value.faults
    assert fault.path == path
    return fault.code, fault.line, fault.column, fault.problem


def test_a_gbk_file() -> None:
    code, line, column, problem = refused(DATA / "gbk.yaml")
    assert (code, line, column) == ("not-utf8", 1, 7)
    assert "第 6 个字节" in problem and "0xE3" in problem and "GBK" in problem


def test_the_byte_offset_counts_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: b\nc: \xe9\x9b\xaa\xff")
    code, line, column, problem = refused(path)
    assert (code, line, column) == ("not-utf8", 2, 5)
    assert "第 14 个字节" in problem and "0xFF" in problem


def test_utf16_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("name: 雪", "utf-16")
    assert "UTF-16" in refused(path)[3]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.yaml")[0] == "not-found"
    assert refused(tmp_path)[0] == "not-a-file"
    assert refused(Path("a\0b"))[0] == "unreadable"
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (MAX_BYTES + 1))
    assert refused(large)[0] == "too-large"


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbftitle: a\n")
    assert accepted(read_text(path)).title == "a"
