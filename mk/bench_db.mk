# `make bench-db`: durable inserts and point reads of the database room against bare SQLite.
.PHONY: bench-db
bench-db: ## durable inserts and point reads against bare SQLite
	@$(MAKE) --no-print-directory MODE=release build/release/bench/bench_db
	@build/release/bench/bench_db

$(OUT)/bench/bench_db: tests/bench/db/bench_db.c $(LIB)
	@mkdir -p $(@D)
	@echo "  BENCH $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $< $(LDFLAGS) $(LIB) $(LDLIBS) -o $@
