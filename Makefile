# Everything sets itself up on a fresh machine: Python 3.11 and make are enough. As root, Chromium and Redis come from Debian.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Compiled modules are kept: where the environment says otherwise, every process would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all check bench install system format lock clean help

help:
	@echo "make demo    the whole story on a generated data set, in about three minutes"
	@echo "make test    every test, embedded on SQLite and over HTTP on PostgreSQL, in a real browser; meant to take ten minutes on two cores"
	@echo "make test-all   the same at leisure: every pair of door and database, every payload on every route, fifty kills,"
	@echo "             four times the examples of each property, the whole year of flights"
	@echo "make check   lint, types, floors"
	@echo "make bench   the benchmarks, as a table and JSON"
	@echo "make lock    write down the newest versions of what the tests need"

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python .ci/install.py
	touch $@

install: $(STAMP)

demo: $(STAMP)
	$(BIN)/mw demo

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

system:
	@missing=; \
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
		|| missing="chromium"; \
	command -v redis-server >/dev/null || command -v valkey-server >/dev/null || missing="$$missing redis-server"; \
	test -z "$$missing" || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq \
			&& DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq $$missing >/dev/null; } \
		|| echo "No $$missing here and no right to install it: its tests will say so and skip."

test: $(STAMP) system
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

test-all: $(STAMP) system
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder --all-doors --thorough

bench: $(STAMP)
	$(BIN)/python -m benchmarks

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The newest versions that pyproject.toml allows, written down once the tests pass with them.
lock:
	rm -rf $(VENV)/lock && $(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(VENV)/lock/bin/python -m pip install --quiet --editable . --group dev
	head -1 constraints.txt > $(VENV)/constraints
	$(VENV)/lock/bin/python -m pip list --format=freeze --exclude-editable --exclude pip --exclude setuptools | sed 's/+cpu$$//' >> $(VENV)/constraints
	mv $(VENV)/constraints constraints.txt

clean:
	rm -rf $(VENV) .demo .bench .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
