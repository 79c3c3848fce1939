"""The persona file's schema, and loading one."""

import json
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from ruamel.yaml import YAML

from trainer.errors import SourceError
from trainer.persona import Persona, Turn, canonical, load_persona, persona_schema

DATA = Path(__file__).parent.parent / "data" / "personas"
PERSONAS = Path(__file__).parent.parent.parent / "personas"


@pytest.fixture
def muxue() -> Persona:
    return load_persona(DATA / "good.yaml")


def test_a_good_file(muxue: Persona) -> None:
    assert (muxue.name, muxue.aliases, muxue.language) == ("沐雪", ("雪雪",), "zh")
    assert [fact.id for fact in muxue.facts] == ["name", "drink"]
    (dialogue,) = muxue.dialogues
    assert [(turn.speaker, turn.text) for turn in dialogue] == [
        ("user", "我今天考试没考好"),
        ("bot", "下次一起努力"),
    ]
    assert muxue.greeting is None and muxue.lorebook == ()


def test_pairs_go_round_the_answers(muxue: Persona) -> None:
    assert [(fact.id, wording, answer) for fact, wording, answer in muxue.pairs()] == [
        ("name", "你是谁", "在下名为沐雪"),
        ("name", "你叫什么名字", "叫咱雪雪就好"),
        ("name", "请问怎么称呼你", "在下名为沐雪"),
        ("drink", "你爱喝什么", "热可可"),
        ("drink", "渴了喝点啥", "热可可"),
        ("drink", "点一杯饮料吧", "热可可"),
    ]


def test_judging_replies(muxue: Persona) -> None:
    name, drink = muxue.facts
    assert name.matches("咱是雪雪⭐") and not name.matches("我是小明")
    assert name.contradicts("我是ｃｈａｔｇｌｍ") and not name.contradicts("咱是沐雪")
    assert not drink.contradicts("我是ChatGLM")
    assert name.is_identity and not drink.is_identity
    assert muxue.leaked("作为一个语言模型，我……") and not muxue.leaked("咱是沐雪")


def test_canonical_is_the_wording_module_s() -> None:
    assert canonical("你是谁呀？") == "你是谁"


def test_a_persona_survives_its_own_snapshot(muxue: Persona) -> None:
    snapshot = json.loads(json.dumps(muxue.model_dump(mode="json")))
    again = Persona.model_validate(snapshot)
    assert again == muxue and again.digest() == muxue.digest()
    assert Persona.model_validate_json(muxue.model_dump_json(exclude_defaults=True)) == muxue


def test_the_digest_is_of_the_content_alone(muxue: Persona, tmp_path: Path) -> None:
    text = (DATA / "good.yaml").read_text("utf-8")
    moved = tmp_path / "moved.yaml"
    lines = text.replace("name: 沐雪\n", "").replace("[雪雪]", '["雪雪"] # alias')
    moved.write_text(lines + "name:   沐雪\nlorebook: []\n", "utf-8")
    changed = tmp_path / "changed.yaml"
    changed.write_text(text.replace("热可可", "冰可可"), "utf-8")
    assert load_persona(moved).digest() == muxue.digest()
    assert load_persona(changed).digest() != muxue.digest()
    assert len(muxue.digest()) == 64 and int(muxue.digest(), 16)


def test_the_digest_stays_from_version_to_version(muxue: Persona) -> None:
    """Checkpoints are valid for one digest: if this fails, old ones would be refused."""
    assert muxue.digest() == "97dec8a283dc512a532859d75c7c832bb7f81ec467e659940c71556fd55c3efd"


def test_a_persona_never_changes(muxue: Persona) -> None:
    with pytest.raises(ValidationError):
        muxue.name = "x"  # type: ignore[misc]
    assert hash(muxue) == hash(load_persona(DATA / "good.yaml"))


