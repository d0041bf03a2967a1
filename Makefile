# How dais is built, run and tested. `make help` lists what it can do.
#
# MODE chooses the build: debug (ASan + UBSan), release, coverage, tsan, fuzzer, clang. Objects of a mode live
# in build/MODE/; a source folder is a room, and a new file in it is found by itself.

MODE ?= debug
OUT  := build/$(MODE)
ifeq ($(origin CC),default) # make's own is cc
CC   := gcc
endif

# ---- packages: the one list of what Debian must provide -------------------------------------
BUILD_PACKAGES := gcc make pkg-config libc6-dev libuv1-dev libyaml-dev libbrotli-dev zlib1g-dev \
	libcurl4-openssl-dev libssl-dev libpcre2-dev libsqlite3-dev libpq-dev libsodium-dev binutils ca-certificates
WEB_PACKAGES   := nodejs npm
TEST_PACKAGES  := libcmocka-dev clang libclang-rt-dev llvm clang-format-14 clang-tidy cppcheck \
	python3 python3-pytest python3-yaml python3-fastapi python3-uvicorn python3-websockets \
	shellcheck uwsgi-core uwsgi-plugin-python3 \
	chromium chromium-driver python3-selenium brotli git openssl curl nginx-light caddy \
	podman runc mmdebstrap docker-compose podman-compose python3-dotenv \
	cloud-init prometheus systemd postgresql-15 redis-tools ffmpeg mypy node-typescript python3-jsonschema
BENCH_PACKAGES := wrk nginx-light caddy postgresql-15

# ---- flags ------------------------------------------------------------------------------------
PKGS     := libuv yaml-0.1 libbrotlienc zlib libpcre2-8 sqlite3 libpq libsodium
WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wcast-qual -Wwrite-strings -Wvla -Wundef -Wformat=2 -Wnull-dereference
VERSION  := $(shell cat VERSION)
# Only this tree's own .git counts: an exported tree inside another repository says "source".
RELEASE_ID := $(or $(if $(wildcard .git),$(shell git rev-parse --short=12 HEAD 2>/dev/null)),source)
CPPFLAGS += -D_GNU_SOURCE -Isrc -I$(OUT)/gen $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
CFLAGS_debug    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS_tsan     := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
CFLAGS_coverage := -O0 -g --coverage
CFLAGS_clang    := -O0
# libFuzzer (clang): every object is instrumented, the fuzzer's main comes with the linker flag.
CFLAGS_fuzzer   := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined \
	-fno-omit-frame-pointer
CFLAGS_release  := -O2 -g -flto=auto -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE \
	-fstack-clash-protection -ffunction-sections -fdata-sections
LDFLAGS_debug    := -fsanitize=address,undefined
LDFLAGS_tsan     := -fsanitize=thread
LDFLAGS_coverage := --coverage
LDFLAGS_fuzzer   := -fsanitize=address,undefined
# Packed relocations: the others would be read and kept at every start.
LDFLAGS_release  := -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,pack-relative-relocs,--gc-sections,--build-id=sha1,--as-needed
CFLAGS   += -std=gnu17 -pthread -MMD -MP $(WARN) $(CFLAGS_$(MODE))
LDFLAGS  += -pthread $(LDFLAGS_$(MODE)) -Wl,-u,log2 # ours (src/web/log2.c), before libm is looked at
# Everything but glibc is linked statically: one file, a fast start, little memory.
STATIC   := $(shell pkg-config --variable=libdir libuv 2>/dev/null)
LDLIBS   := $(STATIC)/libuv_a.a $(STATIC)/libyaml.a $(STATIC)/libbrotlienc.a \
	$(STATIC)/libbrotlicommon.a $(STATIC)/libz.a \
	$(STATIC)/libpcre2-8.a $(STATIC)/libsqlite3.a $(STATIC)/libsodium.a -ldl -lm

