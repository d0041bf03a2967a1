/* The tables of templates and models: a row for each that `dais new` knows. */
#include "cli/templates.h"

const struct template templates[] = {
    {"static", "A page, its style and a page for paths that do not exist.", {"common", "static"}},
    {"notes",
     "Notes that are kept, searched and versioned: a collection, its schema and a page.",
     {"common", "notes"}},
    {"fastapi",
     "A guest book with a FastAPI backend, SQLite and a WebSocket.",
     {"common", "guest-book", "fastapi"}},
    {"express",
     "A guest book with an Express backend and server-sent events.",
     {"common", "guest-book", "express"}},
};
const size_t n_templates = sizeof templates / sizeof *templates;

const struct model models[] = {
    {"story-gen",
     "story_gen, a studio for story blueprints: FastAPI, SQLite, a React page.",
     {"pyproject.toml", "src/story_gen/api/app.py", "src/story_gen/cli/api.py",
      "web/package.json"}},
    {"langhero",
     "LangHero, a speaking game: FastAPI with WebSockets, a SvelteKit page.",
     {"backend/main.py", "backend/requirements.txt", "backend/scenarios.json",
      "frontend/package.json"}},
    {"story-analytics",
     "Story Analytics, charts and dashboards to publish and embed: FastAPI, DuckDB, React.",
     {"api/main.py", "requirements.txt", "engine", "app/package.json", "app/embed.html"}},
    {"papeterie",
     "Papeterie Engine, a paper theatre: FastAPI, files per user, a React page.",
     {"pyproject.toml", "src/server/main.py", "assets/prompts", "src/web/package.json"}},
};
const size_t n_models = sizeof models / sizeof *models;
