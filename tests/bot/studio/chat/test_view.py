import pytest

from bot.studio.chat.chats import Chat, Reply, Round
from bot.studio.chat.talks import Look
from bot.studio.chat.view import column, fault_box, note, plain, unplain
from trainer.errors import Fault
from trainer.guard import Counts


def shown(chat: Chat, key: str, at: str = "", look: Look | None = None) -> list[str]:
    found = column(chat, key, at, look)
    assert len(found.messages) == len(found.places)
    return [unplain(message["content"]) for message in found.messages]


def test_a_column_shows_the_rounds_that_its_speaker_answered() -> None:
    chat = Chat(
        speakers=["tuned:a", "base:a"],
        rounds=[
            Round(id="1", user="one", replies={"tuned:a": Reply(text="eins", state="done")}),
            Round(
                id="2",
                user="two",
                replies={
                    "tuned:a": Reply(text="zwei", state="done"),
                    "base:a": Reply(text="dos", state="done"),
                },
            ),
            Round(id="3", user="three"),
        ],
    )
    assert shown(chat, "tuned:a") == ["one", "eins", "two", "zwei", "three"]
    assert shown(chat, "base:a") == ["two", "dos", "three"]
    assert [place.round for place in column(chat, "base:a").places] == ["2", "2", "3"]


def test_a_growing_reply_stands_for_what_is_on_disk() -> None:
    old = Reply(text="old", state="done")
    chat = Chat(speakers=["tuned:a"], rounds=[Round(id="1", user="hi", replies={"tuned:a": old})])
    assert shown(chat, "tuned:a", "1", Look({"tuned:a": Reply()})) == ["hi", "…"]
    assert shown(chat, "tuned:a", "1", Look({"tuned:a": Reply()}, "loading 4%"))[1] == "loading 4%"
    assert shown(chat, "tuned:a", "1", Look({"tuned:a": Reply(text="new")}))[1] == "new"
    assert shown(chat, "tuned:a", "1", Look({}))[1] == "old"


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(text="x", state="done"), ""),
        (Reply(text="x", state="stopped"), "stopped"),
        (Reply(text="x", state="cut"), "cut off"),
        (Reply(text="x", state="put-right"), "put right"),
        (
            Reply(text="x", state="done", counts=Counts(asked=1, redrawn=2)),
            "leak guard: drawn again 2×",
        ),
        (
            Reply(text="x", state="stopped", counts=Counts(asked=1, replaced=1, dropped=3)),
            "stopped · leak guard: fallback line, 3 old rounds kept from it",
        ),
        (
            Reply(text="x", state="done", counts=Counts(asked=1, shortened=1)),
            "leak guard: cut short",
        ),
    ],
)
def test_what_the_guard_did_is_noted_below_a_reply(reply: Reply, says: str) -> None:
    assert note(reply) == says
    chat = Chat(speakers=["tuned:a"], rounds=[Round(user="hi", replies={"tuned:a": reply})])
    found = column(chat, "tuned:a")
    notes = [message["metadata"]["title"] for message in found.messages if "metadata" in message]
    assert notes == ([says] if says else [])
    assert [place.role for place in found.places[:2]] == ["user", "assistant"]


def test_a_failure_is_shown_with_its_fix_and_what_was_said_before_it() -> None:
    failed = Reply(text="Once", state="failed", problem="no base\n  → install it")
    chat = Chat(speakers=["tuned:a"], rounds=[Round(user="hi", replies={"tuned:a": failed})])
    assert shown(chat, "tuned:a")[1] == "Once\n⚠ no base\n  → install it"
    nothing = Chat(
        speakers=["tuned:a"], rounds=[Round(user="hi", replies={"tuned:a": Reply(state="done")})]
    )
    assert shown(nothing, "tuned:a")[1] == "(no reply)"


@pytest.mark.parametrize("text", ["<b>x</b>", "<!-- -->", "<?x?>", "&lt;b&gt; &#60;", "</p>"])
def test_typed_markup_is_no_markup(text: str) -> None:
    import re

    assert not re.search(r"<[A-Za-z/!?]|&(#|\w+;)", plain(text))
    assert unplain(plain(text)) == text


@pytest.mark.parametrize("text", ["(*^▽^*)", "a < b & c", ">_<", "<3", "R&D"])
def test_what_is_no_markup_is_left_alone(text: str) -> None:
    assert plain(text) == text


def test_faults_are_a_box_of_harmless_html() -> None:
    assert fault_box() == ""
    box = fault_box(Fault("<script>", fix="a & b"))
    assert "&lt;script&gt;" in box and "a &amp; b" in box and "<script>" not in box
