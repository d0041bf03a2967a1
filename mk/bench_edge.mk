# make bench-edge: dais as a reverse proxy against nginx and caddy; BENCH_ARGS=--quick for a first look.
BENCH_ARGS ?=

.PHONY: bench-edge
bench-edge: ## compare the proxy with nginx and caddy, write docs/BENCHMARKS.md
	@$(MAKE) --no-print-directory deps-bench
	@$(MAKE) --no-print-directory release
	@$(MAKE) --no-print-directory MODE=release build/release/bench/peer
	@python3 tests/bench/edge/bench.py $(BENCH_ARGS)

$(OUT)/bench/peer: tests/bench/edge/peer.c
	@mkdir -p $(@D)
	@echo "  BENCH $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $< $(LDFLAGS) -o $@
