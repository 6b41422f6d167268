# Everything that people and CI run. Beforehand only make and Python (3.11 or newer, with its venv module) are needed;
# the rest is installed into .venv, and again when pyproject.toml or constraints.txt changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable
WHAT := pyproject.toml constraints.txt

# Only what is installed in .venv counts, not what the caller's environment adds.
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help demo test check bench wheel clean

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

demo: $(VENV)/demo.stamp ## enlarge the sample picture three times
	@mkdir -p demo
	@$(BIN)/edgelift upscale samples/scene.png -o demo/scene_x3.png --scale 3 --overwrite
	@echo "samples/scene.png, three times as large: demo/scene_x3.png"

test: $(VENV)/dev.stamp ## run the tests; ARGS are pytest's, such as ARGS="-k resize"
	@$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

check: $(VENV)/dev.stamp ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@$(BIN)/lint-imports

BENCHMARKS ?= speed start
bench: $(VENV)/bench.stamp ## measure speed; BENCHMARKS are modules of benchmarks/, here: speed start
	@set -e; for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name $(ARGS); done

wheel: $(VENV)/venv.stamp ## build the installable package into dist/
	@$(BIN)/python -m pip wheel -qq --disable-pip-version-check --no-deps --wheel-dir dist .
	@ls dist/*.whl

clean: ## remove all that these commands made
	rm -rf $(VENV) build demo dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find benchmarks samples src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# -- environments: one folder, a stamp for each set of packages that it holds

$(VENV)/venv.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "edgelift needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/demo.stamp: $(VENV)/venv.stamp $(WHAT)
	@echo "Installing edgelift with OpenVINO into $(VENV) ..."
	@$(INSTALL) '.[openvino]'
	@touch $@

$(VENV)/dev.stamp: $(VENV)/venv.stamp $(WHAT)
	@echo "Installing edgelift with all engines, PyTorch and the tools into $(VENV); a few minutes the first time ..."
	@$(INSTALL) '.[all,dev]'
	@touch $(VENV)/demo.stamp $@

$(VENV)/bench.stamp: $(VENV)/dev.stamp
	@echo "Installing what the benchmarks compare with into $(VENV) ..."
	@$(INSTALL) '.[bench]'
	@touch $@
