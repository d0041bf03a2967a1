# make bench-docs: documents over HTTP against bare SQLite and bare libpq; DAIS_BENCH=short for a first look.
BENCH_DOCS := $(addprefix $(OUT)/bench/docs_,load limits limits_pg fill)

.PHONY: bench-docs
bench-docs: ## documents against bare SQLite and libpq, write docs/BENCHMARKS.md (DAIS_BENCH=short)
	@$(MAKE) --no-print-directory release
	@$(MAKE) --no-print-directory MODE=release bench-docs-programs
	@python3 -B tests/bench/docs/bench.py $(BENCH_ARGS)

.PHONY: bench-docs-programs
bench-docs-programs: $(BENCH_DOCS)

$(OUT)/bench/docs_load: tests/bench/docs/load.c
	@mkdir -p $(@D)
	@echo "  BENCH $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $< $(LDFLAGS) -o $@

$(OUT)/bench/docs_limits_pg: tests/bench/docs/limits_pg.c
	@mkdir -p $(@D)
	@echo "  BENCH $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $< $(LDFLAGS) -lpq -o $@

$(OUT)/bench/docs_limits $(OUT)/bench/docs_fill: $(OUT)/bench/docs_%: tests/bench/docs/%.c $(LIB)
	@mkdir -p $(@D)
	@echo "  BENCH $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $< $(LDFLAGS) $(LIB) $(LDLIBS) -o $@
