# genretagger's one task file. Everything happens in .venv; nothing is installed outside this folder.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export MUSIC ?=
SOAK_MINUTES ?= 5
LABELLED ?=
MUTATIONS ?= 100000
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONDONTWRITEBYTECODE	# the tests start many processes, and each would compile our modules again

.DEFAULT_GOAL := help
.PHONY: help install try tag serve test test-page test-pythons test-network test-archive archive-kills test-beets test-all \
	browser screenshots wheels torture mutations soak load lint bench bench-stages bench-page bench-essentia fit clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s%s\n", $$1, $$2}'

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "genretagger needs Python 3.11 or newer; name one with: make PYTHON=python3.12 …" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

install: $(VENV)/installed ## Install the command into .venv

try: $(VENV)/installed ## Listen to the music of a folder, and write nothing: make try MUSIC=/path/to/music
	@if [ -z "$$MUSIC" ]; then echo "Which folder? make try MUSIC=/path/to/music" >&2; exit 2; fi
	@$(BIN)/genretagger tag --dry-run -- "$$MUSIC"

tag: $(VENV)/installed ## Write genres into the music of a folder: make tag MUSIC=/path/to/music
	@if [ -z "$$MUSIC" ]; then echo "Which folder? make tag MUSIC=/path/to/music" >&2; exit 2; fi
	@$(BIN)/genretagger tag -- "$$MUSIC"

$(VENV)/installed-web: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[web]'
	@touch $@

serve: $(VENV)/installed-web ## Listen to the music of a folder, write nothing, and show it in a browser: make serve MUSIC=/path/to/music
	@if [ -z "$$MUSIC" ]; then echo "Which folder? make serve MUSIC=/path/to/music" >&2; exit 2; fi
	@$(BIN)/genretagger tag --dry-run -- "$$MUSIC" || [ $$? -eq 1 ]
	@$(BIN)/genretagger serve --open

$(VENV)/installed-browser: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --editable '.[dev,browser]'
	@touch $@

# The tests take the Chromium that is there (CHROMIUM=/path/to/it names one), or install Debian's.
CHROMIUM ?=
export CHROMIUM
browser: $(VENV)/installed-browser
	@$(BIN)/python tests/web/chromium.py

test-page: browser ## Run the tests of the page in a real Chromium, which is installed if it is missing
	$(BIN)/python -m pytest -n 0 -m page tests/web

screenshots: browser ## Take a picture of each view of the page, for docs/page.md
	$(BIN)/python -m benchmarks.page_pictures

soak: $(VENV)/installed-dev ## Let the service run while files come and go: make soak SOAK_MINUTES=60
	SOAK_MINUTES=$(SOAK_MINUTES) $(BIN)/python -m pytest -n 0 -s -m soak

# Sizes: LOAD_ARRIVALS=10000 LOAD_RENAMES=20000 LOAD_KILLS=100 LOAD_SIGNALS=40
load: $(VENV)/installed-dev ## Thousands of files, a hundred kills, and signals at random moments (an hour, on a quiet machine)
	$(BIN)/python -m pytest -n 0 -s -m load

lint: $(VENV)/installed-dev ## Check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# librosa has functions compiled when it is first imported: 18 s, or 11 s without optimization
test: export NUMBA_OPT := 0
test: lint ## Run the fast tests
	$(BIN)/python -m pytest

test-all: lint ## Run all tests, the slow and exhaustive ones too, with a new interpreter for each command
	REAL_STARTS=1 $(BIN)/python -m pytest -m 'not torture and not soak and not load and not mutations and not pythons and not network and not page and not archive' --timeout 1800

torture: $(VENV)/installed-dev ## Kill and fail a write at each of its system calls, for every container (half an hour)
	$(BIN)/python -m pytest -m torture --timeout 1800

mutations: $(VENV)/installed-dev ## Tag and undo damaged files of every container: make mutations MUTATIONS=100000 (an hour)
	MUTATIONS=$(MUTATIONS) $(BIN)/python -m pytest -m mutations --timeout 3600

# The plugin's tests also run with the oldest beets that it works with; its test helpers want `responses`.
OLD_BEETS := .cache/beets-2.7
$(OLD_BEETS)/installed: pyproject.toml
	$(PYTHON) -m venv $(OLD_BEETS)
	$(OLD_BEETS)/bin/python -m pip install --quiet --editable '.[dev]' 'beets==2.7.*' responses
	@touch $@

