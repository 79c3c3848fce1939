import codecs
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer import dataset_rows
from trainer.dataset_rows import Row, iter_rows
from trainer.errors import DatasetError, Fault


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.json"


def read(path: Path, content: bytes | str) -> list[Row | Fault]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(iter_rows(path))


def values(found: list[Row | Fault]) -> list[tuple[object, int, int]]:
    return [(row.value, row.line, row.item) for row in found if isinstance(row, Row)]


def faults(found: list[Row | Fault]) -> list[tuple[str, int, int]]:
    return [(one.code, one.line, one.column) for one in found if isinstance(one, Fault)]


# --- what is read ---


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_keep_their_numbers(path: Path, end: str) -> None:
    found = read(path, end.join(["", '{"a": 1}', "  ", '{"a": "\u2028\x85"}', ""]))
    assert values(found) == [({"a": 1}, 2, 0), ({"a": "\u2028\x85"}, 4, 0)]


def test_the_last_line_needs_no_end(path: Path) -> None:
    assert values(read(path, '{"a": 1}\n{"a": 2}')) == [({"a": 1}, 1, 0), ({"a": 2}, 2, 0)]


def test_items_of_an_array_have_number_and_line(path: Path) -> None:
    found = read(path, '\n [\n  {"a": 1}, {"a":\n 2},\n\n{"a": 3}\n]\n')
    assert values(found) == [({"a": 1}, 3, 1), ({"a": 2}, 3, 2), ({"a": 3}, 6, 3)]
    assert not faults(found)


@pytest.mark.parametrize("content", ["", "\n\n", "[]", " [ ] \n", "\ufeff"])
def test_a_file_without_rows(path: Path, content: str) -> None:
    assert read(path, content) == []


@pytest.mark.parametrize("content", ['{"a": 1}\n', '[{"a": 1}]'])
def test_a_byte_order_mark_is_skipped(path: Path, content: str) -> None:
    assert [row[0] for row in values(read(path, codecs.BOM_UTF8 + content.encode()))] == [{"a": 1}]


rows = st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=8), max_size=3), max_size=5)


@settings(deadline=None)
@given(rows, st.sampled_from([None, 2]))
def test_arrays_and_lines_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[object], indent: int | None
) -> None:
    path = tmp_path_factory.mktemp("rows") / "data.json"
    array = json.dumps(wanted, ensure_ascii=False, indent=indent)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in wanted)
    assert [row[0] for row in values(read(path, array))] == wanted
    assert [row[0] for row in values(read(path, lines))] == wanted


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:\\u0a1 \n').map(str.encode))
def test_no_content_is_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    for row in read(tmp_path_factory.mktemp("rows") / "data.json", content):
        assert isinstance(row, Row) or (row.line and row.problem and row.fix)


# --- what is broken ---


def test_reading_goes_on_after_a_broken_line(path: Path) -> None:
    found = read(path, '{"a": 1}\n{"a": }\nhello\n{"a": 4} {"a": 5}\n{"a": 6}\n')
    assert [row[0] for row in values(found)] == [{"a": 1}, {"a": 6}]
    assert faults(found) == [("bad-json", 2, 7), ("bad-json", 3, 1), ("bad-json", 4, 10)]


@pytest.mark.parametrize("keep", range(1, 21))
def test_a_cut_off_last_line_is_told_from_a_mistake(path: Path, keep: int) -> None:
    found = read(path, b'{"a": 1}\n' + '{"问": "答", "n": true}'.encode()[:keep])
    assert faults(found) == [("cut-off", 2, 0)]


def test_a_cut_off_line_may_have_an_end(path: Path) -> None:
    assert faults(read(path, '{"a": 1}\n{"a": "so\n')) == [("cut-off", 2, 0)]


def test_a_cut_off_array(path: Path) -> None:
    for content in ('[{"a": 1},\n{"a"', '[{"a": 1},\n', '[{"a": 1}\n', '[{"a": 1},\n{"a": tr'):
        found = read(path, content)
        assert [code for code, *_ in faults(found)] == ["cut-off"]
        assert [row[0] for row in values(found)] == [{"a": 1}]


def test_a_broken_item_has_number_and_place(path: Path) -> None:
    found = read(path, '[{"a": 1},\n {"a" 2},\n {"a": 3}]')
    assert faults(found) == [("bad-json", 2, 7)]
    assert "item 2" in str(found[-1]) or "第 2 项" in str(found[-1])


@pytest.mark.parametrize("content", ['[{"a": 1} {"a": 2}]', '[{"a": 1},]', '[{"a": 1}] and more'])
def test_a_broken_array(path: Path, content: str) -> None:
    assert [code for code, *_ in faults(read(path, content))] == ["bad-json"]


def test_text_that_json_cannot_hold(path: Path) -> None:
    deep, long = "[" * 100_000, "1" * 5_000
    found = read(path, f'{{"a": {deep}\n{{"a": {long}}}\n{{"a": 1}}\n')
    assert [(code, line) for code, line, _ in faults(found)] == [("bad-json", 1), ("bad-json", 2)]


def test_gbk_is_named(path: Path) -> None:
    found = read(path, b'{"a": 1}\n' + '{"问": "你是谁"}'.encode("gbk") + b"\n")
    assert faults(found) == [("not-utf8", 2, 3)]
    assert "GBK" in str(found[-1])


def test_a_stray_byte_in_an_array_has_its_line(path: Path) -> None:
    found = read(path, '[{"问": 1},\n{"问": "'.encode() + b'\xff"}]')
    assert faults(found) == [("not-utf8", 2, 8)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_wide_encodings_are_named(path: Path, encoding: str) -> None:
    found = read(path, '{"a": 1}\n'.encode(encoding))
    assert faults(found) == [("not-utf8", 1, 0)]
    assert "UTF-16" in str(found[0]) or "UTF-32" in str(found[0])


def test_a_line_without_end_does_not_fill_the_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_rows, "MAX_LINE_BYTES", 1 << 20)
    found = read(path, '{"a": 1}\n' + "x" * (3 << 20))
    assert faults(found) == [("too-large", 2, 0)]
    monkeypatch.setattr(dataset_rows, "MAX_ARRAY_BYTES", 1 << 20)
    assert faults(read(path, "[" + " " * (2 << 20) + "]")) == [("too-large", 1, 0)]


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DatasetError) as error:
            list(iter_rows(place))
        assert error.value.faults[0].path == place
        assert error.value.faults[0].fix
