# Every target works on a fresh machine with Python >= 3.11, make and a C compiler; nothing is installed outside .venv.
#
#   make run      set up, start the server, compare two sets of diamonds, stay up until Ctrl-C   (ONCE=1 stops after the result)
#   make setup    .venv with everything that tests and checks need
#   make test     all tests except the slow ones           make test-all   all tests, those of the service also on
#   make test-faults   100 rounds of random kills                             PostgreSQL and S3
#   make check    format, lint, types, import contracts    make docs       the documentation as a site, in site/
#   make bench    times and values (an hour)               make bench-calibration   are bounds right as often as they say?
#   make bench-funnels   estimates where W1 is known        make bench-scale         ten million rows
#   make bench-monitors  alarms of monitors and other tools
#   make images   the container images            make test-images   build them and run them (buildah, root)
#   make audit    known vulnerabilities                     make sbom        what a server is made of, as CycloneDX
#   make wheels   wheels of library with server and of the client, in dist/
#   make clean    remove .venv and caches
#
# PORT=8000 is where `make run` listens; PYTHON=/path/to/python chooses an interpreter. torch comes without CUDA on Linux, unless
# there is an NVIDIA driver or pip has an index of its own; TORCH_INDEX_URL=https://... chooses where it comes from.

.DEFAULT_GOAL := help
.PHONY: help setup run test test-all test-faults check images test-images bench bench-calibration bench-funnels bench-monitors bench-scale docs generate wheels audit sbom constraints clean
.DELETE_ON_ERROR:

# OpenMP's threads spin while they wait: with other work on the machine that costs ten times the time.
export OMP_WAIT_POLICY ?= passive

PORT ?= 8000
ONCE ?=
PYTEST ?=
# Two files of tests at a time: they wait for servers and browsers much of their time. Those of the page go one by one.
SHARDS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --retries 3 --timeout 60 --log $(VENV)/install.log
DEPENDS := pyproject.toml clients/python/pyproject.toml constraints.txt

help:
	@sed -n '3,19s/^# \{0,1\}//p' Makefile

$(BIN)/python:
	@found=; for p in $(PYTHON) python3 python3.13 python3.12 python3.11 python; do \
	  if "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then found=$$p; break; fi; done; \
	if [ -z "$$found" ]; then \
	  echo "wdist needs Python 3.11 or newer; none found. Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; fi; \
	free=$$(df -Pk . | awk 'NR == 2 {print $$4}'); \
	if [ "$${free:-0}" -lt 2500000 ]; then \
	  echo "Setting up needs 2.5 GB here; the disk has $$((free / 1024)) MB left. Free some space, or clone to a larger disk." >&2; exit 1; fi; \
	echo "Creating $(VENV) with $$("$$found" --version)"; \
	"$$found" -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "Python could not create a virtual environment. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

# torch comes first and alone: its version is fixed by constraints.txt, and its download is the long part worth a progress bar.
# tools/install_torch.py says where it comes from.
define install
	@echo "Installing $(1) (first time: about 1 GB, some minutes) ..."
	@{ { ls -d $(VENV)/lib*/python*/site-packages/torch >/dev/null 2>&1 || $(BIN)/python tools/install_torch.py $(PIP) install; } \
	  && $(PIP) install -q --progress-bar off -c constraints.txt $(2); } || { \
	  echo >&2; echo "Installing failed; the whole story is in $(VENV)/install.log. Usual reasons: no network or no package index" >&2; \
	  echo "(pip's own settings decide which), a full disk (df -h .), or a package without a wheel for this Python that" >&2; \
	  echo "needs a C compiler (cc --version). Then try the same command again." >&2; exit 1; }
endef

$(VENV)/.run-stamp: $(DEPENDS) | $(BIN)/python
	$(call install,the server and the client,-e '.[server]' -e clients/python)
	@touch $@

$(VENV)/.dev-stamp: $(DEPENDS) | $(BIN)/python
	$(call install,everything that tests and checks need,-e '.[dev]' -e clients/python)
	@touch $(VENV)/.run-stamp $@

setup: $(VENV)/.dev-stamp

run: $(VENV)/.run-stamp
	@$(BIN)/python examples/diamonds/run.py --port $(PORT) $(if $(ONCE),--once)

# Processes that share the cores are faster with a thread each.
test test-all: export OMP_NUM_THREADS ?= 1

test: $(VENV)/.dev-stamp
	$(BIN)/python -m pytest -n $(SHARDS) --dist load -m "not slow" $(PYTEST)

