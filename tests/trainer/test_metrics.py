import math
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.metrics import ROUGE_NAMES, bleu4, chrf, corpus_scores, rouge


@dataclass(frozen=True)
class Case:
    """What the official compute_metrics gave; fractions of words counted by hand."""

    reference: str
    prediction: str
    rouge_1: float
    rouge_2: float
    rouge_l: float
    bleu_4: float


CASES = (
    # 我 是 沐 雪 ， 很 高兴 认识 你 。 / 我 是 沐 雪 ， 高兴 认识 你 ！
    # words 2*8/19, bigrams 2*6/17, longest common run of words 8
    Case("我是沐雪，很高兴认识你。", "我是沐雪，高兴认识你！", 84.2105, 70.5882, 84.2105, 64.0712),
    # 在 下 名为 沐雪 ， 你 也 可以 叫 我雪雪 / 我 叫 沐 雪 ， 叫 我雪雪 就 好
    # distinct words 2*3/18, bigrams 2*1/17, common subsequence 2*3/19
    Case(
        "在下名为沐雪，你也可以叫我雪雪",
        "我叫沐雪，叫我雪雪就好",
        33.3333,
        11.7647,
        31.5789,
        23.588,
    ),
    Case("咱喜欢吃草莓蛋糕", "我是一个人工智能助手", 0.0, 0.0, 0.0, 0.0),
    # two words, two characters: no 3-gram and no 4-gram, (1 * 1 * 1/2 * 1/4) ** (1/4)
    Case("好的", "好的", 100.0, 100.0, 100.0, 59.4604),
    Case("I like tea. Do you?", "I like coffee. Do you?", 85.7143, 66.6667, 85.7143, 63.5087),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.prediction)
def test_scores_equal_the_official_ones(case: Case) -> None:
    expected = {"rouge-1": case.rouge_1, "rouge-2": case.rouge_2, "rouge-l": case.rouge_l}
    assert rouge(case.reference, case.prediction) == expected
    assert bleu4(case.reference, case.prediction) == case.bleu_4


def official_bleu(reference: str, prediction: str) -> float:
    """BLEU-4 from its paper: clipped counts, NIST smoothing, brevity penalty."""

    def grams(text: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
        return Counter(tuple(text[i : i + n]) for i in range(len(text) - n + 1))

    if not set(reference) & set(prediction):
        return 0.0
    log_precision, misses = 0.0, 0
    for n in range(1, 5):
        found = (grams(prediction, n) & grams(reference, n)).total()
        total = max(1, len(prediction) - n + 1)
        if not found:
            misses += 1
        log_precision += math.log(found / total if found else 1 / (2**misses * total)) / 4
    brevity = min(1.0, math.exp(1 - len(reference) / len(prediction)))
    return 100 * brevity * math.exp(log_precision)


few_letters = st.text(alphabet="我是沐雪你好，a ", min_size=1, max_size=20)


@given(few_letters, few_letters)
def test_bleu_follows_its_paper(reference: str, prediction: str) -> None:
    assert bleu4(reference, prediction) == pytest.approx(
        official_bleu(reference, prediction), abs=1e-3
    )


def official_chrf(reference: str, prediction: str) -> float:
    """ChrF2 from its paper, over the orders that both texts have."""
    texts = ["".join(text.split()) for text in (reference, prediction)]
    precisions, recalls = [], []
    for n in range(1, 7):
        ref, hyp = (Counter(t[i : i + n] for i in range(len(t) - n + 1)) for t in texts)
        if ref and hyp:
            precisions.append((ref & hyp).total() / hyp.total())
            recalls.append((ref & hyp).total() / ref.total())
    if not precisions or not (sum(precisions) + sum(recalls)):
        return 0.0
    p, r = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    return 5 * p * r / (4 * p + r)


@given(few_letters, few_letters)
def test_chrf_follows_its_paper(reference: str, prediction: str) -> None:
    assert chrf(reference, prediction) == pytest.approx(official_chrf(reference, prediction))


@given(st.text(alphabet="我是沐雪你好，。", min_size=4, max_size=30))
def test_a_text_equals_itself(text: str) -> None:
    assert bleu4(text, text) == 100.0
    assert rouge(text, text)["rouge-1"] == rouge(text, text)["rouge-l"] == 100.0
    assert chrf(text, text) == pytest.approx(1.0)


def test_texts_with_nothing_in_common_score_nothing() -> None:
    scores = corpus_scores(["春天来了，花都开了"], ["I have no idea!"])
    assert scores == dict.fromkeys(scores, 0.0)


@pytest.mark.parametrize("blank", ["", " ", "\n\n", "\u3000\t"])
def test_a_blank_text_scores_nothing(blank: str) -> None:
    for pair in ((blank, "咱是沐雪"), ("咱是沐雪", blank), (blank, blank)):
        assert rouge(*pair) == dict.fromkeys(ROUGE_NAMES, 0.0)
        assert chrf(*pair) == 0.0
    assert bleu4(blank, "咱是沐雪") == bleu4("咱是沐雪", blank) == bleu4("", "") == 0.0


@pytest.mark.parametrize("text", ["。", "……", "？！？！", "⭐", ".......。。”", "!?"])
def test_punctuation_alone_is_a_text_like_any_other(text: str) -> None:
    assert rouge(text, text)["rouge-1"] == pytest.approx(100.0)
    assert 0.0 < bleu4(text, text) <= 100.0
    assert rouge("咱是沐雪", text)["rouge-1"] == 0.0


any_text = st.text(alphabet=st.characters(exclude_categories=()), max_size=30)


@settings(deadline=None)
@given(any_text, any_text)
def test_no_text_is_refused(reference: str, prediction: str) -> None:
    scores = corpus_scores([reference], [prediction])
    assert 0.0 <= scores.pop("chrf") <= 1.0
    assert all(0.0 <= score <= 100.0 for score in scores.values())


def test_corpus_scores_are_means() -> None:
    references, predictions = ["我是沐雪，很高兴", "好的"], ["我是沐雪，很高兴", "不要"]
    scores = corpus_scores(references, predictions)
    assert list(scores) == [*ROUGE_NAMES, "bleu-4", "chrf"]
    assert scores["bleu-4"] == 50.0
    assert scores["chrf"] == pytest.approx(0.5)


@pytest.mark.parametrize("predictions", [[], ["一", "二"]])
def test_corpus_scores_needs_a_reply_for_each_answer(predictions: list[str]) -> None:
    with pytest.raises(ValueError):
        corpus_scores(["一"], predictions)
    with pytest.raises(ValueError, match="no replies"):
        corpus_scores([], [])


def test_scoring_is_silent_and_leaves_no_file_in_the_temporary_folder(tmp_path: Path) -> None:
    code = (
        "import sys; from trainer.metrics import rouge; assert 'jieba' not in sys.modules;"
        "rouge('我是沐雪', '我是沐雪'); assert 'torch' not in sys.modules"
    )
    folder = tmp_path / "tmp"
    folder.mkdir()
    variables = {
        "TMPDIR": str(folder),
        "PYTHONPATH": ":".join(sys.path),
        # compiled anew, since only then Python warns of old escape sequences
        "PYTHONPYCACHEPREFIX": str(tmp_path / "compiled"),
    }
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        capture_output=True,
        text=True,
        env=variables,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(folder.iterdir())
