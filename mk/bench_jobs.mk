# make bench-jobs: what the queue of jobs can do, on SQLite and on Postgres; DAIS_BENCH=short for a first look.
BENCH_JOBS := $(addprefix $(OUT)/bench/,docs_load login_paced jobs_clock)

.PHONY: bench-jobs bench-jobs-programs
bench-jobs: ## enqueue, throughput, starts and events of jobs, write docs/BENCHMARKS.md (DAIS_BENCH=short)
	@$(MAKE) --no-print-directory release
	@$(MAKE) --no-print-directory MODE=release bench-jobs-programs
	@python3 -B tests/bench/jobs/bench.py $(BENCH_ARGS)

bench-jobs-programs: $(BENCH_JOBS)

$(OUT)/bench/jobs_clock: tests/bench/jobs/clock.c
	@mkdir -p $(@D)
	@echo "  BENCH $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $< $(LDFLAGS) -o $@
