# All targets work in .venv and set it up on first use. `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin

# Every process that a test starts would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-slow test-servers test-python test-extras fuzz check lint format bench \
  lock servers torch clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

.venv/ready: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "stacchip needs Python 3.11 or newer; name one: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "this Python has no venv module; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "setting up .venv (once; a minute or two)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: .venv/ready ## write a sample archive, its index and a picture of its chips to demo/
	@$(BIN)/stacchip demo demo

# Files start in the order of their names, and the short examples in src come last. By itself, xdist
# starts the files with the most tests, and ends with slow files of few tests, on one core.
test: .venv/ready ## run the tests; some need real imagery in ../shared/data or STACCHIP_TEST_DATA
	$(BIN)/python -m pytest -m 'not servers and not slow' -n auto --dist loadfile \
	  --no-loadscope-reorder

test-slow: .venv/ready ## run the tests that take long: at scale, of long trainings, of whole programs
	$(BIN)/python -m pytest -m 'slow and not servers' -n auto --dist loadfile --timeout 900 tests

test-servers: .venv/ready ## run the tests on real servers: SeaweedFS, and those that `make servers` installs
	$(BIN)/python -m pytest -m servers -n 2 --dist loadfile --no-loadscope-reorder tests

# `make test-python PYTHON=python3.13 DEPS=lowest TESTS="tests/grid tests/raster"`
DEPS ?= newest
test-python: ## run the plain tests on PYTHON with DEPS=newest, lowest or locked, in an environment of .venvs/
	@bash tests/on_python.sh $(PYTHON) $(DEPS) $(TESTS)

test-extras: ## try each extra of the built wheel in an empty environment; EXTRAS="dask torch" tries these
	@bash tests/extras/run.sh $(PYTHON) $(EXTRAS)

# The faults that it finds are kept in fuzz-faults/. SEED is the clock's by default, and is said.
SECONDS ?= 3600
fuzz: .venv/ready ## try mutants of files, items, answers and indexes; SECONDS=60 SEED=1 KINDS="tiff" for less
	PYTHONPATH=tests $(BIN)/python -m fuzz --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) \
	  $(foreach kind,$(KINDS),--kind $(kind))

check: lint test ## check format, lint, types and import layers, and run the tests

lint: .venv/ready ## check format, lint, types and import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/ready ## format the code and fix what ruff can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/ready ## run the benchmarks of docs/benchmarks (about 15 minutes, 10 GB of disk); BENCH=name runs one
	$(BIN)/python -m benchmarks.run $(BENCH)

torch: .venv/ready ## install PyTorch and trainers into .venv, for the tests of the datasets
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 \
	  lightning==2.6.6 torchdata==0.11.0 accelerate==1.15.0

servers: .venv/ready ## install PostgreSQL, pgstac and nginx, for the tests that need them (Debian, root)
	@bash tests/servers/install.sh

lock: ## renew requirements.lock from pyproject.toml: every version and hash, no registry's name
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --group dev --extra dask --extra xarray --extra processors --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o requirements.lock

clean: ## remove .venv, .venvs and the files of the demo and the benchmarks
	rm -rf .venv .venvs demo benchmarks/data benchmarks/.venvs