# ---- files ------------------------------------------------------------------------------------
SRCS  := $(filter-out src/cli/main.c,$(wildcard src/*/*.c src/*/*/*.c))
OBJS  := $(SRCS:src/%.c=$(OUT)/%.o)
MAIN  := $(OUT)/cli/main.o
DAIS  := $(OUT)/dais
LIB   := $(OUT)/libdais.a
UNIT_SRCS := $(wildcard tests/unit/*/test_*.c)
DB_TESTS  := $(patsubst %,db/test_%,statements loops batches locked threads checkpoints migrations slot)
UNIT_BINS := $(UNIT_SRCS:tests/unit/%.c=$(OUT)/tests/%)
FUZZ_SRCS := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BINS := $(FUZZ_SRCS:tests/fuzz/%.c=$(OUT)/fuzz/%)
C_FILES   := $(wildcard src/*/*.[ch] src/*/*/*.[ch] tests/unit/*.h tests/unit/*/*.[ch] \
	tests/e2e/*.c tests/fuzz/*.[ch] tools/*.[ch])
AR        := $(if $(filter release,$(MODE)),gcc-ar,ar)

.PHONY: all help debug release coverage tsan deps deps-test deps-bench print-packages web run test \
	test-quick test-programs unit tsan-unit tsan-run fuzz fuzz-replay e2e check lint lint-cppcheck \
	lint-tidy lint-clang format bench clean FORCE coverage-report
.DELETE_ON_ERROR:
# Test objects stay; a bare .SECONDARY would stop make from seeing that a stamp file is missing.
.PRECIOUS: $(OUT)/tests/%.o $(OUT)/fuzz/%.o
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

all: $(DAIS) $(if $(filter release,$(MODE)),,$(OUT)/dais-identity $(OUT)/dais-letter) ## build build/MODE/dais (MODE=debug unless you say otherwise)

include $(wildcard mk/*.mk)

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

debug: ## build with ASan and UBSan
release: ## build optimised, hardened, stripped, and check what it links to
debug release tsan:
	@$(MAKE) --no-print-directory MODE=$@ all

# ---- building -----------------------------------------------------------------------------------
# What never runs while dais serves stays apart from what does, and small: every 64 KB of the program
# that its start touches are resident, and mixed in by link time optimisation these would be in all of them.
APART := $(patsubst src/%.c,$(OUT)/%.o,$(wildcard src/render/*.c src/fetch/*.c src/aws/*.c src/s3/*.c src/cli/*.c src/keys/*.c \
	src/describe/*.c src/mail/*.c src/signin/*.c src/app/command*.c \
	src/app/accounts.c src/app/events.c src/app/leavers.c src/app/limits_shared.c src/app/mail.c src/app/operators.c \
	src/app/vault.c src/api/auth*.c src/api/keys.c src/journal/*.c) \
	$(filter-out %/source.c %/cache.c %/token.c,$(wildcard src/accounts/*.c)))
ifeq ($(MODE),release)
$(APART): CFLAGS := $(filter-out -flto% -O2,$(CFLAGS)) -Os
endif

$(OUT)/%.o: src/%.c $(OUT)/.flags
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

# Test objects are never optimised at link time: it costs time and tests nothing more.
$(OUT)/tests/%.o: tests/unit/%.c $(OUT)/.flags
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(CPPFLAGS) -Itests/unit $(filter-out -flto%,$(CFLAGS)) -c $< -o $@
$(OUT)/fuzz/%.o: tests/fuzz/%.c $(OUT)/.flags
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(CPPFLAGS) $(filter-out -flto%,$(CFLAGS)) -c $< -o $@

# The version stamp is its own object, so that a commit relinks one file instead of rebuilding all.
$(OUT)/gen/build_info.h: VERSION FORCE
	@mkdir -p $(@D)
	@printf '/* Made by make: what this build is. */\n#define BUILD_VERSION "%s"\n#define BUILD_RELEASE "%s"\n#define BUILD_MODE "%s"\n' \
		'$(VERSION)' '$(RELEASE_ID)' '$(MODE)' > $@.$$$$ && \
		{ cmp -s $@.$$$$ $@ && rm -f $@.$$$$ || mv $@.$$$$ $@; }
$(OUT)/base/build.o: $(OUT)/gen/build_info.h

# Other flags: rebuild all. Another set of files (one was deleted): make the archive anew.
$(OUT)/.flags: FORCE
	@test -n '$(STATIC)' || { echo "packages are missing: make deps installs what building needs" >&2; exit 1; }
	@mkdir -p $(@D)
	@echo '$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS)' > $@.$$$$ && \
		{ cmp -s $@.$$$$ $@ && rm -f $@.$$$$ || mv $@.$$$$ $@; }
$(OUT)/.objects: FORCE
	@mkdir -p $(@D)
	@echo '$(OBJS)' > $@.$$$$ && { cmp -s $@.$$$$ $@ && rm -f $@.$$$$ || mv $@.$$$$ $@; }
FORCE:

$(LIB): $(OBJS) $(OUT)/.objects
	@rm -f $@
	@$(AR) rcs $@ $(OBJS)

$(DAIS): $(MAIN) $(LIB)
	@echo "  LINK  $@"
	@$(CC) $(CFLAGS) $(LDFLAGS) $(MAIN) $(LIB) $(LDLIBS) -o $@
	@$(if $(filter release,$(MODE)),objcopy --only-keep-debug $@ $@.debug && strip $@ && \
		objcopy --add-gnu-debuglink=$@.debug $@ && tools/check-release --links $@)

# For end-to-end tests only: the same program, with an identity source that believes a header.
$(OUT)/e2e/%.o: tests/e2e/%.c $(OUT)/.flags
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@
$(OUT)/dais-identity: $(OUT)/e2e/identity_main.o $(LIB)
$(OUT)/dais-letter: $(OUT)/e2e/letter_main.o $(LIB)
$(OUT)/dais-s3: $(OUT)/e2e/s3_main.o $(LIB) # built by the tests that need it
$(OUT)/dais-identity $(OUT)/dais-letter $(OUT)/dais-s3:
	@echo "  LINK  $@"
	@$(CC) $(CFLAGS) $(LDFLAGS) $< $(LIB) $(LDLIBS) -o $@

$(OUT)/tests/%: $(OUT)/tests/%.o $(LIB)
	@echo "  LINK  $@"
	@$(CC) $(filter-out -flto%,$(CFLAGS)) $(filter %.o,$^) $(LDFLAGS) $(LIB) $(LDLIBS) -lcmocka -o $@
$(OUT)/tests/db/test_torture: $(OUT)/tests/db/shaky.o
$(DB_TESTS:%=$(OUT)/tests/%): $(OUT)/tests/db/db_test.o
$(addprefix $(OUT)/tests/db/,test_postgres test_postgres_down test_tell test_backup): $(OUT)/tests/db/pg.o
$(OUT)/tests/db/test_postgres_down: $(OUT)/tests/db/pg_proxy.o
$(OUT)/tests/docs/test_search $(OUT)/tests/docs/test_same_lists $(OUT)/tests/docs/test_lists $(OUT)/tests/docs/test_keeping $(OUT)/tests/docs/test_purge_owner $(OUT)/tests/docs/test_tell: $(OUT)/tests/docs/docs_test.o
$(addprefix $(OUT)/tests/files/,test_names test_rows test_tend test_links test_model test_tell): $(OUT)/tests/files/files_test.o
$(addprefix $(OUT)/tests/jobs/,test_life test_turns test_quota test_chains test_tending test_notes test_speed): $(OUT)/tests/jobs/jobs_test.o
$(addprefix $(OUT)/tests/accounts/,test_entering test_links test_operators test_own test_streams): $(OUT)/tests/accounts/accounts_test.o
$(addprefix $(OUT)/tests/keep/,test_dump_load test_create test_restore test_restore_docs): $(OUT)/tests/keep/keep_rig.o $(OUT)/tests/db/pg.o
$(addprefix $(OUT)/tests/workers/,test_places test_programs test_crew): $(OUT)/tests/workers/fake_queue.o

# A target links with a main that replays files, or (MODE=fuzzer) with libFuzzer's.
FUZZ_MAIN := $(if $(filter fuzzer,$(MODE)),-fsanitize=fuzzer,$(OUT)/fuzz/replay.o)
$(OUT)/fuzz/fuzz_%: $(OUT)/fuzz/fuzz_%.o $(LIB) $(filter %.o,$(FUZZ_MAIN))
	@echo "  LINK  $@"
	@$(CC) $(filter-out -flto%,$(CFLAGS)) $< $(FUZZ_MAIN) $(LDFLAGS) $(LIB) $(LDLIBS) -o $@

-include $(OBJS:.o=.d) $(MAIN:.o=.d) $(OUT)/e2e/identity_main.d $(OUT)/e2e/s3_main.d $(OUT)/e2e/letter_main.d $(UNIT_BINS:=.d) $(FUZZ_BINS:=.d) $(OUT)/fuzz/replay.d \
	$(OUT)/tests/db/shaky.d $(OUT)/tests/db/db_test.d $(OUT)/tests/db/pg.d $(OUT)/tests/db/pg_proxy.d $(OUT)/tests/docs/docs_test.d $(OUT)/tests/accounts/accounts_test.d $(OUT)/tests/files/files_test.d $(OUT)/tests/jobs/jobs_test.d $(OUT)/tests/workers/fake_queue.d $(OUT)/tests/keep/keep_rig.d

# ---- set-up -----------------------------------------------------------------------------------
deps: ## install what building needs (a no-op when it is there)
	@tools/deps $(BUILD_PACKAGES) $(WEB_PACKAGES)
deps-test:
	@tools/deps $(BUILD_PACKAGES) $(WEB_PACKAGES) $(TEST_PACKAGES)
deps-bench:
	@tools/deps $(BUILD_PACKAGES) $(WEB_PACKAGES) $(BENCH_PACKAGES)
print-packages:
	@echo $(BUILD_PACKAGES) $(WEB_PACKAGES) $(TEST_PACKAGES) $(BENCH_PACKAGES)

web: ## install and build the front ends that have a package.json
	@tools/web

# A new make reads pkg-config anew: at first the packages it asks for were not there yet.
run: deps ## install, build, serve the example apps, print their URL
	@tools/web
	@$(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$$(nproc)) release
	@trap : INT; build/release/dais serve apps || exit $$(($$? == 130 ? 0 : $$?)) # Ctrl+C ends it

# ---- tests ------------------------------------------------------------------------------------
test-programs: $(UNIT_BINS) $(FUZZ_BINS)

unit: $(UNIT_BINS) ## unit tests and wire conversations
	@tools/run-tests unit $(UNIT_BINS)

TSAN_TESTS := limit/test_limit loop/test_lanes loop/test_loop loop/test_watch net/test_listener http/test_server \
	http/test_random http/test_reload http/test_wait web/test_refresh accounts/test_cache blob/test_blocks $(DB_TESTS) \
	db/test_postgres db/test_postgres_down db/test_tell aws/test_chain
tsan-unit: ## the threaded unit tests under ThreadSanitizer
	@$(MAKE) --no-print-directory MODE=tsan tsan-run
tsan-run: $(TSAN_TESTS:%=$(OUT)/tests/%)
	@tools/run-tests tsan $^

fuzz-replay: $(FUZZ_BINS) ## every corpus through its target
	@tools/run-tests fuzz-replay $(foreach bin,$(FUZZ_BINS),"$(bin) tests/fuzz/corpus/$(bin:$(OUT)/fuzz/fuzz_%=%)")

TARGET  ?= json
SECONDS ?= 60
fuzz: ## fuzz one target: make fuzz TARGET=json SECONDS=60
	@test -f tests/fuzz/fuzz_$(TARGET).c || { echo "there is no tests/fuzz/fuzz_$(TARGET).c; there are: \
	$(FUZZ_SRCS:tests/fuzz/fuzz_%.c=%)"; exit 1; }
	@$(MAKE) --no-print-directory MODE=fuzzer CC=clang build/fuzzer/fuzz/fuzz_$(TARGET)
	@mkdir -p build/fuzzer/found/$(TARGET) build/fuzzer/crashes
	@build/fuzzer/fuzz/fuzz_$(TARGET) -max_total_time=$(SECONDS) -timeout=5 -rss_limit_mb=2048 \
		-artifact_prefix=build/fuzzer/crashes/$(TARGET)- -print_final_stats=1 \
		build/fuzzer/found/$(TARGET) tests/fuzz/corpus/$(TARGET)

e2e: all ## end-to-end tests against build/debug/dais
	@/usr/bin/python3 -B -m pytest -q tests/e2e

test: deps-test ## install what the tests need, run all of them
	@tools/test all
test-quick: deps-test ## unit tests, wire conversations and fuzz corpora, under a minute
	@tools/test quick

coverage: ## lines run by the unit and end-to-end tests, per room
	@$(MAKE) --no-print-directory MODE=coverage coverage-report
coverage-report: all $(UNIT_BINS) $(FUZZ_BINS)
	@tools/coverage $(OUT)

# Every bench-NAME that a file in mk/ brings.
bench: $(sort $(shell sed -n 's/^\(bench-[a-z0-9-]*\):.*/\1/p' mk/*.mk 2>/dev/null)) ## all benchmarks

# ---- style ------------------------------------------------------------------------------------
check: ## layers, budgets, banned functions, format, headlines; seconds
	@tools/check

lint: lint-cppcheck lint-clang lint-tidy ## the slow analysers
lint-cppcheck:
	@cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability \
		--inline-suppr --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches \
		--suppressions-list=tools/cppcheck.txt -j 2 -D_GNU_SOURCE -Isrc src
lint-clang: # the other compiler, its warnings as errors: it knows them before it optimises
	@$(MAKE) --no-print-directory MODE=clang CC=clang all build/clang/.test-objects
$(OUT)/.test-objects: $(UNIT_BINS:=.o) $(FUZZ_BINS:=.o)
	@touch $@
lint-tidy:
	@printf '%s\n' $(filter %.c,$(C_FILES)) | xargs -P $(or $(TIDY_JOBS),2) -n 4 tools/tidy $(CPPFLAGS) -Itests/unit --

format: ## write every C file in the one style
	@clang-format-14 -i $(C_FILES)

clean: ## remove everything that was built
	rm -rf build
