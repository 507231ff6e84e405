# make demo    solve LIBERO tasks over ROS 2 with the shipped library
# make test    run the tests
# make lint    ruff and mypy
# make train   train a library of four tasks from nothing (hours)
# make bench   measure the control tick
# make clean   remove everything that was made here, .venv too
#
# The first of them sets everything up: system packages that are missing, then .venv with what constraints.txt pins.
# PYTHON=python3.12 make test   chooses the interpreter; VENV=folder another place for the environment.

PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin

# Draw without a display, one thread per process (two cores are shared by simulator and policy), keep ROS to this machine.
export MUJOCO_GL ?= egl
export OMP_NUM_THREADS ?= 1
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST
# The environment is a complete ROS prefix. A sourced /opt/ros would mix two releases.
export AMENT_PREFIX_PATH := $(abspath $(VENV))
export PATH := $(BIN):$(PATH)
# Bytecode is kept, else every start of Python compiles all of torch again.
unexport PYTHONPATH PYTHONDONTWRITEBYTECODE _ROS_WHEELS_BOOTSTRAP_COMPLETE
ifdef ROS_DISTRO
unexport LD_LIBRARY_PATH
endif

.PHONY: demo test lint train bench clean setup
.DEFAULT_GOAL := demo

demo: setup
	$(BIN)/dmpel demo

test: setup $(VENV)/.browser
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/mypy

train: setup
	scripts/train.sh

bench: setup
	$(BIN)/python -m benchmarks.engine

setup: $(VENV)/.shared-files

# --- set-up -----------------------------------------------------------------------------------------------------

$(VENV)/.packages: constraints.txt setup.py scripts/install_system_packages.sh
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, $(PYTHON) is older: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	scripts/install_system_packages.sh $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	@echo "Python packages: installing into $(VENV), 4 GB, 2 to 5 minutes (what is happening: tail -f $(VENV)/pip.log)"
	$(BIN)/python -m pip install -qq --no-compile --log $(VENV)/pip.log --disable-pip-version-check -c constraints.txt -e '.[sim,ros,train,test]'
	$(BIN)/python -m pip install -qq --log $(VENV)/pip.log --disable-pip-version-check --no-deps -c constraints.txt play-launch
	touch $@

# The tests look at the report in Chromium: Debian's own, elsewhere the one that belongs to Playwright, in ~/.cache/ms-playwright.
$(VENV)/.browser: $(VENV)/.packages
	scripts/install_system_packages.sh $(PYTHON) browser
	@[ -x /usr/bin/chromium ] || echo "Browser: installing Playwright's Chromium, 200 MB, and what it needs; sudo may ask for your password."
	@[ -x /usr/bin/chromium ] || $(BIN)/playwright install --with-deps --only-shell chromium
	touch $@

# An editable installation runs the code of this tree, but ROS looks for these files in share/: copy them again when they change.
$(VENV)/.shared-files: $(VENV)/.packages package.xml $(wildcard launch/*.* config/*.*)
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

clean:
	rm -rf $(VENV) build install log runs *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
