"""How near a reply is to the written answer, in the numbers the field reports.

Scores can be compared with published ones only if they are computed in the same way,
so BLEU-4 and ROUGE follow ``compute_metrics`` of the official ChatGLM2-6B ptuning
script step by step: jieba words for ROUGE, characters for BLEU, each rounded to four
places before the mean. chrF tells whether a reply is the written answer (>= 0.6).

Plain text functions without a model. The libraries load inside them, since they take
about a second and most commands never score anything. Nothing is downloaded.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sacrebleu.metrics.chrf import CHRF

NEAR = 0.6
"""A reply is near a written answer from this chrF on (0 to 1)."""

ROUGE_NAMES = ("rouge-1", "rouge-2", "rouge-l")


def bleu4(reference: str, prediction: str) -> float:
    """Return the character BLEU-4 with NIST smoothing (Chen and Cherry 2014, method 3).

    Equal texts of fewer than four characters get less than 100, as in the official
    script: they have no 4-gram.

    Returns:
        0 to 100, rounded to four places; 0 when either text is empty.
    """
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    if not reference or not prediction:
        return 0.0
    smoothing = SmoothingFunction().method3
    score = sentence_bleu([list(reference)], list(prediction), smoothing_function=smoothing)
    return round(float(score) * 100, 4)


def rouge(reference: str, prediction: str) -> dict[str, float]:
    """Return the f-scores of ROUGE-1, ROUGE-2 and ROUGE-L over jieba words.

    A text of a single word has no bigram, so its ROUGE-2 is 0 even against itself.
    ROUGE-L takes memory by the product of the word counts.

    Returns:
        ``rouge-1``, ``rouge-2``, ``rouge-l``: 0 to 100, rounded to four places; all 0
        when either text is blank (the official script stops with an error there).
    """
    if not reference.strip() or not prediction.strip():
        return dict.fromkeys(ROUGE_NAMES, 0.0)
    scores = _rouge_metric().get_scores(_words(prediction), _words(reference))[0]
    return {name: round(float(scores[name]["f"]) * 100, 4) for name in ROUGE_NAMES}


def chrf(reference: str, prediction: str) -> float:
    """Return the sentence chrF2 (Popović 2015): character 1- to 6-grams, beta 2, no spaces.

    Returns:
        0 to 1; 0 when either text is blank.
    """
    return float(_chrf_metric().sentence_score(prediction, [reference]).score) / 100


def corpus_scores(references: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """Return the mean of each score over the pairs of a test set.

    Args:
        references: the written answers.
        predictions: the replies, in the same order.

    Returns:
        ``rouge-1``, ``rouge-2``, ``rouge-l`` and ``bleu-4`` (0 to 100), ``chrf`` (0 to 1).

    Raises:
        ValueError: the two differ in length, or are empty.
    """
    pairs = list(zip(references, predictions, strict=True))
    if not pairs:
        raise ValueError("no replies to score")
    rows = [{**rouge(*pair), "bleu-4": bleu4(*pair), "chrf": chrf(*pair)} for pair in pairs]
    return {name: fmean(row[name] for row in rows) for name in rows[0]}


def _words(text: str) -> str:
    """Join the jieba words of ``text`` with spaces, as rouge-chinese wants them."""
    return " ".join(_tokenizer().cut(text))


@cache
def _tokenizer() -> Any:
    """Load jieba's own dictionary, without its cache in the shared temporary folder.

    That file has one name for all users of a machine: another user's is unmarshalled
    unchecked, or cannot be replaced, which prints a traceback. Reading the dictionary
    costs 0.7 s, the cache would save half of it. It also keeps jieba's log silent.
    """
    with _quiet():
        import jieba
    tokenizer = jieba.Tokenizer()
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer


@cache
def _rouge_metric() -> Any:
    with _quiet():
        from rouge_chinese import Rouge
    return Rouge()


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what Python says of old packages: invalid escape sequences, pkg_resources."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def _chrf_metric() -> CHRF:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF(char_order=6, word_order=0, beta=2)


def is_near(written: Iterable[str], reply: str) -> bool:
    """Tell whether ``reply`` is near any of the answers that were written: all are right."""
    return max(chrf(answer, reply) for answer in written) >= NEAR
