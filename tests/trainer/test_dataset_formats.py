import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.chat import Message
from trainer.dataset_formats import MAX_FAULTS, read_examples, to_row
from trainer.errors import DatasetError, Fault
from trainer.example import Example


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.json"


def write(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def spoken(example: Example) -> list[str]:
    return [message.text for message in example.messages]


def faults(path: Path, rows: list[object], **columns: str) -> tuple[Fault, ...]:
    with pytest.raises(DatasetError) as error:
        read_examples(write(path, rows), **columns)
    assert all(fault.path == path and fault.problem and fault.fix for fault in error.value.faults)
    return error.value.faults


# --- layouts ---

SHORT = ["你是谁", "咱是沐雪"]
LONG = ["你好", "你好呀", *SHORT]

LAYOUTS = {
    "content and summary": ({"content": "你是谁", "summary": "咱是沐雪"}, SHORT),
    "prompt and completion": ({"prompt": "你是谁", "completion": "咱是沐雪", "history": []}, SHORT),
    "prompt and response": (
        {"prompt": "你是谁", "response": "咱是沐雪", "history": [["你好", "你好呀"]]},
        LONG,
    ),
    "null history": ({"prompt": "你是谁", "response": "咱是沐雪", "history": None}, SHORT),
    "sharegpt": (
        {
            "id": "1",
            "conversations": [
                {"from": "system", "value": ""},
                {"from": "human", "value": "你好"},
                {"from": "gpt", "value": "你好呀"},
                {"from": "user", "value": "你是谁"},
                {"from": "assistant", "value": "咱是沐雪"},
            ],
        },
        LONG,
    ),
    "chatglm3": (
        {
            "conversations": [
                {"role": "user", "content": "你是谁"},
                {"role": "assistant", "content": "咱是沐雪"},
            ]
        },
        SHORT,
    ),
    "openai": (
        {
            "messages": [
                {"role": "system", "content": "你是沐雪"},
                {"role": "user", "content": "你好"},
                {"role": "assistant", "content": "你好呀"},
                {"role": "developer", "content": "别卖萌"},
                {"role": "user", "content": "你是谁"},
                {"role": "assistant", "content": "咱是沐雪"},
            ]
        },
        LONG,
    ),
    "alpaca": ({"instruction": "你是谁", "input": "", "output": "咱是沐雪"}, SHORT),
    "alpaca with input": (
        {"instruction": "翻译", "input": "hello", "output": "你好"},
        ["翻译\nhello", "你好"],
    ),
    "alpaca with history": (
        {"instruction": "你是谁", "output": "咱是沐雪", "history": [["你好", "你好呀"]]},
        LONG,
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("array", [False, True])
def test_each_layout_is_recognized(path: Path, name: str, array: bool) -> None:
    row, expected = LAYOUTS[name]
    write(path, [[row, row]] if array else [row, row])
    for example in read_examples(str(path)):
        assert spoken(example) == expected
        assert example.kind == ("pair" if len(expected) == 2 else "dialogue")
        assert example.fact is None


def test_an_answer_of_weight_0_is_context_only(path: Path) -> None:
    turns = [
        {"role": "user", "content": "你好"},
        {"role": "assistant", "content": "我是ChatGLM", "weight": 0},
        {"role": "user", "content": "你是谁"},
        {"role": "assistant", "content": "咱是沐雪", "weight": 1},
    ]
    (example,) = read_examples(write(path, [{"messages": turns}]))
    assert [message.learn for message in example.messages] == [True, False, True, True]


def test_named_columns_win(path: Path) -> None:
    row = {
        "问": "你是谁",
        "答": "咱是沐雪",
        "前文": [["你好", "你好呀"]],
        "prompt": "x",
        "response": "y",
    }
    write(path, [row])
    columns = {"prompt_column": "问", "response_column": "答", "history_column": "前文"}
    assert spoken(read_examples(path, **columns)[0]) == LONG
    assert spoken(read_examples(path, prompt_column="问")[0]) == ["你是谁", "y"]
    assert spoken(read_examples(path, response_column="答")[0]) == ["x", "咱是沐雪"]


def test_naming_one_column_loses_nothing_of_the_others(path: Path) -> None:
    row = {"instruction": "翻译", "input": "hello", "output": "你好", "前文": [["在吗", "在"]]}
    (example,) = read_examples(write(path, [row]), history_column="前文")
    assert spoken(example) == ["在吗", "在", "翻译\nhello", "你好"]


texts = st.text(min_size=1, max_size=12).filter(lambda text: text.strip())
turns = st.lists(st.tuples(texts, texts, st.booleans()), min_size=1, max_size=3)


@settings(deadline=None)
@given(turns, texts, st.none() | texts)
def test_our_own_rows_come_back_whole(
    tmp_path_factory: pytest.TempPathFactory,
    rounds: list[tuple[str, str, bool]],
    kind: str,
    fact: str | None,
) -> None:
    messages = tuple(
        message
        for user, bot, learn in rounds
        for message in (Message("user", user), Message("assistant", bot, learn))
    )
    example = Example(messages, kind, fact)
    path = write(tmp_path_factory.mktemp("own") / "train.json", [to_row(example)])
    assert read_examples(path) == [example]


# --- broken rows ---

GOOD = {"prompt": "你是谁", "completion": "咱是沐雪"}
USER, BOT = {"role": "user", "content": "问"}, {"role": "assistant", "content": "答"}

BROKEN: dict[str, tuple[object, str, str]] = {
    "empty prompt": ({**GOOD, "prompt": " \n"}, "empty", "prompt"),
    "empty answer": ({**GOOD, "completion": ""}, "empty", "completion"),
    "number": ({**GOOD, "prompt": 5}, "wrong-type", "number"),
    "null": ({**GOOD, "completion": None}, "wrong-type", "null"),
    "truth value": ({**GOOD, "completion": True}, "wrong-type", "true/false"),
    "no object": (["你是谁", "咱是沐雪"], "wrong-type", "list"),
    "missing column": ({"prompt": "你是谁", "completed": "咱"}, "missing-column", "completed"),
    "half a character": ({**GOOD, "prompt": "\ud83d"}, "half-character", "prompt"),
    "history of texts": ({**GOOD, "history": ["你好", "你好呀"]}, "bad-history", "history[1]"),
    "history of threes": ({**GOOD, "history": [["一", "二", "三"]]}, "bad-history", "history[1]"),
    "history of roles": ({**GOOD, "history": [USER, BOT]}, "bad-history", "history[1]"),
    "history as text": ({**GOOD, "history": ""}, "bad-history", "history"),
    "number in history": ({**GOOD, "history": [["一", 2]]}, "wrong-type", "history[1][2]"),
    "unknown role": ({"messages": [{"role": "tool", "content": "x"}]}, "unknown-role", "tool"),
    "turn without text": ({"messages": [{"role": "user"}]}, "missing-column", "role"),
    "turn of text": ({"messages": ["你是谁"]}, "wrong-type", "messages[1]"),
    "turns as text": ({"conversations": "你是谁"}, "wrong-type", "conversations"),
    "empty turn": ({"messages": [USER, {**BOT, "content": ""}]}, "empty", "messages[2]"),
    "no turns": ({"messages": []}, "bad-turns", "messages"),
    "no answer": ({"messages": [USER, BOT, USER]}, "bad-turns", "messages"),
    "answer first": ({"messages": [BOT, USER, BOT]}, "bad-turns", "assistant"),
    "two answers": ({"messages": [USER, BOT, BOT]}, "bad-turns", "assistant"),
    "only system": ({"messages": [{"role": "system", "content": "x"}]}, "bad-turns", "messages"),
    "input": ({"instruction": "译", "input": 0, "output": "好"}, "wrong-type", "input"),
    "kind": ({**GOOD, "kind": 1, "fact": None}, "wrong-type", "kind"),
    "fact": ({**GOOD, "kind": "pair", "fact": 1}, "wrong-type", "fact"),
    "learn": ({**GOOD, "kind": "pair", "fact": None, "learn": [1]}, "wrong-type", "learn"),
    "too many learn": (
        {**GOOD, "kind": "pair", "fact": None, "learn": [True, True]},
        "wrong-type",
        "learn",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_row_is_named(path: Path, name: str) -> None:
    row, code, word = BROKEN[name]
    (fault,) = faults(path, [GOOD, row, GOOD])
    assert (fault.code, fault.line) == (code, 2)
    assert word in fault.problem


def test_a_broken_item_is_named_by_its_number(path: Path) -> None:
    path.write_text(json.dumps([GOOD, {"prompt": ""}, GOOD], indent=1), "utf-8")
    with pytest.raises(DatasetError) as error:
        read_examples(path)
    (fault,) = error.value.faults
    assert (fault.code, fault.line) == ("missing-column", 6)
    assert "2" in fault.problem


def test_the_nearest_column_is_named(path: Path) -> None:
    (fault,) = faults(path, [{"promt": "你是谁", "completion": "咱是沐雪", "id": 1}])
    assert all(name in fault.problem for name in ("prompt", "promt", "completion", "id"))
    assert "promt" in fault.fix


def test_an_unknown_layout_names_its_columns_and_the_known_ones(path: Path) -> None:
    (fault,) = faults(path, [{"q": "你是谁", "a": "咱是沐雪"}])
    assert "q, a" in fault.problem
    assert "content + summary" in fault.fix


@pytest.mark.parametrize("column", ["prompt_column", "response_column", "history_column"])
def test_a_named_column_must_be_there(path: Path, column: str) -> None:
    (fault,) = faults(path, [GOOD], **{column: "问题"})
    assert fault.code == "missing-column"
    assert "问题" in fault.problem


def test_all_broken_rows_come_at_once(path: Path) -> None:
    write(path, [GOOD, {"prompt": ""}, {**GOOD, "history": 1}])
    with path.open("ab") as file:
        file.write('{"prompt": "你是谁"'.encode("gbk") + b'\n{"prompt": "abc", "compl')
    with pytest.raises(DatasetError) as error:
        read_examples(path)
    found = [(fault.line, fault.code) for fault in error.value.faults]
    assert found == [(2, "missing-column"), (3, "bad-history"), (4, "not-utf8"), (5, "cut-off")]
    assert str(error.value).count(str(path)) == 4


def test_a_file_of_broken_rows_is_not_read_to_the_end(path: Path) -> None:
    found = faults(path, [{"prompt": ""}] * (MAX_FAULTS + 30))
    assert len(found) == MAX_FAULTS
    assert str(MAX_FAULTS) in found[-1].fix


@pytest.mark.parametrize("content", ["", "\n", "[]"])
def test_a_file_without_rows_is_refused(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(DatasetError) as error:
        read_examples(path)
    assert (error.value.faults[0].code, error.value.faults[0].path) == ("no-rows", path)


def test_a_missing_file_is_refused(path: Path) -> None:
    with pytest.raises(DatasetError) as error:
        read_examples(path)
    assert error.value.faults[0].path == path


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["prompt", "completion", "history", "messages", "role", "content"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(json_values)
def test_no_row_is_a_traceback(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = write(tmp_path_factory.mktemp("any") / "data.json", [GOOD, value])
    try:
        assert read_examples(path)
    except DatasetError as error:
        assert all(fault.line == 2 or fault.code for fault in error.faults)
