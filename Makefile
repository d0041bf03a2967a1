# How dais is built, run and tested. `make help` lists what it can do.
#
# MODE chooses the build: debug (ASan + UBSan), release, coverage, tsan. Objects of a mode live in
# build/MODE/; a source folder is a room, and a new file in it is found by itself.

MODE ?= debug
OUT  := build/$(MODE)
CC   ?= gcc

# ---- packages: the one list of what Debian must provide -------------------------------------
BUILD_PACKAGES := gcc make pkg-config libc6-dev libuv1-dev libyaml-dev libbrotli-dev zlib1g-dev \
	binutils ca-certificates
WEB_PACKAGES   := nodejs npm
TEST_PACKAGES  := libcmocka-dev clang clang-format-14 clang-tidy cppcheck python3 python3-pytest \
	python3-yaml chromium chromium-driver python3-selenium brotli git
BENCH_PACKAGES := wrk nginx-light caddy

# ---- flags ------------------------------------------------------------------------------------
PKGS     := libuv yaml-0.1 libbrotlienc zlib
WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wcast-qual -Wwrite-strings -Wvla -Wundef -Wformat=2 -Wnull-dereference
VERSION  := $(shell cat VERSION)
RELEASE_ID := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo source)
CPPFLAGS += -D_GNU_SOURCE -Isrc -I$(OUT)/gen $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
CFLAGS_debug    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS_tsan     := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
CFLAGS_coverage := -O0 -g --coverage
CFLAGS_release  := -O2 -g -flto=auto -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE \
	-fstack-clash-protection -ffunction-sections -fdata-sections
LDFLAGS_debug    := -fsanitize=address,undefined
LDFLAGS_tsan     := -fsanitize=thread
LDFLAGS_coverage := --coverage
LDFLAGS_release  := -pie -Wl,-z,relro,-z,now,-z,noexecstack,--gc-sections,--build-id=sha1,--as-needed
CFLAGS   += -std=gnu17 -pthread -MMD -MP $(WARN) $(CFLAGS_$(MODE))
LDFLAGS  += -pthread $(LDFLAGS_$(MODE))
# Everything but glibc is linked statically: one file, a fast start, little memory.
STATIC   := $(shell pkg-config --variable=libdir libuv 2>/dev/null)
LDLIBS   := $(STATIC)/libuv_a.a $(STATIC)/libyaml.a $(STATIC)/libbrotlienc.a \
	$(STATIC)/libbrotlicommon.a $(STATIC)/libz.a -ldl -lm

# ---- files ------------------------------------------------------------------------------------
SRCS  := $(filter-out src/cli/main.c,$(wildcard src/*/*.c))
OBJS  := $(SRCS:src/%.c=$(OUT)/%.o)
MAIN  := $(OUT)/cli/main.o
DAIS  := $(OUT)/dais
LIB   := $(OUT)/libdais.a
UNIT_SRCS := $(wildcard tests/unit/*/test_*.c)
UNIT_BINS := $(UNIT_SRCS:tests/unit/%.c=$(OUT)/tests/%)
FUZZ_SRCS := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BINS := $(FUZZ_SRCS:tests/fuzz/%.c=$(OUT)/fuzz/%)

.PHONY: all help debug release coverage tsan deps deps-test deps-bench run test test-quick unit \
	fuzz-replay e2e check lint format bench bench-http clean
.DELETE_ON_ERROR:
.SECONDARY:

all: $(DAIS)

include $(wildcard mk/*.mk)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

debug release coverage tsan: ## build that variant
	@$(MAKE) --no-print-directory MODE=$@ all

$(OUT)/%.o: src/%.c $(OUT)/.flags
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

# The version stamp is its own object, so that a commit relinks one file instead of rebuilding all.
$(OUT)/gen/build_info.h: VERSION FORCE
	@mkdir -p $(@D)
	@printf '#define BUILD_VERSION "%s"\n#define BUILD_RELEASE "%s"\n#define BUILD_MODE "%s"\n' \
		'$(VERSION)' '$(RELEASE_ID)' '$(MODE)' > $@.new
	@cmp -s $@.new $@ || mv $@.new $@; rm -f $@.new
$(OUT)/base/build.o: $(OUT)/gen/build_info.h

# Flags changed: rebuild.
$(OUT)/.flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS)' > $@.new
	@cmp -s $@.new $@ || mv $@.new $@; rm -f $@.new
FORCE:

$(LIB): $(OBJS)
	@rm -f $@
	@$(if $(filter release,$(MODE)),gcc-ar,ar) rcs $@ $(OBJS)

$(DAIS): $(MAIN) $(LIB)
	@echo "  LINK  $@"
	@$(CC) $(CFLAGS) $(LDFLAGS) $(MAIN) $(LIB) $(LDLIBS) -o $@
	@$(if $(filter release,$(MODE)),objcopy --only-keep-debug $@ $@.debug && strip $@ && objcopy --add-gnu-debuglink=$@.debug $@)

$(OUT)/tests/%: tests/unit/%.c $(LIB) tests/unit/unit.h
	@mkdir -p $(@D)
	@echo "  TEST  $<"
	@$(CC) $(CPPFLAGS) -Itests/unit $(filter-out -flto%,$(CFLAGS)) $< $(LDFLAGS) $(LIB) $(LDLIBS) -lcmocka -o $@

# A fuzz target links with a small main that replays files; `make fuzz` builds it with libFuzzer.
$(OUT)/fuzz/%: tests/fuzz/%.c tests/fuzz/replay.c $(LIB)
	@mkdir -p $(@D)
	@echo "  FUZZ  $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $< tests/fuzz/replay.c $(LDFLAGS) $(LIB) $(LDLIBS) -o $@

-include $(OBJS:.o=.d) $(MAIN:.o=.d) $(UNIT_BINS:%=%.d) $(FUZZ_BINS:%=%.d)

# ---- set-up -----------------------------------------------------------------------------------
deps: ## install what building needs (a no-op when it is there)
	@tools/deps $(BUILD_PACKAGES) $(WEB_PACKAGES)
deps-test:
	@tools/deps $(BUILD_PACKAGES) $(WEB_PACKAGES) $(TEST_PACKAGES)
deps-bench:
	@tools/deps $(BUILD_PACKAGES) $(WEB_PACKAGES) $(BENCH_PACKAGES)

# ---- tests ------------------------------------------------------------------------------------
unit: $(UNIT_BINS)
	@tools/run-tests unit $(UNIT_BINS)

test: ## install what the tests need, run all of them
	@tools/test all
test-quick: ## unit tests, wire conversations and fuzz corpora, under a minute
	@tools/test quick

clean: ## remove everything that was built
	rm -rf build