test-beets: $(VENV)/installed-dev $(OLD_BEETS)/installed ## Run the tests of the beets plugin with the newest and the oldest beets
	$(BIN)/python -m pytest -m 'slow or not slow' tests/beets
	$(OLD_BEETS)/bin/python -m pytest -m 'slow or not slow' tests/beets

# Ray is large, and nobody else needs it: it has an environment of its own.
ARCHIVE := .cache/archive
$(ARCHIVE)/installed: pyproject.toml
	$(PYTHON) -m venv $(ARCHIVE)
	$(ARCHIVE)/bin/python -m pip install --quiet --editable '.[dev,archive,archive-tests]'
	@touch $@

test-archive: $(ARCHIVE)/installed ## Run the tests of archives on a Ray cluster of three nodes, with workers, nodes and drivers killed
	$(ARCHIVE)/bin/python -m pytest -n 0 -m archive --timeout 1200 tests/archive

# Sizes: ARCHIVE_TRACKS=2000 ARCHIVE_ROUNDS=10
archive-kills: $(ARCHIVE)/installed ## The same with 2,000 tracks and ten rounds of kills (an hour, on a quiet machine)
	ARCHIVE_TRACKS=$(or $(ARCHIVE_TRACKS),2000) ARCHIVE_ROUNDS=$(or $(ARCHIVE_ROUNDS),10) \
		$(ARCHIVE)/bin/python -m pytest -n 0 -s -m archive --timeout 14400 tests/archive/test_kills.py

test-pythons: $(VENV)/installed-dev ## Run a little of everything under every Python found here, with the newest and the lowest dependencies
	$(BIN)/python tests/pythons/every_python.py $(if $(RECORD),--record)

# A place of its own, because PyTorch is large. tests/network/cpu_torch.py finds the build without CUDA.
NETWORK := .cache/network
$(NETWORK)/installed: pyproject.toml tests/network/cpu_torch.py
	$(PYTHON) -m venv $(NETWORK)
	$(NETWORK)/bin/python tests/network/cpu_torch.py
	$(NETWORK)/bin/python -m pip install --quiet --editable '.[dev]'
	@touch $@

test-network: $(NETWORK)/installed ## Train networks on synthesised sound, with the CPU build of PyTorch (minutes)
	$(NETWORK)/bin/python -m pytest -n 0 -m network tests/network

wheels: $(VENV)/installed-dev ## Check that every dependency has a wheel for each platform and Python
	$(BIN)/python tests/pythons/wheels.py

bench: $(VENV)/installed-dev ## Measure speed and memory; writes the table of docs/performance.md (20 minutes)
	$(BIN)/python -m benchmarks.speed --write $(MUSIC)

bench-stages: $(VENV)/installed-dev ## Measure seconds a track by stage, writing, and the service
	$(BIN)/python -m benchmarks.stages
	$(BIN)/python -m benchmarks.writing
	$(BIN)/python -m benchmarks.service

# Essentia and TensorFlow have an environment of their own.
ESSENTIA := .cache/essentia
$(ESSENTIA)/installed:
	$(PYTHON) -m venv $(ESSENTIA)
	$(ESSENTIA)/bin/python -m pip install --quiet essentia-tensorflow tensorflow-cpu
	$(ESSENTIA)/bin/python -m pip download --quiet --no-deps --dest $(ESSENTIA)/wheel musicnn==0.1.0
	@touch $@

bench-essentia: $(VENV)/installed-dev $(ESSENTIA)/installed ## Hear the same windows as Essentia does, and compare (2 GB in .cache)
	$(BIN)/python -m benchmarks.essentia $(ESSENTIA)/bin/python $(ESSENTIA)/wheel/musicnn-0.1.0-*.whl

bench-page: browser ## Measure each view of the page with 100,000 tracks (3 GB in .cache)
	$(BIN)/python -m benchmarks.page

# LABELLED: a folder of recordings with known genres, as numbers; benchmarks/labelled.py says what is in it.
fit: $(VENV)/installed-dev ## Fit how the default model hears genres, and measure: make fit LABELLED=/path/to/labelled
	@if [ -z "$(LABELLED)" ]; then echo "Which recordings? make fit LABELLED=/path/to/labelled" >&2; exit 2; fi
	$(BIN)/python -m benchmarks.fit "$(LABELLED)"

clean: ## Remove what was made
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache build dist
