# Two commands do everything on a fresh Debian or Ubuntu machine:
#   make eval   install, then run the main job: the bundled LightVLA on LIBERO-Long with the embedded assets, a table and videos
#   make test   install, then run the tests
# EVAL holds the arguments of the main job, e.g. make eval EVAL="--suite object --model expert --trials 10"

PYTHON ?= python3
VENV := .venv
EVAL ?= --suite long --model nano --trials 2 --assets primitive --video all
PYTEST ?=

.PHONY: eval test install system clean
.DEFAULT_GOAL := eval

eval: install
	$(VENV)/bin/vla-bench eval $(EVAL)

test: install
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses auto --dist worksteal $(PYTEST)

install: system $(VENV)/.installed

# hf-libero comes without its dependencies; pyproject.toml says why.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) scripts/check_python.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	$(VENV)/bin/python -m pip install --quiet --no-deps hf-libero==0.1.4
	touch $@

system:
	@sh scripts/system_libraries.sh

clean:
	rm -rf $(VENV)
