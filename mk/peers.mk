# Tests against programs of others that no Debian package brings: `make test-peers`. They come from PyPI
# in the versions of tests/peers/requirements.txt (one from the Go module proxy, tests/peers/go.mod), live in build/peers/, and `make test` never needs them.
PEERS := build/peers

.PHONY: test-peers test-versity
test-peers: $(DAIS) $(OUT)/peers/schema_suite $(PEERS)/.installed $(if $(shell command -v go),test-versity) ## against cfn-lint, emulators of AWS, an S3 server, the JSON Schema suite
	@PYTHONDONTWRITEBYTECODE=1 timeout 900 $(PEERS)/venv/bin/python -m pytest -q -W ignore \
		-p no:cacheprovider tests/peers

# The suite of files with buckets of that S3 server instead of folders and our stand-in; what stays is counted with why.
test-versity: all $(PEERS)/versitygw/versitygw ## the suite of files against an S3 server that checks signatures (needs Go)
	@DAIS_TEST_STORE=versity timeout 900 /usr/bin/python3 -B -m pytest -q tests/e2e/test_files_*.py \
		tests/e2e/test_verify.py

$(OUT)/peers/schema_suite: tests/peers/schema_suite.c $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(CPPFLAGS) $(filter-out -flto%,$(CFLAGS)) $< $(LDFLAGS) $(LIB) $(LDLIBS) -o $@

$(PEERS)/.installed: tests/peers/requirements.txt
	@mkdir -p $(@D)
	@echo "  PIP   $(PEERS)/venv"
	@python3 -m venv $(PEERS)/venv
	@$(PEERS)/venv/bin/python -m pip install -q --disable-pip-version-check -r $<
	@touch $@

# An S3 server that checks signatures; without Go its tests are skipped and say so. go.mod names the version,
# go.sum is made here: what the module proxy gives is checked against the public checksums.
$(PEERS)/versitygw/versitygw: tests/peers/go.mod
	@mkdir -p $(@D)
	@echo "  GO    $@"
	@cp $< $(@D)/go.mod
	@cd $(@D) && GOFLAGS=-mod=mod go build -o versitygw github.com/versity/versitygw/cmd/versitygw
