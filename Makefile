# Needs Python 3.10 or later, git and make; everything else goes into .venv.
#
#   make demo    train, merge and score tiny models, offline      DEMO_ARGS="--quick --out DIR"
#   make test    every test, the slow ones too, on two cores      TEST_ARGS="-k hook", "-n 0 --pdb"
#   make bench   the measurements, into bench.md                  SST_BENCH_OUT=FILE TEST_ARGS=...
#   make torture kills, full disks and more, at many moments      TEST_ARGS=...
#   make lint    ruff and pyright
#   make audit   known vulnerabilities of what is installed       AUDIT_STRICT=1 fails on one
#   make clean   remove what the others made, .venv included
#
# On Linux, PyPI's torch brings CUDA along. For the smaller CPU build give pip PyTorch's CPU index
# (see PyTorch's own page on installing): make PIP_ARGS="--extra-index-url URL" test
PYTHON ?= python3
PIP_ARGS ?=
DEMO_ARGS ?=
TEST_ARGS ?=

BIN := .venv/bin
INSTALLED := .venv/installed
IN_PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder
OFFLINE := HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 HF_DATASETS_OFFLINE=1

.PHONY: demo test bench torture audit lint clean

demo: $(INSTALLED)
	$(OFFLINE) $(BIN)/sst-mergekit demo $(DEMO_ARGS)

test: $(INSTALLED)
	$(OFFLINE) $(BIN)/python -m pytest $(IN_PARALLEL) $(TEST_ARGS)

bench: $(INSTALLED)
	$(OFFLINE) $(BIN)/python -m pytest -s -m bench tests/bench $(TEST_ARGS)

torture: $(INSTALLED)
	$(BIN)/python -m pip install -c constraints.txt $(PIP_ARGS) -e ".[torture]"
	$(OFFLINE) $(BIN)/python -m pytest -s -m torture tests/torture $(TEST_ARGS)

# Of use where PyPI's service of known vulnerabilities can be reached; elsewhere it says so and passes.
audit: $(INSTALLED)
	timeout 300 $(BIN)/python -m pip install -q -c constraints.txt $(PIP_ARGS) -e ".[audit]" && \
	timeout 300 $(BIN)/python -m pip_audit --progress-spinner off --timeout 10 --skip-editable; \
	case $$? in 0) ;; 1) test -z "$$AUDIT_STRICT" ;; *) echo "audit: could not be made here" ;; esac

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis sst-demo
	find . -name __pycache__ -prune -exec rm -rf {} +

$(INSTALLED): setup.py setup.cfg pyproject.toml constraints.txt sst_mergekit.pth sst_mergekit.start
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt $(PIP_ARGS) -e ".[dev]"
	touch $@
