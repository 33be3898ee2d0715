# Everything that people and CI do with this repository. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help install demo test contrib lint format bench docs lock wheel clean

BIN := .venv/bin
INSTALLED := .venv/installed
SOURCES := runnerd tests migrations benchmarks examples scripts plugins_contrib

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make .venv with everything in it, from requirements.lock (PYTHON=… chooses)

$(INSTALLED): requirements.lock pyproject.toml scripts/install.sh
	@sh scripts/install.sh
	@touch $@

demo: install ## Show the whole thing: a script is uploaded, trained, registered, served
	@$(BIN)/python -m scripts.demo

test: install ## Run every test (ARGS="tests/project -x" for some of them)
	$(BIN)/python -m pytest $(ARGS)
	$(if $(ARGS),,$(BIN)/python -m scripts.contrib)

contrib: install ## Run the tests of plugins_contrib/ (ARGS="runnerd-fsspec -x" for some of them)
	$(BIN)/python -m scripts.contrib $(ARGS)

lint: install ## Check style, formatting, types and the import rules
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	@# each by itself: their tests have modules of the same names
	for each in plugins_contrib/*/; do MYPYPATH=$${each}src $(BIN)/mypy $${each} || exit; done
	$(BIN)/lint-imports

format: install ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: install ## Measure, and write the numbers to benchmarks/results/
	$(BIN)/python -m benchmarks $(ARGS)

docs: install ## Write the pages that are made from the code: settings, commands, plugins
	$(BIN)/python -m scripts.settings_page
	$(BIN)/python -m scripts.command_page
	$(BIN)/python -m scripts.plugin_page

lock: install ## Resolve the dependencies of pyproject.toml to requirements.lock again
	$(BIN)/uv pip compile --universal --python-version 3.11 --group pyproject.toml:dev \
	  --group pyproject.toml:contrib pyproject.toml --no-header --no-emit-index-url --generate-hashes -o requirements.lock

wheel: install ## Build the wheel into dist/
	$(BIN)/uv build --wheel --no-build-isolation --python $(BIN)/python

clean: ## Remove everything that make made
	rm -rf .venv .cache .demo build dist benchmarks/results \
	  .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
