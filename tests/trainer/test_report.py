import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.retentions import cell, reply, retention, some
from trainer.bootstrap import Figure
from trainer.errors import TrainingError
from trainer.language import use
from trainer.report import report, write_report
from trainer.report_chart import Aside, Series, chart

EVIL = '<script>alert(1)</script> & "q" \' </td></details>'
VOID = {"meta", "br"}


class Page(HTMLParser):
    """Reads a page, and fails where an element is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str, **attributes: str) -> int:
        return sum(
            name == tag and all(found.get(key) == value for key, value in attributes.items())
            for name, found in self.tags
        )


def test_the_page_needs_nothing_else() -> None:
    text = report(some())
    page = Page(text)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "base"}
    names = {name for _, found in page.tags for name in found}
    assert not names & {"src", "href", "srcset"} and not any(n.startswith("on") for n in names)
    assert "url(" not in text and "@import" not in text and "http" not in text
    assert page.count("svg", role="img") == 5  # no fact has a reject
    assert "prefers-color-scheme: dark" in text


def test_whatever_was_written_is_escaped() -> None:
    found = some(text=EVIL)
    evil = found.model_copy(update={"persona": EVIL, "base": EVIL, "facts": (EVIL, "name", "boat")})
    first = evil.cells[0]
    asked = reply(EVIL, taught=False, right=True, question=EVIL, written=EVIL)
    evil = evil.model_copy(
        update={
            "cells": (
                first.model_copy(update={"replies": (*first.replies, asked)}),
                *evil.cells[1:],
            )
        }
    )
    page = Page(report(evil))
    assert page.count("script") == 0
    assert page.text.count(EVIL) >= 8
    assert page.count("details") == 3


@pytest.mark.parametrize(
    ("language", "word", "tag"), [("zh", "闲聊", "zh-CN"), ("en", "small talk", "en")]
)
def test_it_is_in_the_spoken_language(language: Any, word: str, tag: str) -> None:
    use(language)
    page = Page(report(some()))
    assert word in page.text and page.count("html", lang=tag) == 1
    assert bool(re.search("[\u4e00-\u9fff]", page.text)) == (language == "zh")


def test_facts_by_depth_have_a_sign_besides_their_colour() -> None:
    page = Page(report(some()))
    key = 1
    assert page.count("span", **{"class": "v right"}) >= 3 + key
    assert re.search(r"name\s*✓ 2/2✗ 1/2✗ 1/2! 1/2", page.text)
    assert re.search(r"boat\s*✗ 0/1✓ 1/1✓ 1/1✓ 1/1", page.text)


def test_every_reply_can_be_read() -> None:
    page = Page(report(some()))
    assert page.count("details") == 2
    assert page.text.count("Dory, who else") == 4 and page.text.count("reply about boat") == 4
    assert "name, really? never seen" in page.text and "name? taught" in page.text


def test_what_is_missing_is_told() -> None:
    page = Page(report(some()))
    assert "own talk k=16 was not measured: only 9 rounds were written" in page.text
    silent = retention(
        cell("neutral", 0, reply("name", taught=False, right=True, leaked=None)), left_out=2
    )
    page = Page(report(silent))
    assert "Leak was not measured" in page.text and "not used: 2" in page.text
    assert "identity margin was not measured" in page.text
    assert page.count("svg", role="img") == 2  # Recall and ΔNLL


def test_it_is_written_and_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    write_report(some(), tmp_path / "retention.html")
    assert (tmp_path / "retention.html").read_text("utf-8") == report(some())
    with pytest.raises(TrainingError, match="cannot be written") as error:
        write_report(some(), tmp_path)
    assert error.value.faults[0].path == tmp_path


# --- the curves -----------------------------------------------------------------------------


def figure(value: float, low: float | None = None, high: float | None = None) -> Figure:
    return Figure(value=value, low=low, high=high, count=3)


def drawn(*points: tuple[int, Figure], aside: Aside | None = None, share: bool = True) -> str:
    text = chart(
        "a < b",
        [Series("neutral", "talk", points)],
        aside,
        share=share,
        worded=lambda one: f"{one.value}",
    )
    assert "nan" not in text and "inf" not in text
    Page(text)
    return text


def places(text: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', text)]


def test_a_curve_stands_where_its_figures_are() -> None:
    points = [(0, figure(1.0)), (1, figure(0.5)), (3, figure(0.0))]
    (x0, y0), (x1, y1), (x3, y3) = places(drawn(*points))
    assert x1 - x0 == pytest.approx(x3 - x1, abs=0.2)  # log2(k + 1) is 0, 1, 2
    assert y1 - y0 == pytest.approx(y3 - y1, abs=0.2) and y0 < y1 < y3
    assert "talk k=3: 0.0" in drawn(*points)


def test_intervals_are_a_band() -> None:
    points = [(0, figure(0.5, 0.4, 0.6)), (2, figure(0.5, 0.2, 0.9))]
    assert 'class="band neutral"' in drawn(*points)
    assert 'class="band' not in drawn((0, figure(0.5)), (2, figure(0.5)))
    assert 'class="bar long"' in drawn(*points, aside=Aside("1000 token", points[0][1]))


@pytest.mark.parametrize("values", [(0.0, 0.0), (-3.2, 11.7), (1e-5, 2e-5), (900.0, -20000.0)])
def test_an_axis_covers_any_figures(values: tuple[float, float]) -> None:
    text = drawn((0, figure(values[0])), (4, figure(values[1])), share=False)
    assert all(0 <= y <= 240 for _, y in places(text))
    assert 2 <= len(re.findall(r'class="grid"', text)) <= 8


def test_figures_that_are_no_numbers_are_not_drawn() -> None:
    points = [(0, figure(1.0)), (2, figure(math.nan)), (4, figure(2.0, math.nan, math.nan))]
    text = drawn(*points, aside=Aside("x", figure(math.inf)), share=False)
    assert len(places(text)) == 1
    assert places(drawn((0, figure(math.nan)))) == []


def test_a_title_is_escaped() -> None:
    assert 'aria-label="a &lt; b"' in drawn((0, figure(0.5)))
