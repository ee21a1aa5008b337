PYTHON ?= python3
STAGE ?= dev
BIN := .venv/bin
VENV := .venv/.installed

.PHONY: run test check format table package deploy

run: $(VENV)
	$(BIN)/python -m localgateway --stage $(STAGE)

test: $(VENV)
	$(BIN)/python -m pytest

$(VENV): requirements.txt requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	touch $@
