# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TYPESCRIPT := 5.9.3
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: help demo test check scripts reliability slurm bands bench docs extras arm transformer-lens-4 ledger readme clean

help:
	@echo "make demo    train, measure and report the quick preset (a minute on 2 cores, once installed)"
	@echo "make test    everything that CI runs: checks, tests, examples"
	@echo "make reliability   every kill, flip and full disk, of which make test takes a sample (about ten minutes)"
	@echo "make slurm   studies on a real Slurm of this machine, as root: a job requeued, one killed, one out of time (two minutes)"
	@echo "make bands   the published bands as a study of 16 runs (an hour on two cores; at most 100 minutes a call, the next goes on)"
	@echo "make bench   measure docs/performance.md anew (ten minutes, with nothing else running; RUN=runs/default measures that)"
	@echo "make docs    execute the tutorial and build the site: site/index.html"
	@echo "make extras  install each extra into a fresh environment, and see it do its job (ten minutes)"
	@echo "make arm     build the kernel with clang and for 64-bit ARM, and hold it to float64 (a minute)"
	@echo "make transformer-lens-4   hold exports to TransformerLens 4, and follow it, in an environment of its own (three minutes)"
	@echo "make ledger   write docs/ledger.md, the published values that are reproduced (FILES=the folder of published networks)"
	@echo "make check   ruff, mypy and import-linter only"
	@echo "make readme  write the table of commands into README.md"
	@echo "make clean   remove the virtual environment and caches; runs are kept"

demo: runs/demo/report.html
	@echo "open in a browser: $(CURDIR)/runs/demo/report.html"

runs/demo/report.html: | $(VENV)/installed
	$(BIN)/grokviz run quick --out runs/demo --resume

# Two at a time, whole files each, so that the runs that a file shares are trained once.
test: check
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

reliability: $(VENV)/installed-test
	$(BIN)/pytest tests/reliability --whole

# Slurm is Debian's.
slurm: $(VENV)/installed-test
	PATH="$$PATH:/usr/sbin" command -v slurmctld >/dev/null || test "$$(id -u)" != 0 || \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge >/dev/null; }
	$(BIN)/pytest tests/clusters/test_slurm.py --slurm -rs $(if $(ONLY),-k $(ONLY))

bands: $(VENV)/installed-test
	$(BIN)/python tests/benchmarks/bands.py --write docs/studies.md

bench: $(VENV)/installed-test
	$(BIN)/python tests/benchmarks/bench.py --write docs/performance.md $(if $(RUN),--run $(RUN))

docs: $(VENV)/installed-test
	$(BIN)/mkdocs build --strict
	@echo "open in a browser: $(CURDIR)/site/index.html"

# Slow: an environment of its own for each.
extras: $(VENV)/installed-test
	$(BIN)/python tests/extras.py

# TransformerLens 4 has no HookedTransformer, so it cannot be in the same environment.
transformer-lens-4: $(VENV)/installed-test
	test -d .venv-4 || $(PYTHON) -m venv .venv-4
	.venv-4/bin/pip install --disable-pip-version-check --quiet --constraint constraints.txt torch
	grep -iv '^transformer' constraints.txt > .venv-4/constraints.txt
	.venv-4/bin/pip install --disable-pip-version-check --quiet --constraint .venv-4/constraints.txt 'transformer-lens>=4'
	rm -rf .venv-4/exports
	$(BIN)/python tests/transformer_lens_4.py write .venv-4/exports
	.venv-4/bin/python -W ignore tests/transformer_lens_4.py check .venv-4/exports
	.venv-4/bin/pip install --disable-pip-version-check --quiet --constraint .venv-4/constraints.txt \
		xarray pandas h5netcdf h5py filelock safetensors einops jaxtyping tqdm
	PYTHONPATH=$(CURDIR) .venv-4/bin/python -W ignore tests/transformer_lens_4.py train .venv-4/exports
	$(BIN)/python -W ignore tests/transformer_lens_4.py measure .venv-4/exports

# The compilers and the emulator are Debian's.
arm: $(VENV)/installed-test
	command -v clang++ >/dev/null && command -v aarch64-linux-gnu-g++ >/dev/null && command -v qemu-aarch64 >/dev/null || test "$$(id -u)" != 0 || \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends clang g++-aarch64-linux-gnu qemu-user >/dev/null; }
	$(BIN)/python tests/kernel_elsewhere.py --all

check: $(VENV)/installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory scripts; \
		else echo "the page's scripts were not type-checked: npm is not here (Debian: apt-get install npm)"; fi

# The page's scripts, held to the types in their JSDoc and to what Python writes for them.
scripts: $(VENV)/installed-test $(VENV)/node/typescript-$(TYPESCRIPT)
	$(BIN)/python tests/page_types.py > $(VENV)/node/types.d.ts
	$(VENV)/node/node_modules/.bin/tsc --project tests/jsconfig.json

$(VENV)/node/typescript-$(TYPESCRIPT): | $(VENV)/installed-test
	npm install --silent --no-audit --no-fund --prefix $(VENV)/node typescript@$(TYPESCRIPT)
	touch $@

ledger: $(VENV)/installed
	$(BIN)/python tests/ledger.py $(or $(FILES),../shared/data)

readme: $(VENV)/installed
	$(BIN)/python -c "from pathlib import Path; from grokviz.cli.table import with_commands; p = Path('README.md'); p.write_text(with_commands(p.read_text()))"

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# torch goes first and pinned, so that no dependency can pull another build of it.
$(VENV)/installed: pyproject.toml constraints.txt $(wildcard grokviz/training/engines/kernel/*) | $(BIN)/python
	$(PIP) install --constraint constraints.txt torch
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(PIP) install --constraint constraints.txt --editable '.[test]'
	@touch $@
