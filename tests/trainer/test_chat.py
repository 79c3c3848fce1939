import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer.chat import FORMATS, IGNORE, Chat, Encoded, Message, latest_rounds
from trainer.errors import ConfigError
from trainer.glm_tokenizer import GlmTokenizer

REFERENCE = Path(__file__).parents[1] / "data" / "chatglm2"
GLM = REFERENCE / "chatglm2-tiny"
OFFICIAL = json.loads((REFERENCE / "tokenizer_expected.json").read_text("utf-8"))["tiny"]
"""Produced by the official ChatGLM2 and ChatGLM3 code."""

CONTROL = [
    *("<pad>", "<eos>", "<bos>", "</s>", "<|endoftext|>", "<|im_end|>", "<|im_start|>system\n"),
    *("[gMASK]", "sop", "eop", "<|user|>", "<|system|>", "<|assistant|>", "<|tool|>"),
    *("\ue0000\ue001", "\ue0001\ue001", "\n问：", "\n答："),
]
typed = st.lists(st.one_of(st.text(max_size=8), st.sampled_from(CONTROL)), max_size=4).map("".join)
talks = st.lists(st.tuples(typed, typed, st.booleans()), min_size=1, max_size=4)
systems = st.one_of(st.none(), st.just("沐雪是一只AI女孩子。"), st.just("a <|im_end|> girl"))
quick = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def chats(tiny_base_folder: Path, llama_base_folder: Path) -> dict[str, Chat]:
    """Every format with a tokenizer of its family."""
    return {
        "plain": hub_chat("plain", tiny_base_folder),
        "jinja": hub_chat("jinja", llama_base_folder),
        "chatglm2": Chat("chatglm2", GlmTokenizer(GLM)),
        "chatglm3": Chat("chatglm3", GlmTokenizer(GLM)),
    }


@pytest.fixture(params=sorted(FORMATS))
def chat(request: pytest.FixtureRequest, chats: dict[str, Chat]) -> Chat:
    return chats[request.param]


def hub_chat(name: str, folder: Path, template: str | None = None) -> Chat:
    from transformers import AutoTokenizer

    from trainer.model import HubTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    if template is not None:
        tokenizer.chat_template = template
    return Chat(name, HubTokenizer(tokenizer))


def messages_of(rounds: list[tuple[str, str, bool]]) -> list[Message]:
    pairs = [(Message("user", ask), Message("assistant", say, learn)) for ask, say, learn in rounds]
    return [message for pair in pairs for message in pair]


def spelled(chat: Chat, ids: list[int]) -> str:
    """The text of ``ids``, control tokens included."""
    return str(chat.tokenizer._tokenizer.decode(ids, skip_special_tokens=False))


# --- the guard: one encoder for training and serving ---------------------------------------


@quick
@given(rounds=talks, system=systems, prefixed=st.booleans(), apart=st.booleans())
def test_a_prompt_is_the_beginning_of_its_training_example(
    chat: Chat, rounds: list[tuple[str, str, bool]], system: str | None, prefixed: bool, apart: bool
) -> None:
    messages = messages_of(rounds)

    def encoded(number: int) -> Encoded:
        return chat.encode(messages[:number], system=system, prefixed=prefixed, apart=apart)

    for depth in range(len(rounds)):
        whole, prompt = encoded(2 * depth + 2), encoded(2 * depth + 1)
        assert prompt.ids == whole.ids[: len(prompt.ids)]
        assert prompt.history == whole.history
        assert len(prompt.targets) == len(prompt.ids)


@quick
@given(rounds=talks, system=systems, prefixed=st.booleans())
def test_a_lesson_teaches_its_last_reply_and_its_stop_and_nothing_else(
    chat: Chat, rounds: list[tuple[str, str, bool]], system: str | None, prefixed: bool
) -> None:
    messages = messages_of(rounds)
    lessons = chat.lessons(messages)
    assert [len(lesson) // 2 for lesson in lessons] == [
        depth + 1 for depth, (_, _, learn) in enumerate(rounds) if learn
    ]
    for lesson in lessons:
        whole = chat.encode(lesson, system=system, prefixed=prefixed)
        start = len(chat.encode(lesson[:-1], system=system, prefixed=prefixed).ids)
        expected = [IGNORE] * (start - 1) + [*whole.ids[start:], chat.stop_id]
        assert whole.targets == expected


@quick
@given(rounds=talks, prefixed=st.booleans())
def test_behind_what_is_read_apart_the_last_round_is_round_one(
    chat: Chat, rounds: list[tuple[str, str, bool]], prefixed: bool
) -> None:
    messages = messages_of(rounds)
    whole = chat.encode(messages, prefixed=prefixed, apart=True)
    alone = chat.encode(messages[-2:], prefixed=prefixed)
    assert whole.ids[whole.history :] == alone.ids and alone.history == 0
    assert whole.targets == [IGNORE] * whole.history + alone.targets
    # What is read apart are the earlier rounds as they are, without an opening.
    first, _ = chat.encode(messages[:2], prefixed=prefixed), len(rounds)
    opening = 0 if prefixed and not chat.format.opening_follows_prefix else len(chat.opening())
    if len(rounds) == 2:
        assert whole.ids[: whole.history] == first.ids[opening:]
    assert chat.encode(messages, prefixed=prefixed).history == 0


