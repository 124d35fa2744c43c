# `make serve` and `make test` do everything on a fresh machine; both need nothing but python3 and make.

PINS ?= core
NOTEBOOKS ?= notebooks
PORT ?= 8000
UV_DIR := .uv
BIN := .venv/bin
export NO_MKDOCS_2_WARNING = 1

.PHONY: help serve site test lint types verify record lab bench install chromium clean
.DEFAULT_GOAL := help

help:  ## List what can be made
	@sed -n 's/^\([a-z]*\):.*  ## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-9s %s\n' "$$name" "$$text"; done

serve: .venv/ready  ## Build the site and serve it with live reload (needs no TensorFlow)
	@echo "The site will be at http://127.0.0.1:$(PORT)/"
	$(BIN)/mkdocs serve --dev-addr 127.0.0.1:$(PORT)

site: .venv/ready  ## Build the site into site/
	$(BIN)/mkdocs build --strict

test: lint types install chromium  ## Verify everything on the core pins; PINS=all or PINS=2.2,2.16 for others
	$(BIN)/pytest --nbval -n auto --pins $(PINS) tests $(NOTEBOOKS)

verify: install  ## Verify the notebooks alone
	$(BIN)/pytest --nbval -n auto --pins $(PINS) tests/test_notebooks.py $(NOTEBOOKS)

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

install: .venv/ready  ## Install the pins that PINS names
	$(BIN)/tfb install $(PINS) --read-by $(NOTEBOOKS)

record: .venv/ready  ## Record every notebook anew on all pins
	$(BIN)/tfb install all
	$(BIN)/tfb record $(NOTEBOOKS)

lab: .venv/ready  ## Open JupyterLab on the notebooks, with the kernel that runs every pin
	TFB_PROGRESS=1 $(BIN)/jupyter lab --notebook-dir notebooks

bench: .venv/ready  ## Measure the engine and write docs/benchmark.md; takes half an hour
	$(BIN)/tfb install all
	$(BIN)/python bench/bench.py

# The browser the site's tests drive: one that is there, else Debian's, else the one playwright downloads.
chromium: .venv/ready
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || ls $(HOME)/.cache/ms-playwright/chromium-* >/dev/null 2>&1 \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -q && apt-get install -yq --no-install-recommends chromium; } \
	|| $(BIN)/playwright install --with-deps chromium \
	|| { echo "No Chromium for the site's tests. Install it (Debian: apt-get install chromium) and run this again." >&2; exit 1; }

# uv comes hash-checked from pip; it brings a Python of the right version where this machine has none.
$(UV_DIR)/bin/uv: pins/uv.txt
	@command -v python3 >/dev/null || { echo "python3 is missing. Debian: apt-get install python3 python3-venv" >&2; exit 1; }
	@python3 -m venv $(UV_DIR) || { echo "python3 can't make environments. Debian: apt-get install python3-venv" >&2; exit 1; }
	$(UV_DIR)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r pins/uv.txt
	@touch $@

.venv/ready: $(UV_DIR)/bin/uv pins/driver.txt pyproject.toml src/tf_breakages/kernelspec/kernel.json
	$(UV_DIR)/bin/uv venv --quiet --clear --python '>=3.11,<3.14' .venv
	$(UV_DIR)/bin/uv pip install --quiet --python .venv --no-deps --require-hashes -r pins/driver.txt
	$(UV_DIR)/bin/uv pip install --quiet --python .venv --no-deps --no-build-isolation --editable .
	@touch $@

clean:  ## Delete what was built here; the pins stay in the user's cache
	rm -rf .venv $(UV_DIR) site .cache
