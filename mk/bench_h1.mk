# The micro-benchmark of the request head parser: `make bench-h1`, always with release flags.
.PHONY: bench-h1

bench-h1: ## nanoseconds per parsed request head
	@$(MAKE) --no-print-directory MODE=release build/release/bench/bench_h1
	@build/release/bench/bench_h1

$(OUT)/bench/bench_h1: tests/bench/bench_h1.c $(LIB)
	@mkdir -p $(@D)
	@echo "  BENCH $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $< $(LDFLAGS) $(LIB) $(LDLIBS) -o $@
