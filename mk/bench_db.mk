# `make bench-db`: durable inserts and point reads of the database room against bare SQLite and libpq.
.PHONY: bench-db
bench-db: ## durable inserts and point reads against bare SQLite, and a bare libpq loop
	@$(MAKE) --no-print-directory MODE=release build/release/bench/bench_db build/release/bench/bench_postgres
	@build/release/bench/bench_db
	@build/release/bench/bench_postgres

$(OUT)/bench/bench_db: tests/bench/db/bench_db.c $(LIB)
	@mkdir -p $(@D)
	@echo "  BENCH $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $< $(LDFLAGS) $(LIB) $(LDLIBS) -o $@

$(OUT)/bench/bench_postgres: tests/bench/db/bench_postgres.c $(OUT)/tests/db/pg.o $(LIB)
	@mkdir -p $(@D)
	@echo "  BENCH $<"
	@$(CC) $(CPPFLAGS) -Itests/unit -Itests/unit/db $(CFLAGS) $< $(OUT)/tests/db/pg.o $(LDFLAGS) $(LIB) $(LDLIBS) -lpq -o $@
