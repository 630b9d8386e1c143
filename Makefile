# Two commands: `make demo` and `make test`. Both set up .venv first. A test that lacks a
# browser or a package is skipped, unless FAIRPRUNE_REQUIRE names it: see tests/requirements.py.
PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
export OMP_NUM_THREADS ?= 1
export SCIPY_ARRAY_API ?= 1

.PHONY: demo test test-slow test-dashboard lint clean

.venv/demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[demo]"
	touch .venv/demo

.venv/test: .venv/demo
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[test]"
	touch .venv/test

demo: .venv/demo
	$(BIN)/python -m sklearn_fairprune audit --data mortgage --test-size 0.5 --out audit-out --html audit-out/report.html

test: .venv/test
	sh tests/browser/get_chromium.sh
	$(BIN)/python -m ruff check .
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: .venv/test
	$(BIN)/python -m pytest -n 2 -m slow

# raiwidgets brings the dashboard's front end; not the old versions that it asks for.
.venv/dashboard: .venv/test
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-deps raiwidgets
	touch .venv/dashboard

# Whoever asks for its tests wants them run: without browser or front end they fail.
test-dashboard: export FAIRPRUNE_REQUIRE = packages,chromium,front-end
test-dashboard: .venv/dashboard
	sh tests/browser/get_chromium.sh
	$(BIN)/python -m pytest tests/browser/test_dashboard.py tests/report/dashboards

lint: .venv/test
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

clean:
	rm -rf .venv audit-out
