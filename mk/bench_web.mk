# The web room's micro-benchmark: nanoseconds per answer, without sockets.

.PHONY: bench-web
bench-web: ## nanoseconds of user code per static answer
	@$(MAKE) --no-print-directory MODE=release build/release/bench/bench_web
	@build/release/bench/bench_web

$(OUT)/bench/bench_web: tests/bench/bench_web.c $(LIB)
	@mkdir -p $(@D)
	@echo "  BENCH $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $< $(LDFLAGS) $(LIB) $(LDLIBS) -o $@
