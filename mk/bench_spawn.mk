# `make bench-spawn`: the figures of starting and ending processes, from a release build.
.PHONY: bench-spawn
bench-spawn: ## latency of starting a command and of killing a process tree
	@$(MAKE) --no-print-directory MODE=release build/release/bench/bench_spawn
	@build/release/bench/bench_spawn

$(OUT)/bench/bench_spawn: tests/bench/bench_spawn.c $(LIB)
	@mkdir -p $(@D)
	@echo "  BENCH $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $< $(LDFLAGS) $(LIB) $(LDLIBS) -o $@
