PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= dev,s3

.PHONY: demo test lint clean

demo: $(VENV)/.installed
	$(VENV)/bin/python -m pipeline.crawl --demo

test: $(VENV)/.tested
	$(VENV)/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.tested
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --editable .
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(VENV)/bin/pip install --quiet $(TORCH) --editable '.[$(EXTRAS)]'
	touch $@

clean:
	rm -rf $(VENV) demo-corpus .mypy_cache .pytest_cache .ruff_cache
