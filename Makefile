.PHONY: run test check pins bench soak

run: ## serve on loopback, with a database of its own
	@./setup
	@.venv/bin/ochub up

test check: ## everything a change must pass
	@./setup dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/basedpyright
	.venv/bin/lint-imports
	.venv/bin/pytest -n 2 --dist worksteal

COMPILE = .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command 'make pins'
pins: ## pin the newest packages that pyproject.toml allows
	@./setup
	$(COMPILE) --upgrade requirements-uv.in -o requirements-uv.txt
	$(COMPILE) --upgrade pyproject.toml -o requirements.txt
	$(COMPILE) --upgrade pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt

bench: ## measure reads, the import, uploads and the change log beside their baselines; `make bench ARGS=--help`
	@./setup
	@.venv/bin/python -m tests.benchmarks $(ARGS)

soak: ## let the hub run for long and look for what is lost, wrong or grows; `make soak ARGS=--help`
	@./setup dev
	@.venv/bin/python -m tests.soak $(ARGS)
