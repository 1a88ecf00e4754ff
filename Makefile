# Two commands do all the set-up: `make demo` runs the main job, `make test` runs the tests.
# Both need python3 (3.11 or newer) and make, nothing else; a second call is quick.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OUT    := out

.PHONY: demo test lint reports gallery clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	@mkdir -p $(OUT)
	@$(BIN)/simpar compare scenarios/quickstart.yaml --plot $(OUT)/quickstart.svg --trace $(OUT)/quickstart.json.gz
	@echo
	@echo "plot       $(OUT)/quickstart.svg"
	@echo "timeline   $(OUT)/quickstart.json.gz   (drop it on ui.perfetto.dev)"
	@echo "activate   . $(BIN)/activate           (then: simpar --help)"

test: $(VENV)/.installed-test
	@$(BIN)/python -m pytest

lint: $(VENV)/.installed-test
	@$(BIN)/ruff check simpar tests
	@$(BIN)/ruff format --check simpar tests
	@$(BIN)/mypy

reports: $(VENV)/.installed
	@$(BIN)/simpar schema > scenarios/schema.json
	@$(BIN)/simpar compare scenarios/quickstart.yaml --plot reports/quickstart.svg > /dev/null
	@$(BIN)/simpar compare scenarios/how-many-workers.yaml --scale workers=1:64:x2 --plot reports/scaling.svg > /dev/null
	@$(BIN)/simpar compare scenarios/which-device.yaml --devices t4,v100,a100-80,h100 --plot reports/devices.svg > /dev/null
	@$(BIN)/python tests/published/parameter_server_tables.py --write reports/published.md > /dev/null
	@$(BIN)/python tests/requirements/report.py --write reports/requirements.md > /dev/null
	@$(BIN)/python tests/benchmarks/startup.py --write reports/benchmarks.md
	@$(BIN)/python tests/benchmarks/whatif.py --write reports/benchmarks.md
	@$(BIN)/python tests/benchmarks/engine.py --write reports/benchmarks.md
	@$(BIN)/python tests/benchmarks/network.py --write reports/benchmarks.md
	@$(BIN)/python tests/benchmarks/collectives.py --write reports/benchmarks.md

gallery: $(VENV)/.installed
	@$(BIN)/python tests/gallery.py
	@$(BIN)/python tests/algorithms.py

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "simpar needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12")'
	@echo "making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml
	@echo "installing simpar into $(VENV) (a minute, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	@echo "installing what the tests need into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) $(OUT)
