# Options: PYTHON=... names the interpreter for a new .venv; ARGS=... goes to `dvc repro`, `dvc exp run`, the tool `verify`,
# pytest, tests/workflows.py or `uv pip compile`; BASE=... names the revision that `make review` compares with.

.DEFAULT_GOAL := help
.PHONY: help setup repro studies smoke review check-lock verify test test-all workflows lint format lock clean-cache

# Without bytecode, DVC and TensorFlow take twice as long to start.
unexport PYTHONDONTWRITEBYTECODE

# python3 comes first, because the user or the distribution chose it; the lock file has the same NumPy and TensorFlow for all.
# Each is tried by running it, as a shim may have no Python behind it, and answers with the interpreter below any .venv.
interpreters := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)
probe = (3, 11) <= sys.version_info < (3, 14) or sys.exit(1); print(sys._base_executable)

# Small enough for minutes, large enough to reach every line: the first rows, one epoch and one seed of everything. XLA takes
# longer to compile a network than that takes to train, and so does tracing a rest: most studies' batches make up 192 rows.
# `++` also sets a key that the file leaves out.
limits = limits.rows=192 limits.epochs=1 limits.seeds=1 replicates.jit_compile=false
searched = search.trials=3 search.batch=2 search.folds=2
files = $(wildcard studies/*/params.yaml)
try = $(foreach file,$(files),$(foreach limit,$(limits),-S $(file):++$(limit)))
try += $(foreach file,$(shell grep -ls '^search:' $(files)),$(foreach size,$(searched),-S $(file):++$(size)))

# Stages and tests call `python` and `dvc`.
use_venv = export PATH="$(CURDIR)/.venv/bin:$$PATH"

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## */make \1\t/p' Makefile | expand -t 18

repro: setup  ## run the starter study; only what changed is trained
	$(use_venv); python -m stages.tools restore && dvc repro $(ARGS)

studies: setup  ## run all of studies/ on their full data, which takes hours
	$(use_venv); python -m stages.tools restore && dvc repro -R studies $(ARGS)

# DVC runs it in a copy of the checkout, and keeps it as an experiment, which nobody wants to compare with.
smoke: setup  ## try all of studies/ on a few rows, in minutes; the workspace stays as it is
	$(use_venv); dvc exp run --temp --name smoke $(try) -R studies $(ARGS) && dvc exp remove --quiet smoke

BASE = main

review: setup  ## write review.md: what the change does to metrics and verdicts, against BASE=main
	.venv/bin/python -m stages.tools review '$(BASE)'

check-lock: setup  ## check that committed results are what the lock files say
	.venv/bin/python -m stages.tools lock

verify: setup  ## train a few replicates again, and compare them with the committed metrics
	$(use_venv); python -m stages.tools verify $(ARGS)

test: lint  ## run the checks of every day: lint, format, types and the quick tests
	$(use_venv); pytest -m 'not slow' $(ARGS)

test-all: lint  ## run every check, with whole pipelines, clusters of processes and pages in a browser too
	$(use_venv); pytest $(ARGS)

lint: setup  ## run the quick checks: lint, format and types
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

workflows: setup  ## run the steps of .github/workflows here; ARGS='checks.yml', say, chooses
	.venv/bin/python tests/workflows.py $(ARGS)

format: setup  ## format the code and apply ruff's safe fixes
	.venv/bin/ruff check --fix-only
	.venv/bin/ruff format

setup: .venv/.synced  ## make .venv agree with requirements.lock

# The stamp comes last, so an interrupted run starts again. antlr4-python3-runtime exists as source only: setuptools, to
# build it, is installed first and from the lock file, like everything else. compileall skips what is compiled already; it
# fails for templates that are no Python, which does not matter.
.venv/.synced: requirements.lock
	@set -e; python=; \
	if uv --version >/dev/null 2>&1; then uv=yes; modules=sys; else uv=; modules=sys,ensurepip; fi; \
	for name in $(interpreters); do \
	    python=$$("$$name" -c "import $$modules; $(probe)" 2>/dev/null) && break; \
	done; \
	if [ "$$uv" ] && [ -z "$$python$(PYTHON)" ]; then python=3.13; fi; \
	if [ -z "$$python" ]; then \
	    echo "No Python 3.11 to 3.13 with venv (tried $(interpreters)). Install python3 and python3-venv, or uv." >&2; \
	    exit 1; \
	fi; \
	if [ "$$uv" ]; then \
	    .venv/bin/python -c '' 2>/dev/null || uv venv --clear --python "$$python" .venv; \
	    install='uv pip install --python .venv/bin/python --no-build-isolation-package antlr4-python3-runtime'; \
	    exact=--exact; \
	else \
	    "$$python" -m venv --clear .venv; \
	    install='.venv/bin/python -m pip install --use-pep517 --no-build-isolation'; \
	    exact=; \
	fi; \
	awk '/^[^ ]/ { found = /^setuptools==/ } found' requirements.lock > .venv/setuptools.txt; \
	$$install --no-deps --require-hashes -r .venv/setuptools.txt; \
	$$install --no-deps --require-hashes $$exact -r requirements.lock; \
	.venv/bin/python -m compileall -qq -j 0 "$(CURDIR)/.venv/lib" || true; \
	touch $@

lock:  ## compile requirements.in; ARGS=--upgrade takes new versions
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' \
	    $(ARGS) --output-file requirements.lock requirements.in

clean-cache: setup  ## remove the downloads and replicates in the user's cache
	@folder=$$(.venv/bin/python -c 'import platformdirs; print(platformdirs.user_cache_path("tips-on-trial"))') && \
	if [ -d "$$folder" ]; then echo "Removing $$(du -sh "$$folder")"; rm -rf "$$folder"; else echo "Nothing at $$folder"; fi