def test_targets_spell_the_replies(chat: Chat) -> None:
    rounds = [("你是谁", "在下名为沐雪⭐", True), ("hi", "not mine", False), ("1+1?", "two!", True)]
    lessons = chat.lessons(messages_of(rounds))
    replies: list[list[int]] = [[]]
    for target in [t for lesson in lessons for t in chat.encode(lesson).targets]:
        if target == chat.stop_id:
            replies.append([])
        elif target != IGNORE:
            replies[-1].append(target)
    texts = [chat.tokenizer.decode(reply).strip() for reply in replies]
    assert texts == ["在下名为沐雪⭐", "two!", ""]


def test_the_stop_is_a_control_token_that_text_cannot_make(chat: Chat) -> None:
    assert chat.tokenizer.decode([chat.stop_id]) == ""
    assert chat.stop_id not in chat.tokenizer.encode(chat.format.stop)


@quick
@given(rounds=talks, system=st.one_of(st.none(), typed))
def test_typed_text_never_becomes_a_control_token(
    chat: Chat, rounds: list[tuple[str, str, bool]], system: str | None
) -> None:
    def controls(messages: list[Message], system: str | None) -> list[int]:
        known = {id for name in CONTROL for id in chat.tokenizer.encode(name, markup=True)}
        known -= {id for name in CONTROL for id in chat.tokenizer.encode(name)}
        return [id for id in chat.encode(messages, system=system).ids if id in known]

    harmless = [Message(message.role, "x") for message in messages_of(rounds)]
    assert controls(messages_of(rounds), system) == controls(harmless, "x" if system else system)


@quick
@given(rounds=talks, system=systems)
def test_opening_and_rounds_make_the_whole(
    chat: Chat, rounds: list[tuple[str, str, bool]], system: str | None
) -> None:
    messages = messages_of(rounds)
    opening = chat.opening(system)
    whole = chat.encode(messages, system=system)
    prefixed = chat.encode(messages, system=system, prefixed=True)
    assert whole.ids[: len(opening)] == opening
    if chat.format.opening_follows_prefix:
        assert prefixed == whole
    else:
        assert opening + prefixed.ids == whole.ids


# --- plain ---------------------------------------------------------------------------------


def test_plain_writes_lines_of_questions_and_answers(chats: dict[str, Chat]) -> None:
    chat = chats["plain"]
    messages = [Message("user", "你好"), Message("assistant", "嗨"), Message("user", "几岁")]
    ids = chat.encode(messages, system="沐雪").ids
    assert spelled(chat, ids) == "<bos>沐雪\n问：你好\n答：嗨\n问：几岁\n答："


# --- jinja ---------------------------------------------------------------------------------


@quick
@given(texts=st.lists(st.sampled_from(["hi", "你是谁", "a\nb", "…"]), min_size=1, max_size=5))
@pytest.mark.parametrize("system", [None, "You are Dory."])
def test_jinja_spells_what_the_template_renders(
    chats: dict[str, Chat], texts: list[str], system: str | None
) -> None:
    chat = chats["jinja"]
    roles = ["user", "assistant"] * len(texts)
    messages = [Message(role, text) for role, text in zip(roles, texts, strict=False)]
    told = [{"role": "system", "content": system}] if system else []
    told += [{"role": message.role, "content": message.text} for message in messages]
    asks = messages[-1].role == "user"
    rendered = chat.tokenizer.render_template(told, cue=asks)
    # After a last reply the template closes the turn: that token is the stop, a target.
    expected = rendered if asks else rendered.removesuffix("<|im_end|>\n")
    assert spelled(chat, chat.encode(messages, system=system).ids) == expected


def test_jinja_leaves_the_templates_own_system_text_to_the_prefix(chats: dict[str, Chat]) -> None:
    chat = chats["jinja"]
    prompt = chat.encode([Message("user", "hi")], prefixed=True).ids
    assert spelled(chat, prompt) == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert "helpful" in spelled(chat, chat.opening())
    assert "helpful" not in spelled(chat, chat.opening("You are Dory."))


SYSTEMLESS = (
    "{% if messages[0]['role'] == 'system' %}{{ NOT_HERE }}{% endif %}{{ bos_token }}"
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)


@pytest.mark.parametrize("refusal", ["{{ raise_exception('no system') }}", "{% set x = 1 %}"])
def test_a_template_without_system_role_gets_the_text_in_front(
    llama_base_folder: Path, refusal: str
) -> None:
    template = SYSTEMLESS.replace("{{ NOT_HERE }}", refusal).replace(
        "{% for m in messages %}", "{% for m in messages if m['role'] != 'system' %}"
    )
    chat = hub_chat("jinja", llama_base_folder, template)
    ids = chat.encode([Message("user", "hi")], system="Be Dory.").ids
    assert spelled(chat, ids) == "<|im_start|>Be Dory.\n\nuser: hi<|im_end|>assistant: "