@pytest.mark.parametrize("turn", [{}, {"user": "a", "bot": "b"}, {"user": None}])
def test_a_turn_has_one_speaker(turn: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=r"user"):
        Turn.model_validate(turn)


def test_loading_raises_every_error_in_order() -> None:
    with pytest.raises(SourceError) as caught:
        load_persona(DATA / "ten_faults.yaml")
    found = caught.value.faults
    assert len(found) >= 10 and all(fault.severity == "error" for fault in found)
    assert list(found) == sorted(found, key=lambda fault: (fault.line, fault.column))
    assert "ten_faults.yaml:7:22" in str(caught.value)


def test_loading_refuses_contradictions_that_fit_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text((DATA / "good.yaml").read_text("utf-8").replace("[热可可]", "[牛奶]"), "utf-8")
    with pytest.raises(SourceError) as caught:
        load_persona(path)
    assert [(f.code, f.line, f.column) for f in caught.value.faults] == [
        ("answer-not-expected", 15, 14)
    ]


def test_the_shipped_personas_load() -> None:
    shipped = sorted(PERSONAS.glob("*.yaml"))
    assert len(shipped) >= 2
    languages = [load_persona(path).language for path in shipped]
    assert set(languages) == {"zh", "en"}


def test_the_schema_describes_every_field_and_accepts_the_shipped_personas() -> None:
    schema = persona_schema()
    Draft202012Validator.check_schema(schema)
    parts = [schema, *schema["$defs"].values()]
    fields = [(name, field) for part in parts for name, field in part["properties"].items()]
    assert len(fields) == 23
    assert not [name for name, field in fields if len(field.get("description", "")) < 8]
    assert all(part["additionalProperties"] is False for part in parts)
    for path in [*PERSONAS.glob("*.yaml"), DATA / "good.yaml"]:
        data = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
        assert list(Draft202012Validator(schema).iter_errors(data)) == []


def test_the_schema_refuses_what_the_model_refuses() -> None:
    base = YAML(typ="safe", pure=True).load((DATA / "good.yaml").read_text("utf-8"))
    validator = Draft202012Validator(persona_schema())
    fact = base["facts"][0]
    for wrong in (
        {**base, "nmae": "x"},
        {**base, "language": "fr"},
        {**base, "facts": []},
        {**base, "facts": [{**fact, "id": "Name"}]},
        {**base, "facts": [{**fact, "ask": []}]},
        {**base, "dialogues": [[{"user": "a", "bot": "b"}, {"bot": "b"}]]},
        {**base, "greeting": ""},
    ):
        assert not validator.is_valid(wrong)
        with pytest.raises(ValidationError):
            Persona.model_validate(wrong)


def test_imports_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, trainer.persona, trainer.check, trainer.templates;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_schema_that_editors_use_is_the_models_own() -> None:
    shipped = Path(__file__).parents[2] / "personas" / "persona.schema.json"
    assert json.loads(shipped.read_text("utf-8")) == persona_schema()


def test_a_pattern_that_re_warns_of_is_refused_every_time(muxue: Persona) -> None:
    slip = muxue.model_dump()
    slip["facts"][0]["expect"] = "[[沐]雪]"
    for _ in range(2):
        with pytest.raises(ValidationError, match="Possible nested set"):
            Persona.model_validate(slip)


@pytest.mark.filterwarnings("ignore:of another thread")
def test_reading_a_persona_makes_no_error_of_another_threads_warning(muxue: Persona) -> None:
    """A page reads personas in one thread while libraries warn in another."""
    failed: list[Warning] = []
    over = threading.Event()

    def warn() -> None:
        while not over.is_set():
            try:
                warnings.warn("of another thread", FutureWarning, stacklevel=1)
            except FutureWarning as error:
                failed.append(error)

    other = threading.Thread(target=warn)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other.start()
        for number in range(100):
            muxue.facts[0].model_validate(muxue.facts[0].model_dump() | {"expect": f"沐雪{number}"})
        over.set()
        other.join()
    assert not failed
