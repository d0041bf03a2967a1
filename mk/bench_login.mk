# make bench-login: what a flood of logins does to everybody else; DAIS_BENCH=short for a first look.
.PHONY: bench-login bench-login-programs
bench-login: ## reads of documents while somebody floods the login, write docs/BENCHMARKS.md (DAIS_BENCH=short)
	@$(MAKE) --no-print-directory release
	@$(MAKE) --no-print-directory MODE=release bench-login-programs
	@python3 -B tests/bench/login/bench.py $(BENCH_ARGS)

bench-login-programs: $(OUT)/bench/login_paced

$(OUT)/bench/login_paced: tests/bench/login/paced.c
	@mkdir -p $(@D)
	@echo "  BENCH $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $< $(LDFLAGS) -o $@
