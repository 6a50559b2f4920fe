# make demo    the main job on synthetic people, from nothing to a report
# make check   lint, types and the fast tests: before each commit
# make test    all tests but those of `external` and `journeys`
# make external    tests that install other environments (Keras 3 with JAX, device runtimes, Google's readers), or
#                  compare with outputs of reference implementations
# make journeys    tests that go a user's whole way: the programs of the documents and of examples/, the demo of every task,
#                  several processes that train together
# make docs    the documentation, in site/
SHELL := /bin/bash
VENV := .venv
PYTHON_OK := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))

.PHONY: venv demo lint fast slow external journeys check test docs pythons release format clean

venv: $(VENV)/.installed

# A name on the PATH may be a shim that does not run, and Debian ships Python without ensurepip: try each.
$(VENV)/.installed: setup.py constraints.txt
	@if ! $(VENV)/bin/python -c '$(PYTHON_OK)' 2>/dev/null; then \
	  found=; bare=; \
	  for python in $(PYTHON) python3.11 python3.12 python3.13 python3.10 python3; do \
	    $$python -c '$(PYTHON_OK)' 2>/dev/null || continue; \
	    if $$python -c 'import ensurepip, venv' 2>/dev/null; then found=$$python; break; fi; \
	    bare=$${bare:-$$($$python -c 'import sys; print("python%d.%d" % sys.version_info[:2])')}; \
	  done; \
	  if [ -z "$$found" ] && [ -n "$$bare" ]; then \
	    echo "$$bare cannot make virtual environments: install its venv module (Debian, Ubuntu: apt install $$bare-venv)" >&2; exit 2; \
	  elif [ -z "$$found" ]; then \
	    echo "no Python 3.10 to 3.13 found: install one, or name it (make venv PYTHON=/path/to/python3.12)" >&2; exit 2; \
	  fi; \
	  echo "Making $(VENV) with $$($$found --version)"; \
	  $$found -m venv --clear $(VENV); \
	fi
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --progress-bar on -e '.[train,dev]' -c constraints.txt
	@touch $@

demo: venv
	$(VENV)/bin/hrnet demo --output runs/demo

lint: venv
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# One worker more than cores: tests also wait, for processes and timers.
WORKERS = $(shell $(VENV)/bin/python -c 'import os; print(os.cpu_count() + 1)')
PYTEST = $(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

fast: venv
	$(PYTEST) -m 'not slow'

slow: venv
	$(PYTEST) -m 'slow and not external and not journey'

external: venv
	$(PYTEST) -m external

check: lint fast

test: lint
	$(PYTEST) -m 'not external and not journey'

journeys: venv
	$(PYTEST) -m 'journey and not external'

docs: venv
	$(VENV)/bin/python -m pip install --quiet -e '.[docs]'
	$(VENV)/bin/mkdocs build --strict

# The device part with every Python that this machine has.
pythons:
	tools/every_python.sh

# The distribution in dist/, checked, and installed into a fresh environment.
release:
	tools/release.sh

format: venv
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
