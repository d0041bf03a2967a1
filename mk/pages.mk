# How pages, templates and models get into the program: tools/embed makes one C file of them.

PAGES      := $(sort $(wildcard src/http/pages/*.html))
TEMPLATES  := $(sort $(shell find src/cli/templates -type f -not -name '*.pyc'))
RENDERED   := $(sort $(shell find src/render/templates -type f -not -name '*.pyc'))
SIGNIN     := $(sort $(wildcard src/signin/pages/*))
MODELS     := $(sort $(wildcard models/*/dais.yaml))
EMBED      := $(OUT)/tools/embed
EMBED_ARGS := $(foreach page,$(PAGES),$(notdir $(page))=$(page)) \
	$(foreach file,$(TEMPLATES),$(file:src/cli/templates/%=template/%)=$(file)) \
	$(foreach file,$(RENDERED),$(file:src/render/templates/%=render/%)=$(file)) \
	$(foreach file,$(SIGNIN),sign-in/$(notdir $(file))=$(file)) sign-in/tokens.css=web-kit/tokens.css \
	$(foreach file,$(MODELS),$(file:models/%=model/%)=$(file))
OBJS       += $(OUT)/gen/pages.o

$(EMBED): tools/embed.c
	@mkdir -p $(@D)
	@echo "  TOOL  $@"
	@$(CC) -std=gnu17 -O1 $(WARN) $< -o $@

# The list changes when a page comes or goes, which no page's own time tells.
$(OUT)/gen/pages.list: FORCE
	@mkdir -p $(@D)
	@echo '$(EMBED_ARGS)' > $@.new
	@cmp -s $@.new $@ || mv $@.new $@; rm -f $@.new

$(OUT)/gen/pages.c: $(EMBED) $(PAGES) $(TEMPLATES) $(RENDERED) $(SIGNIN) web-kit/tokens.css $(MODELS) $(OUT)/gen/pages.list
	@echo "  EMBED $(words $(PAGES) $(TEMPLATES) $(RENDERED) $(SIGNIN) $(MODELS)) files"
	@$(EMBED) $@ $(EMBED_ARGS)

$(OUT)/gen/pages.o: $(OUT)/gen/pages.c $(OUT)/.flags
	@$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@
