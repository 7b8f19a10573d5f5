PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: eval test check clean

# The main job on what ships with the program: candidate and judge are the built-in tiny model, the data the starter set.
eval: $(STAMP)
	$(BIN)/judgebench eval --model builtin:tiny --judge builtin:tiny --tasks alpacaeval,mtbench,wildbench,arenahard,ifeval,gsm8k --starter
	$(BIN)/judgebench leaderboard

test: $(STAMP)
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/check

check: test

# torch goes first and by itself: a range, or another package's need, could pull a build for another accelerator.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[local,dev]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
