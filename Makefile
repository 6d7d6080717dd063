# Everything here works in an empty clone with Python 3.11 and make; no other tool is needed.
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
VENV := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help run stop test check install frontend types lock clean
.NOTPARALLEL:

# Variables given to make ("make run PORT=8001") reach the programs as environment variables.

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

run: install frontend ## Install, build and start everything; Ctrl-C stops it
	@exec $(VENV) -m annotate.launch

stop: ## Stop a running Prefloop from another terminal
	@test ! -x $(VENV) || exec $(VENV) -m annotate.launch stop

test: install ## Every check and every test; GROUP=engine|pages|others: the tests of one group
	@exec $(VENV) setup/check.py $(GROUP)

check: install ## Formatting, types, import contracts and the frontend's checks: no test
	@exec $(VENV) setup/check.py checks

install: ## Make .venv with the pinned packages
	@$(PYTHON) setup/install.py

frontend: install ## Build the browser's part
	@$(VENV) setup/frontend.py

types: frontend ## What the frontend knows of the API: its schema, types and bounds
	@$(VENV) setup/api_types.py

lock: ## Pin the newest packages that fit (needs uv, and UV_FIND_LINKS or UV_INDEX with a CPU torch)
	for kind in cpu gpu; do uv pip compile pyproject.toml --extra $$kind --extra dev \
	  --python-version 3.11 --override requirements/overrides.txt --no-annotate --upgrade \
	  --custom-compile-command "make lock" --output-file requirements/$$kind.lock || exit 1; done
	docker/lock.sh

clean: stop ## Remove what was installed and built, but no data
	rm -rf .venv frontend/node_modules frontend/dist var/test var/frontend.stamp
