# The SpiceMix companion. `make help` lists the targets; a fresh machine needs only Python 3.11.

PYTHON  ?= python3.11
# The environment: made here, or one that exists already (conda: make book VENV="$CONDA_PREFIX").
VENV    ?= .venv
# quick: minutes, fewer seeds and iterations; full: the numbers of the book.
PROFILE ?= full
# Chapters executed at a time; empty means two, or one on a machine with one core.
JOBS    ?=
# Longest time of one cell of a chapter in minutes; empty means 120.
LIMIT   ?=
# Parameters of `make chapter NAME=...`: seed, number of metagenes, number of runs, and others as P="KEY=VALUE ...".
PARAMETERS = $(if $(SEED),random_state=$(SEED)) $(if $(K),n_metagenes=$(K)) $(if $(RUNS),n_runs=$(RUNS)) $(P)

TORCH       := 2.13.0
TORCH_INDEX := https://download.pytorch.org/whl/cpu
# Where `make lock` finds the CPU build of torch: its public index, or e.g. --find-links FOLDER.
TORCH_FROM  ?= --torch-backend cpu

BIN   := $(VENV)/bin
PIP   := $(BIN)/python -m pip --disable-pip-version-check
STAMP := $(VENV)/.stamp
# Compiled kernels are shared by tests, benchmarks and chapters, and stay out of the sources. A cached kernel does not
# notice when a kernel of another module that it calls has changed, so each state of the modules with kernels has its
# own folder.
SOURCES := $(shell cat $$(grep -l njit spicemix_core/*.py spicemix_core/*/*.py) | cksum | cut -d ' ' -f 1)
export NUMBA_CACHE_DIR ?= $(CURDIR)/build/numba/$(SOURCES)

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help env test test-pages book chapter print lint benchmark lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(STAMP)  ## the environment, from requirements.lock

# The stamp is written last, so a half-made environment is never taken for a finished one. torch comes from its own index
# only, every other package from the usual one only, and all by their digests. Matplotlib lists the fonts here, once, so
# that no chapter prints that it does.
$(STAMP): requirements.lock requirements-torch.lock pyproject.toml
	@rm -f $@
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; v = sys.version_info; sys.exit(v[:2] != (3, 11) and \
	    f"requirements.lock is for Python 3.11 and $(VENV) has {v[0]}.{v[1]}: remove it, or name another PYTHON or VENV.")'
	$(PIP) install --quiet --retries 1 --no-deps --require-hashes --index-url $(TORCH_INDEX) -r requirements-torch.lock
	$(PIP) install --quiet --no-deps --require-hashes -r requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@$(BIN)/python -c 'import matplotlib.font_manager'
	@touch $@

# The pages are tested where a book is built; .ci/run builds it after this target and then calls test-pages.
BUILT := $(wildcard book/_build/html/index.html)
# Processes of one BLAS thread each, two for each of two cores because tests wait for other programs; the tests of a
# module stay in one process and share their fixtures.
WORKERS ?= 4
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
# Where the environment forbids to keep compiled modules, each of the many processes would compile them again.
KEEP_COMPILED := PYTHONDONTWRITEBYTECODE=
test: $(STAMP)  ## the tests and the examples in docstrings; the tests of the pages too once a book is built
	@$(if $(BUILT),:,echo "tests/browser is left out: no book is built yet (make book, then make test-pages)")
	$(ONE_THREAD) $(KEEP_COMPILED) $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder \
	    $(if $(BUILT),,--ignore=tests/browser)

test-pages: $(STAMP)  ## the tests of the built pages, in a real browser
	$(BIN)/python -m pytest tests/browser

book: $(STAMP)  ## execute what changed and build book/_build/html (PROFILE=quick for a short run)
	$(BIN)/python book/build.py --profile $(PROFILE) $(if $(JOBS),--jobs $(JOBS)) $(if $(LIMIT),--limit $(LIMIT))

chapter: $(STAMP)  ## execute one chapter, NAME=..., in a folder of its own if SEED=, SEEDS=, K=, RUNS= or P= are given
	$(if $(NAME),,$(error name the chapter: make chapter NAME=simulation SEED=3))
	$(BIN)/python book/build.py --profile $(PROFILE) --chapter $(NAME) $(if $(SEEDS),--seeds $(SEEDS)) $(PARAMETERS:%=-p %)

print: $(STAMP)  ## the book, and one PDF of it in book/_build/spicemix.pdf (needs Chromium)
	$(BIN)/python book/build.py --profile $(PROFILE) $(if $(JOBS),--jobs $(JOBS)) $(if $(LIMIT),--limit $(LIMIT)) --print

lint: $(STAMP)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

benchmark: $(STAMP)  ## time the core; tables go to benchmarks/results
	$(BIN)/python benchmarks/run.py --output benchmarks/results/fits.md
	$(BIN)/python benchmarks/run.py --output benchmarks/results/large.md --repeats 1 tissue:100000x500 sparse:1000000x500
	$(BIN)/python benchmarks/run.py --output benchmarks/results/public_size.md --n-metagenes 10 --threads 1 --tol 0 \
	    --iterations 100 simulated
	$(BIN)/python benchmarks/scaling.py --output benchmarks/results/scaling.md
	$(BIN)/python benchmarks/solvers.py --output benchmarks/results/solvers.md
	$(BIN)/python benchmarks/compare.py --output benchmarks/results/compare.md
	$(BIN)/python benchmarks/cluster.py --output benchmarks/results/cluster.md

# The pin of sympy keeps uv from the pre-release that torch's range allows.
lock:  ## write requirements.lock anew (needs uv; keeps the present pins that still fit)
	printf 'torch==$(TORCH)+cpu\nsympy==1.14.0\n' | uv pip compile pyproject.toml requirements.in --all-extras --universal -p 3.11 \
	    --constraint - $(TORCH_FROM) --no-emit-package torch --generate-hashes --no-header -o requirements.lock

clean:  ## remove everything that was built, except the environment
	rm -rf build book/_build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
