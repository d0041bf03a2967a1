# make bench-files: files of people against cp, nginx and our own static files; DAIS_BENCH=short for a first look.
.PHONY: bench-files
bench-files: ## uploads, downloads and lists of files, write docs/BENCHMARKS.md (DAIS_BENCH=short)
	@$(MAKE) --no-print-directory deps-bench
	@$(MAKE) --no-print-directory release
	@python3 -B tests/bench/files/bench.py $(BENCH_ARGS)
