"""``renshe check``: each rule, in its place, and all of them at once."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.check import Report, check_persona
from trainer.errors import SourceError
from trainer.language import Language
from trainer.persona import Persona, load_persona
from trainer.strict_yaml import read_document
from trainer.templates import file_stem, new_persona

DATA = Path(__file__).parent.parent / "data" / "personas"
PERSONAS = Path(__file__).parent.parent.parent / "personas"
GOOD = (DATA / "good.yaml").read_text("utf-8")

Found = list[tuple[str, int, int]]


def check(text: str, folder: Path) -> Report:
    path = folder / "p.yaml"
    path.write_text(text, "utf-8")
    return check_persona(path)


def places(report: Report, severity: str = "") -> Found:
    assert all(fault.problem and fault.fix for fault in report.faults)
    chosen = [fault for fault in report.faults if fault.severity == severity or not severity]
    return [(fault.code, fault.line, fault.column) for fault in chosen]


def test_a_good_file_has_no_faults() -> None:
    report = check_persona(DATA / "good.yaml")
    assert report.faults == () and report.persona == load_persona(DATA / "good.yaml")


def test_the_shipped_personas_have_no_faults() -> None:
    reports = [check_persona(path) for path in sorted(PERSONAS.glob("*.yaml"))]
    assert len(reports) >= 2
    assert [str(fault) for report in reports for fault in report.errors] == []


def test_many_different_faults_in_one_file_all_come_in_one_run() -> None:
    report = check_persona(DATA / "ten_faults.yaml")
    assert report.persona is None
    assert sorted(places(report, "error")) == sorted(
        [
            ("missing-key", 1, 1),
            ("unknown-key", 1, 1),
            ("wrong-choice", 2, 11),
            ("bad-id", 5, 9),
            ("answer-not-expected", 7, 22),
            ("line-leaks", 7, 22),
            ("wrong-type", 10, 10),
            ("bad-pattern", 12, 16),
            ("repeated-key", 13, 5),
            ("two-answers", 15, 28),
            ("matches-anything", 17, 13),
            ("turn-order", 21, 7),
            ("slow-pattern", 22, 26),
            ("empty-text", 23, 11),
        ]
    )
    assert list(report.faults) == sorted(report.faults, key=lambda f: (f.line, f.column))


EDITS: list[tuple[str, str, Found]] = [
    # errors
    ("id: drink", "id: name", [("repeated-id", 13, 9)]),
    ("[热可可]", "[牛奶]", [("answer-not-expected", 15, 14)]),
    ("叫咱雪雪就好", "雪雪不是ChatGLM哦", [("answer-rejected", 10, 22), ("line-leaks", 10, 22)]),
    ("下次一起努力", "我只是语言模型", [("line-leaks", 19, 13)]),
    ("[咱没听懂啦]", "[好, 我是chatglm]", [("line-leaks", 21, 15)]),
    ("fallback:", "greeting: 语言模型\nfallback:", [("line-leaks", 21, 11)]),
    ("渴了喝点啥", "你是谁呀？", [("two-answers", 14, 18)]),
    ("- {bot: 下次", "- {user: 在吗}\n    - {bot: 下次", [("turn-order", 19, 7)]),
    ("\n    - {bot: 下次一起努力}", "", [("too-short", 18, 5), ("turn-order", 18, 7)]),
    ("{bot: 下次一起努力}", "{bot: 一, user: 二}", [("one-speaker", 19, 7)]),
    ("expect: 可可", "expect: 可可|", [("matches-anything", 16, 13)]),
    ("expect: 可可", "expect: '(可可|奶)+'", [("slow-pattern", 16, 20)]),
    ("expect: 可可", "expect: '可可)'", [("bad-pattern", 16, 16)]),
    ("expect: 可可", "expect:", [("missing-value", 16, 5)]),
    ("reject: ChatGLM", "reject: .", [("matches-anything", 12, 13)]),
    ("热可可", '"热可可\\x1b"', [("control-character", 15, 14)]),
    ("热可可", "可可" * 1001, [("too-long", 15, 14), ("long-text", 15, 14)]),
    # warnings
    (", 点一杯饮料吧", "", [("few-wordings", 14, 5)]),
    (
        ", 点一杯饮料吧",
        ", 渴了喝点啥呢？",
        [("few-wordings", 14, 5), ("repeated-question", 14, 25)],
    ),
    ("热可可", "热可可, 可可, 冰可可, 可可奶", [("unused-answer", 15, 28)]),
    ("你叫什么名字", "最近在忙什么呀你说说看嘛好不好", []),
    ("咱没听懂啦", "亲亲，咱没听懂", [("avoided-word", 21, 12)]),
    ("喜欢雪天", "喜欢雪天" * 200, [("long-text", 4, 10)]),
    ("我今天考试没考好", "考" * 201, [("long-text", 18, 14)]),
    ("下次一起努力", "雪" * 301, [("long-text", 19, 13)]),
    ("leaks: [语言模型, ChatGLM]\n", "", [("no-leaks", 1, 1)]),
    ("fallback: [咱没听懂啦]", "fallback:", [("no-fallback", 21, 1)]),
    ("fallback: [咱没听懂啦]", "fallback: []", [("no-fallback", 21, 1)]),
]


@pytest.mark.parametrize(("old", "new", "expected"), EDITS)
def test_each_rule(old: str, new: str, expected: Found, tmp_path: Path) -> None:
    assert GOOD.count(old) == 1
    report = check(GOOD.replace(old, new), tmp_path)
    assert places(report) == expected
    assert (report.persona is None) == bool(report.errors)


@pytest.mark.parametrize(("old", "new", "expected"), EDITS)
def test_loading_refuses_just_what_check_calls_an_error(
    old: str, new: str, expected: Found, tmp_path: Path
) -> None:
    report = check(GOOD.replace(old, new), tmp_path)
    try:
        persona = load_persona(tmp_path / "p.yaml")
    except SourceError as error:
        assert error.faults == report.errors != ()
    else:
        assert persona == report.persona and report.errors == ()


def test_no_dialogues(tmp_path: Path) -> None:
    text = GOOD.replace("dialogues:", "").replace("  - - {user: 我今天考试没考好}\n", "")
    report = check(text.replace("    - {bot: 下次一起努力}\n", ""), tmp_path)
    assert places(report) == [("no-dialogues", 1, 1)]


def test_no_identity(tmp_path: Path) -> None:
    text = re.sub(r"\[你是谁.*\]", "[昨天做了什么, 早上吃了什么, 晚上去哪儿]", GOOD)
    assert places(check(text, tmp_path)) == [("no-identity", 7, 1)]


def test_near_questions(tmp_path: Path) -> None:
    text = GOOD.replace("你爱喝什么", "下雪的冬天早上你最想喝一杯什么饮料")
    text = text.replace("渴了喝点啥", "下雪的冬天早上你最想喝一杯什么热饮料")
    report = check(text, tmp_path)
    assert places(report, "warning") == [("near-question", 14, 30)]
    assert "14:11" in report.faults[0].problem


def test_two_answers_name_both_places(tmp_path: Path) -> None:
    report = check(GOOD.replace("渴了喝点啥", "你是谁呀？"), tmp_path)
    (fault,) = report.faults
    assert (fault.line, fault.column) == (14, 18) and "9:11" in fault.problem


def test_a_loose_expect(tmp_path: Path) -> None:
    facts = "".join(
        f"  - id: f{i}\n    ask: [{q}一, {q}二, {q}三]\n    answer: [咱说{q}]\n    expect: {e}\n"
        for i, (q, e) in enumerate(zip("春夏秋冬东西", ["咱", *"夏秋冬东西"], strict=True))
    )
    report = check(GOOD.replace("dialogues:", facts + "dialogues:"), tmp_path)
    assert [(fault.code, fault.line) for fault in report.faults] == [("loose-expect", 20)]


def test_sound_parts_are_judged_while_others_are_broken(tmp_path: Path) -> None:
    text = GOOD.replace("name: 沐雪", "name: [1]").replace("expect: 可可", "expect: '('")
    text = text.replace("叫咱雪雪就好", "我不告诉你").replace("leaks:", "leaks: {}\nx:")
    assert places(check(text, tmp_path)) == [
        ("wrong-type", 1, 7),
        ("answer-not-expected", 10, 22),
        ("bad-pattern", 16, 13),
        ("wrong-type", 20, 8),
        ("unknown-key", 21, 1),
    ]


def test_files_that_cannot_be_read_are_reported_too(tmp_path: Path) -> None:
    for path, code in ((tmp_path / "none.yaml", "not-found"), (DATA / "gbk.yaml", "not-utf8")):
        report = check_persona(path)
        assert report.persona is None and [fault.code for fault in report.faults] == [code]


def test_a_bomb_is_refused_soon() -> None:
    start = time.perf_counter()
    report = check_persona(DATA / "bomb.yaml")
    assert report.persona is None and time.perf_counter() - start < 5
    assert {"alias", "anchor"} <= {fault.code for fault in report.errors}


@settings(max_examples=100, deadline=None)
@given(
    cuts=st.lists(
        st.tuples(st.integers(0, len(GOOD)), st.sampled_from("[]{}:-'\"\n #&*|x可\t\\")), max_size=4
    )
)
def test_no_edit_makes_it_raise(
    cuts: list[tuple[int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = GOOD
    for place, sign in cuts:
        text = text[:place] + sign + text[place + 1 :]
    report = check(text, tmp_path_factory.getbasetemp())
    assert (report.persona is None) == bool(report.errors)
    assert all(
        fault.line and fault.column and fault.problem and fault.fix for fault in report.faults
    )


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("name", ["沐雪", "O'Brien", 'a "b" #c: [d]', "ﾊﾝ(x)+", "😺"])
def test_the_template_passes_under_any_name(language: Language, name: str, tmp_path: Path) -> None:
    report = check(new_persona(name, language), tmp_path)
    assert report.faults == () and report.persona is not None
    assert report.persona.name == name and report.persona.language == language
    assert report.persona.greeting and report.persona.dialogues
    assert report.persona.facts[0].is_identity


@settings(max_examples=60, deadline=None)
@given(name=st.text(min_size=1, max_size=64))
def test_any_name_makes_a_persona_of_that_name_or_is_refused(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    try:
        text = new_persona(name, "zh")
    except SourceError as error:
        assert error.faults[0].code == "bad-name"
        return
    report = check(text, tmp_path_factory.getbasetemp())
    assert report.errors == () and report.persona and report.persona.name == name.strip()
    assert re.fullmatch(r"[^\W_]+(-[^\W_]+)*", file_stem(name))


@pytest.mark.parametrize("name", ["", "   ", "x" * 65, "a\nb", "a\x00", "a\tb"])
def test_names_that_cannot_be_used(name: str) -> None:
    with pytest.raises(SourceError):
        new_persona(name, "zh")
    with pytest.raises(SourceError):
        file_stem(name)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        *(("沐雪", "沐雪"), ("Lady Ada", "lady-ada"), ("../../etc/passwd", "etc-passwd")),
        *(("CON", "persona-con"), ("com1", "persona-com1"), ("！？", "persona"), (".x.", "x")),
    ],
)
def test_file_names_are_safe(name: str, stem: str) -> None:
    assert file_stem(name) == stem


def snippets() -> list[str]:
    text = (PERSONAS / "README.md").read_text("utf-8")
    return re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_readme_s_snippets_are_right(tmp_path: Path) -> None:
    base, _ = read_document(GOOD)
    assert base is not None and len(snippets()) == 7
    parts = re.split(r"^(?=[a-z]+:)", GOOD, flags=re.MULTILINE)
    explained: set[str] = set()
    for snippet in snippets():
        document, faults = read_document(snippet)
        assert document is not None and faults == []
        keys = set(document.root.entries or {})
        rest = [part for part in parts if part.split(":")[0] not in keys]
        report = check("".join(rest) + snippet, tmp_path)
        assert [str(fault) for fault in report.errors] == []
        assert report.persona is not None
        explained |= keys
    assert explained == set(Persona.model_fields)
