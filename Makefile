PYTHON ?= python3
STAGE ?= dev
ARGS ?=
BIN := .venv/bin
VENV := .venv/.installed

.PHONY: help run test check format lint templates bench table package deploy

help: ## Say what each target does.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

run: $(VENV) ## Run the application on the local gateway, with an embedded DynamoDB.
	@$(BIN)/python -m localgateway --stage $(STAGE) $(ARGS)

test: $(VENV) ## Run every test.
	$(BIN)/python -m pytest

check: lint templates ## The gate: format, lint, types, tests with branch coverage, templates.
	$(BIN)/python -m pytest --cov --cov-report=term --cov-fail-under=90

lint: $(VENV) ## Check format, lint and types.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV) ## Format the code and mend what the linter can.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

templates: export AWS_DEFAULT_REGION ?= us-east-1
templates: $(VENV) ## Package each stage and check its CloudFormation template.
	$(MAKE) package STAGE=dev
	$(MAKE) package STAGE=prod
	$(BIN)/cfn-lint build/dev/sam.json build/prod/sam.json

bench: $(VENV) ## Run the benches that take a minute; bench/gateway takes longer and is run alone.
	$(BIN)/python -m bench.cold_start --check
	$(BIN)/python -m bench.handlers --check

table: $(VENV) ## Make the stage's table, event bus and topic in AWS, for `chalice deploy`.
	$(BIN)/python -m provision --stage $(STAGE)

package: $(VENV) ## Package the stage for CloudFormation into build/.
	$(BIN)/chalice package --stage $(STAGE) --merge-template .chalice/resources.json build/$(STAGE)

deploy: table ## Deploy the stage to AWS with Chalice.
	$(BIN)/chalice deploy --stage $(STAGE)
	$(BIN)/python -m provision.release --stage $(STAGE)

$(VENV): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 13) \
		else f"Python 3.11, 3.12 or 3.13 is needed, this is {sys.version.split()[0]}; set PYTHON=")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@
