# Tests against programs of others that no Debian package brings: `make test-peers`. They come from PyPI
# in the versions of tests/peers/requirements.txt, live in build/peers/, and `make test` never needs them.
PEERS := build/peers

.PHONY: test-peers
test-peers: $(DAIS) $(OUT)/peers/schema_suite $(PEERS)/.installed ## against cfn-lint, emulators of AWS, the JSON Schema suite (PyPI)
	@PYTHONDONTWRITEBYTECODE=1 timeout 900 $(PEERS)/venv/bin/python -m pytest -q -W ignore \
		-p no:cacheprovider tests/peers

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
