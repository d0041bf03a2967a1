# `make bench-render`: how long `dais render` takes for all kinds of the largest model, from a release build.
.PHONY: bench-render
bench-render: ## milliseconds of rendering every kind
	@$(MAKE) --no-print-directory MODE=release all
	@python3 -B tests/bench/bench_render.py build/release/dais
