# How fast JSON is read, checked and written, in a release build: make bench-json.
#
# libyajl-dev and libjansson-dev are compared in the same run where pkg-config finds them.

BENCH_JSON_SRCS  := tests/bench/bench_json.c tests/bench/bench_json_peers.c
BENCH_JSON_PEERS := $(strip $(foreach p,yajl jansson,$(shell pkg-config --exists $(p) 2>/dev/null && echo $(p))))
BENCH_JSON_FLAGS := $(if $(filter yajl,$(BENCH_JSON_PEERS)),-DHAVE_YAJL) \
	$(if $(filter jansson,$(BENCH_JSON_PEERS)),-DHAVE_JANSSON)

.PHONY: bench-json
bench-json: ## JSON: MB/s of parse, validate and write
	@$(MAKE) --no-print-directory MODE=release build/release/bench_json
	@build/release/bench_json

$(OUT)/bench_json: $(BENCH_JSON_SRCS) tests/bench/bench_json_peers.h $(LIB)
	@echo "  BENCH $@"
	@$(CC) $(CPPFLAGS) -Itests $(CFLAGS) $(BENCH_JSON_FLAGS) $(BENCH_JSON_SRCS) $(LDFLAGS) $(LIB) $(LDLIBS) \
		$(if $(BENCH_JSON_PEERS),$(shell pkg-config --cflags --libs $(BENCH_JSON_PEERS))) -o $@
