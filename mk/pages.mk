# How the HTML templates of src/http/pages/ get into the program: tools/embed makes one C file.

PAGES      := $(sort $(wildcard src/http/pages/*.html))
EMBED      := $(OUT)/tools/embed
EMBED_ARGS := $(foreach page,$(PAGES),$(notdir $(page))=$(page))
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

$(OUT)/gen/pages.c: $(EMBED) $(PAGES) $(OUT)/gen/pages.list
	@echo "  EMBED $(words $(PAGES)) pages"
	@$(EMBED) $@ $(EMBED_ARGS)

$(OUT)/gen/pages.o: $(OUT)/gen/pages.c $(OUT)/.flags
	@$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@
