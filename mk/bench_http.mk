# make bench-http: dais against nginx and caddy; BENCH_ARGS=--quick for a first look.
BENCH_ARGS ?=

bench-http: ## compare with nginx and caddy, write docs/BENCHMARKS.md (BENCH_ARGS=--quick)
	@$(MAKE) --no-print-directory deps-bench
	@$(MAKE) --no-print-directory release
	@python3 tests/bench/http/bench.py $(BENCH_ARGS)
