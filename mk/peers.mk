# Tests against programs of others that no Debian package brings: `make test-peers`. They come from PyPI
# in the versions of tests/peers/requirements.txt, live in build/peers/, and `make test` never needs them.
PEERS := build/peers

.PHONY: test-peers
test-peers: $(DAIS) $(PEERS)/.installed ## rendered files against cfn-lint and emulators of AWS (PyPI)
	@PYTHONDONTWRITEBYTECODE=1 timeout 900 $(PEERS)/venv/bin/python -m pytest -q -W ignore \
		-p no:cacheprovider tests/peers

$(PEERS)/.installed: tests/peers/requirements.txt
	@mkdir -p $(@D)
	@echo "  PIP   $(PEERS)/venv"
	@python3 -m venv $(PEERS)/venv
	@$(PEERS)/venv/bin/python -m pip install -q --disable-pip-version-check -r $<
	@touch $@
