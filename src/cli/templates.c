/* The files of each template, as they are written. */
#include "cli/templates.h"

/* clang-format off */
static const char static_yaml[] =
    "# How this app is served. `dais help manifest` explains every key, `dais check` finds mistakes.\n"
    "app: {{slug}}\n"
    "title: {{title}}\n"
    "\n"
    "web:\n"
    "  root: web             # everything in this folder is public\n"
    "  errors: { 404: 404.html }\n"
    "\n"
    "  # A single-page app shows its page for every path that is not a file:\n"
    "  # fallback: index.html\n"
    "\n"
    "  # The command that makes the folder, when it is made by a build:\n"
    "  # build: npm ci && npm run build\n"
    "\n"
    "  # Paths that moved; :splat is what the * matched:\n"
    "  # redirects: { \"/old/*\": \"/new/:splat\" }\n"
    "\n"
    "  # Headers for some paths; this one lets every site show the widget in a frame:\n"
    "  # headers: { \"/widget/*\": { frame_ancestors: \"*\" } }\n";

static const char static_index[] =
    "<!doctype html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>{{title}}</title>\n"
    "<link rel=\"icon\" href=\"data:,\">\n"
    "<link rel=\"stylesheet\" href=\"style.css\">\n"
    "</head>\n"
    "<body>\n"
    "<main>\n"
    "<h1>{{title}}</h1>\n"
    "<p>This page is <code>web/index.html</code>. Change it, reload, and go on from here.</p>\n"
    "<ul>\n"
    "<li><code>dais.yaml</code> says how the app is served; <code>dais check</code> reads it for mistakes.</li>\n"
    "<li>Everything in <code>web/</code> is public, and nothing else is.</li>\n"
    "<li>A path that does not exist shows <a href=\"nowhere.html\"><code>web/404.html</code></a>.</li>\n"
    "</ul>\n"
    "</main>\n"
    "</body>\n"
    "</html>\n";

static const char static_404[] =
    "<!doctype html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>Not found</title>\n"
    "<link rel=\"icon\" href=\"data:,\">\n"
    "<style>\n"
    ":root { color-scheme: light dark; }\n"
    "body { margin: 0; font: 15px/24px system-ui, sans-serif; }\n"
    "main { max-width: 36rem; margin: 0 auto; padding: 64px 24px; }\n"
    "h1 { font-size: 24px; line-height: 32px; margin: 0 0 16px; }\n"
    "</style>\n"
    "</head>\n"
    "<body>\n"
    "<main>\n"
    "<h1>There is nothing here</h1>\n"
    "<p>The address may be mistyped, or the page has moved.</p>\n"
    "</main>\n"
    "</body>\n"
    "</html>\n";

static const char static_style[] =
    "/* The looks of the page: one column, light and dark from the same hues. */\n"
    ":root {\n"
    "  color-scheme: light dark;\n"
    "  --ground: oklch(99% 0.003 260);\n"
    "  --ink: oklch(25% 0.02 260);\n"
    "  --quiet: oklch(48% 0.02 260);\n"
    "  --accent: oklch(50% 0.15 260);\n"
    "  --line: oklch(92% 0.006 260);\n"
    "}\n"
    "@media (prefers-color-scheme: dark) {\n"
    "  :root {\n"
    "    --ground: oklch(19% 0.01 260);\n"
    "    --ink: oklch(93% 0.006 260);\n"
    "    --quiet: oklch(72% 0.015 260);\n"
    "    --accent: oklch(76% 0.12 260);\n"
    "    --line: oklch(30% 0.012 260);\n"
    "  }\n"
    "}\n"
    "body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/24px system-ui, sans-serif; }\n"
    "main { max-width: 36rem; margin: 0 auto; padding: 64px 24px; }\n"
    "h1 { margin: 0 0 16px; font-size: 32px; line-height: 40px; letter-spacing: -0.01em; }\n"
    "p { margin: 0 0 24px; font-size: 18px; line-height: 28px; }\n"
    "ul { margin: 0; padding: 16px 0 0; border-top: 1px solid var(--line); list-style: none; color: var(--quiet); }\n"
    "li { padding: 4px 0; }\n"
    "code { font: 13px/20px ui-monospace, monospace; color: var(--ink); }\n"
    "a { color: var(--accent); }\n"
    "a code { color: inherit; }\n"
    "a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }\n";

static const char gitignore[] =
    "# What must not be committed: what dais writes, and secrets.\n"
    "data/\n"
    ".env\n";

/* clang-format on */

static const struct template_file static_files[] = {
    {"dais.yaml", static_yaml},   {"web/index.html", static_index}, {"web/style.css", static_style},
    {"web/404.html", static_404}, {".gitignore", gitignore},
};

const struct template templates[] = {
    {"static", "A page, its style and a page for paths that do not exist.", static_files,
     sizeof static_files / sizeof *static_files},
};
const size_t n_templates = sizeof templates / sizeof *templates;
