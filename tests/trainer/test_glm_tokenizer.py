"""Against the ids of the official tokenization code (tests/data/chatglm2)."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.chat import Chat, Message
from trainer.errors import BaseModelError
from trainer.glm_tokenizer import TOKENIZER_FILE, GlmTokenizer
from trainer.prefix import counted

REF = Path(__file__).parents[2] / "tests" / "data" / "chatglm2"
EXPECTED = json.loads((REF / "tokenizer_expected.json").read_text("utf-8"))
TEXTS: list[str] = EXPECTED["texts"]
TINY: dict[str, Any] = EXPECTED["tiny"]
OPENING = "[gMASK]sop"
CONTROL = [
    *("[MASK]", "[gMASK]", "[sMASK]", "sop", "eop", "</s>", "<s>", "<pad>", "<unk>"),
    *("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
]

tokenizer = GlmTokenizer(REF / "chatglm2-tiny")
typed = st.lists(st.one_of(st.text(max_size=8), st.sampled_from(CONTROL)), max_size=5).map("".join)


# --- the official ids --------------------------------------------------------------------------


def test_all_texts_are_there() -> None:
    assert len(TEXTS) == len(TINY["glm2"]["ids"]) == len(TINY["glm3"]["ids"]) == 180


@pytest.mark.parametrize("model", ["glm2", "glm3"])
def test_ids_of_every_text(model: str) -> None:
    opening = tokenizer.encode(OPENING, markup=True)
    ours = {text: opening + tokenizer.encode(text) for text in TEXTS}
    assert ours == dict(zip(TEXTS, TINY[model]["ids"], strict=True))


@pytest.mark.parametrize("model", ["glm2", "glm3"])
def test_every_text_is_decoded(model: str) -> None:
    ours = [tokenizer.decode(ids) for ids in TINY[model]["ids"]]
    assert ours == TINY[model]["decoded"]


@pytest.mark.parametrize("model", ["glm2", "glm3"])
def test_control_ids(model: str) -> None:
    special = TINY[model]["special"]
    for name in ("[MASK]", "[gMASK]", "[sMASK]", "sop", "eop"):
        assert tokenizer.encode(name, markup=True) == [special[name]]
    assert tokenizer.encode(tokenizer.eos, markup=True) == [special["<eos>"]]
    assert tokenizer.bos == ""


def test_how_many_tokens_there_are() -> None:
    assert len(tokenizer) == TINY["glm3"]["vocab_size"]
    assert tokenizer.largest_id == TINY["glm2"]["special"]["[MASK]"] - 1


def test_a_chatglm2_conversation() -> None:
    history, query = TINY["chat2_history"], TINY["chat2_query"]
    pairs = [(Message("user", ask), Message("assistant", told)) for ask, told in history]
    talk = [message for pair in pairs for message in pair]
    assert (
        Chat("chatglm2", tokenizer).encode([*talk, Message("user", query)]).ids
        == (TINY["chat2_ids"])
    )


def test_a_chatglm3_conversation() -> None:
    system, *turns = TINY["chat3_messages"]
    talk = [Message(turn["role"], turn["content"]) for turn in turns]
    ours = Chat("chatglm3", tokenizer).encode(talk, system=system["content"])
    assert ours.ids == TINY["chat3_ids"]


def test_a_batch_padded_on_the_left() -> None:
    batch, opening = TINY["batch"], tokenizer.encode(OPENING, markup=True)
    texts = ["你好", "[Round 1]\n\n问：你好\n\n答：", "a"]
    rows = [opening + tokenizer.encode(text) for text in texts]
    longest = max(map(len, rows))
    ids = [[0] * (longest - len(row)) + row for row in rows]
    real = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    assert ids == batch["input_ids"]
    assert real.tolist() == batch["attention_mask"]
    assert counted(real.bool()).tolist() == batch["position_ids"]


# --- what was typed ----------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(text=typed)
def test_typed_text_never_becomes_a_control_token(text: str) -> None:
    ids = tokenizer.encode(text)
    control = {
        id for name in CONTROL[:6] + CONTROL[9:] for id in tokenizer.encode(name, markup=True)
    }
    assert all(0 <= id <= tokenizer.largest_id for id in ids)
    assert not control & set(ids)


@settings(max_examples=200, deadline=None)
@given(text=typed.filter(lambda text: "\u2581" not in text))
def test_a_text_comes_back(text: str) -> None:
    """All but U+2581, which sentencepiece itself writes for a space."""
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("text", ["philosophy", "develop", "[gMASK]ed", "<|user|>"])
def test_a_name_within_a_word_is_text(text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@settings(max_examples=50, deadline=None)
@given(names=st.lists(st.sampled_from(CONTROL[:6] + CONTROL[9:]), max_size=5))
def test_markup_is_control_tokens_alone_and_is_never_shown(names: list[str]) -> None:
    ids = tokenizer.encode("".join(names), markup=True)
    assert len(ids) == len(names)
    assert tokenizer.decode(ids) == ""


# --- what cannot be read -----------------------------------------------------------------------


def test_a_missing_tokenizer_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="no tokenizer") as caught:
        GlmTokenizer(tmp_path)
    assert str(tmp_path / TOKENIZER_FILE) in str(caught.value)
    assert f"copy {TOKENIZER_FILE}" in str(caught.value)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1018370\n"


@pytest.mark.parametrize("content", [b"", b"not a model", POINTER])
def test_a_file_that_is_no_tokenizer(tmp_path: Path, content: bytes) -> None:
    (tmp_path / TOKENIZER_FILE).write_bytes(content)
    with pytest.raises(BaseModelError, match=rf"cannot be read \({len(content)} bytes\)") as caught:
        GlmTokenizer(tmp_path)
    assert str(tmp_path / TOKENIZER_FILE) in str(caught.value)
    assert "Git LFS" in str(caught.value)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_half_a_download(tmp_path: Path, part: float) -> None:
    shutil.copy(REF / "chatglm2-tiny" / TOKENIZER_FILE, tmp_path)
    file = tmp_path / TOKENIZER_FILE
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(BaseModelError) as caught:
        GlmTokenizer(tmp_path)
    assert caught.value.faults[0].code == "tokenizer-damaged"
