# Every target makes its environment first (once, outside the clone: see tools/make_env.sh) and needs only Python 3.10 to 3.13.
# STACK=stock takes the stock OpenMMLab libraries in the place of the OneDL forks, ADDP_PYTHON=/path/to/python an environment
# of your own. ARGS=... is handed to the command.
SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help env digits digits-long test test-stock style quality docs wheel

STACK ?= onedl
# Processes that run tests side by side; each test uses one thread.
WORKERS ?= 2
WORK_DIR ?= work_dirs/digits
# Sets $$python, and puts this clone first on the path.
WITH_ENV = python=$$(bash tools/make_env.sh $(STACK)) && export PYTHONPATH="$(CURDIR)$${PYTHONPATH:+:$$PYTHONPATH}"

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

env: ## make the environment, print the path of its python (STACK=stock; ARGS=--newest: without the tested versions)
	@bash tools/make_env.sh $(STACK) $(ARGS)

digits: ## train the small pipeline on handwritten digits, on a CPU (WORK_DIR=work_dirs/digits)
	@$(WITH_ENV) && "$$python" tools/run_digits.py --work-dir "$(WORK_DIR)" $(ARGS)

digits-long: ## the same for longer, for digits that can be read
	@$(WITH_ENV) && "$$python" tools/run_digits.py --configs configs/digits/long \
		--work-dir work_dirs/digits_long --data work_dirs/digits/data $(ARGS)

test: ## run the tests (ARGS='tests/diffusion -k mask', STACK=stock, WORKERS=1)
	@$(WITH_ENV) && "$$python" -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

test-stock: ## on the stock libraries: a training and its resumption, a detector, a segmentor, generation, weight files
	@$(MAKE) --no-print-directory test STACK=stock ARGS="tests/apis tests/checkpoints tests/dense tests/engine/hooks \
		tests/generation tests/tools/test_train.py tests/tools/test_check_env.py"

style: ## mend what the linter can mend
	@$(WITH_ENV) && "$$python" -m ruff check --fix-only .

quality: ## lint code and docstrings, check types and who imports whom
	@$(WITH_ENV) && "$$python" -m ruff check . && "$$python" -m mypy && "$$python" -m pytest tests/test_layers.py

docs: ## build the documentation site, docs/_build/html/index.html; a warning is an error
	@$(WITH_ENV) && "$$python" -m sphinx --fresh-env --fail-on-warning --keep-going --quiet docs docs/_build/html $(ARGS)

wheel: ## build the source distribution and the wheel into dist (ADDP_MM_URL=...: the repository's address)
	@$(WITH_ENV) && "$$python" -c 'from setuptools import build_meta as b; b.build_sdist("dist"); b.build_wheel("dist")'