test-all: $(VENV)/.dev-stamp
	$(BIN)/python -m pytest -n $(SHARDS) --dist load --stores=both $(PYTEST)

# Processes are killed and frozen at random moments while a queue of estimates drains; the seed is printed.
ROUNDS ?= 100
test-faults: $(VENV)/.dev-stamp
	WDIST_KILL_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest -s tests/faults/test_random_kills.py $(PYTEST)

# All targets of the Dockerfile, with docker, podman or buildah. IMAGES="--help" tells the options.
IMAGES ?=
images:
	@$(or $(PYTHON),python3) tools/images.py $(IMAGES)

test-images: $(VENV)/.dev-stamp
	$(BIN)/python -m pytest -s tests/release/test_container_images.py tests/release/test_compose_runs.py $(PYTEST)

check: $(VENV)/.dev-stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/shellcheck .ci/run deploy/slim_base.sh
	$(BIN)/hadolint Dockerfile
	$(BIN)/docker-compose -f compose.yaml config --quiet
	$(BIN)/docker-compose -f deploy/compose.cluster.yaml --env-file deploy/cluster.env.example config --quiet

bench: $(VENV)/.dev-stamp
	@for b in threads layers orthogonality value_per_second estimates service api job_queue gpu; do \
	  echo "== benchmarks/$$b.py"; $(BIN)/python "benchmarks/$$b.py" || exit 1; done

# Four that take an hour and more. What the first two have done stays in build/ and is not repeated.
bench-calibration: $(VENV)/.dev-stamp
	@mkdir -p build
	$(BIN)/python -m benchmarks.calibration --results build/calibration.jsonl --out build/calibration.json

bench-funnels: $(VENV)/.dev-stamp
	@mkdir -p build
	$(BIN)/python benchmarks/funnels.py --rows 50000 --seconds 10 --out build/funnels.jsonl
	$(BIN)/python benchmarks/funnels.py --rows 1000000 --seconds 40 --dims 2 4 8 16 --out build/funnels.jsonl
	$(BIN)/python benchmarks/funnels.py --rows 1000000 --seconds 90 --dims 32 64 128 --out build/funnels.jsonl

# Years of monitors without drift and with it, and the same series for other tools, in an environment of its own.
bench-monitors: $(VENV)/.dev-stamp
	@mkdir -p build
	$(BIN)/python -m benchmarks.monitors null
	$(BIN)/python -m benchmarks.monitors drift
	$(BIN)/python -m benchmarks.monitors upper
	$(BIN)/python -m benchmarks.peers --results build/peers.jsonl

bench-scale: $(VENV)/.dev-stamp
	$(BIN)/python benchmarks/scale.py

# Code that is made from definitions elsewhere; a test fails when it is stale.
generate: $(VENV)/.dev-stamp
	$(BIN)/python tools/generate.py

docs: $(VENV)/.dev-stamp
	$(BIN)/sphinx-build -q -W --keep-going -b html docs site
	@echo "site/index.html"

# For another environment: pip install dist/wdist-*.whl (docs/guides/install.md). hatchling, which builds them, comes from pip's index.
wheels: | $(BIN)/python
	@rm -f dist/wdist-*.whl dist/wdist_client-*.whl
	@$(PIP) wheel -q --no-deps --wheel-dir dist . ./clients/python
	@ls dist/wdist-*.whl dist/wdist_client-*.whl

# Known vulnerabilities of the versions in constraints.txt; a package that the service does not know is a finding too.
audit: $(VENV)/.dev-stamp
	$(BIN)/python tools/audit.py

# build/wdist.cdx.json: every package of a server, its version and licence.
sbom: $(VENV)/.dev-stamp
	$(BIN)/python tools/sbom.py

# Newest versions that the ranges allow, tried in a fresh environment; torch keeps its pin. Review the difference, then `make check test`.
constraints: $(BIN)/python
	rm -rf $(VENV)/fresh && $(BIN)/python -m venv $(VENV)/fresh
	$(VENV)/fresh/bin/pip install -q "$$(grep '^torch==' constraints.txt)" && $(VENV)/fresh/bin/pip install -q -e '.[dev]' -e clients/python
	{ sed -n '/^#/p' constraints.txt; $(VENV)/fresh/bin/pip freeze --all --exclude pip --exclude-editable | sed 's/+[a-z0-9.]*$$//'; } > constraints.new
	mv constraints.new constraints.txt && rm -rf $(VENV)/fresh

clean:
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