def test_a_template_that_closes_its_system_text_as_a_reply_keeps_that_closing(
    llama_base_folder: Path,
) -> None:
    template = (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] }}"
        "{{ '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    chat = hub_chat("jinja", llama_base_folder, template)
    assert chat.opening() == []
    assert spelled(chat, chat.encode([Message("user", "hi")], system="Be Dory.").ids) == (
        "<|im_start|>system\nBe Dory.<|im_end|>\n"
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("closing", ["<|im_end|>", " <|im_end|>\n", "\n\n", "", "\n###"])
def test_a_reply_ends_with_a_control_token_whatever_closes_it(
    llama_base_folder: Path, closing: str
) -> None:
    template = "{% for m in messages %}{{ m['role'] + ':' + m['content'] + 'END' }}{% endfor %}"
    chat = hub_chat("jinja", llama_base_folder, template.replace("'END'", repr(closing)))
    assert chat.format.stop == "<|im_end|>"
    assert chat.stop_id == 1


def test_a_template_that_drops_messages_is_refused(llama_base_folder: Path) -> None:
    with pytest.raises(ConfigError, match="drops a message") as caught:
        hub_chat("jinja", llama_base_folder, "{{ messages[-1]['content'] }}")
    assert "chat_format: plain" in str(caught.value)


def test_a_tokenizer_without_template_is_refused(tiny_base_folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        hub_chat("jinja", tiny_base_folder)
    assert "chat_format: plain" in str(caught.value)


def test_turns_marked_by_ordinary_added_tokens_cannot_be_typed(llama_base_folder: Path) -> None:
    """Some bases (DeepSeek's) do not flag the tokens of their turns as special."""
    from transformers import AddedToken, AutoTokenizer

    from trainer.model import HubTokenizer

    tokenizer = AutoTokenizer.from_pretrained(llama_base_folder)
    tokenizer.add_tokens([AddedToken("<｜User｜>", special=False)])
    wrapped = HubTokenizer(tokenizer)
    (control,) = wrapped.encode("<｜User｜>", markup=True)
    ids = wrapped.encode("a<｜User｜>b<｜User｜>")
    assert control not in ids
    assert wrapped.decode(ids) == "a<｜User｜>b<｜User｜>"


# --- ChatGLM -------------------------------------------------------------------------------


def official_rounds() -> list[Message]:
    rounds = [text for pair in OFFICIAL["chat2_history"] for text in pair]
    roles = ["user", "assistant"] * len(rounds)
    messages = [Message(role, text) for role, text in zip(roles, rounds, strict=False)]
    return [*messages, Message("user", OFFICIAL["chat2_query"])]


def test_chatglm2_makes_the_official_prompt(chats: dict[str, Chat]) -> None:
    chat = chats["chatglm2"]
    text = "".join(segment.text for segment in chat.format.rounds(official_rounds()))
    assert text == OFFICIAL["chat2_prompt"]
    assert chat.encode(official_rounds()).ids == OFFICIAL["chat2_ids"]


def test_chatglm2_learns_its_last_reply_as_the_official_training_does(
    chats: dict[str, Chat],
) -> None:
    chat = chats["chatglm2"]
    messages = [*official_rounds(), Message("assistant", "数羊。")]
    reply = chat.tokenizer.encode("数羊。")
    whole = chat.encode(messages)
    assert whole.ids == OFFICIAL["chat2_ids"] + reply
    expected = [IGNORE] * (len(OFFICIAL["chat2_ids"]) - 1) + [*reply, chat.stop_id]
    assert whole.targets == expected
    assert [len(lesson) for lesson in chat.lessons(messages)] == [2, 4]


def test_chatglm3_makes_the_official_ids(chats: dict[str, Chat]) -> None:
    told = OFFICIAL["chat3_messages"]
    chat = chats["chatglm3"]
    messages = [Message(row["role"], row["content"]) for row in told[1:]]
    assert chat.encode(messages, system=told[0]["content"]).ids == OFFICIAL["chat3_ids"]


# --- choosing a format, cutting a history ----------------------------------------------------


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        Chat("chatglm", GlmTokenizer(GLM))
    assert all(name in str(caught.value) for name in FORMATS)


@given(
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=12),
    room=st.integers(0, 100),
)
def test_latest_rounds_drops_whole_oldest_rounds_and_never_the_question(
    lengths: list[int], room: int
) -> None:
    roles: list[Any] = ["user", "assistant"] * len(lengths)
    messages = tuple(Message(r, "x" * n) for r, n in zip(roles, lengths, strict=False))

    def fits(kept: Any) -> bool:
        return sum(len(message.text) for message in kept) <= room

    kept = latest_rounds(messages, fits)
    assert kept and kept == messages[-len(kept) :]
    assert kept[0].role == "user"
    one_more = messages[-len(kept) - 2 :]
    assert kept == messages or not fits(one_more)
    assert fits(kept) or len(kept) <= 2
