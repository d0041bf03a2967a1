/* Any bytes as YAML: a tree within its limits or a report, never a crash. */
#include "base/yaml.h"

#include <stdlib.h>

struct seen {
    unsigned reports;
};

static void note(void *arg, uint32_t line, uint32_t col, const char *sentence)
{
    struct seen *seen = arg;
    must(line >= 1 && col >= 1 && *sentence);
    seen->reports++;
}

/* Every node has a place, every map entry a key, and the weights add up. */
static unsigned walk(const struct yaml_node *node, int depth)
{
    unsigned weight = 1, n = 0;
    must(depth <= YAML_MAX_DEPTH && node->line >= 1 && node->col >= 1);
    for (const struct yaml_node *it = node->first; it; it = it->next, n++) {
        if (node->type == YAML_MAP)
            must(it->key && it->key->type == YAML_SCALAR);
        weight += walk(it, depth + 1) + (it->key ? it->key->weight : 0);
    }
    must(n == node->n && weight == node->weight);
    must(node->type != YAML_SCALAR || (!node->first && node->text.ptr[node->text.len] == '\0'));
    return weight;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct seen seen = {0};
    arena_init(&a, 64u << 20);
    struct slice text = {(const char *)data, size};
    struct yaml_node *root = yaml_parse(text, &a, (struct yaml_report){note, &seen});
    must(root || seen.reports);
    if (root)
        must(walk(root, 0) <= YAML_MAX_NODES);
    arena_done(&a);
    return 0;
}
