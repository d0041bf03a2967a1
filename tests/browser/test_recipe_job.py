# The page of docs/recipes/add-a-job.md in Chromium: it starts a job and hears of its progress and its end.
import pathlib
import re
import shutil
import tempfile

from conftest import ROOT, clean_page, serving

TEXT = (ROOT / "docs/recipes/add-a-job.md").read_text(encoding="utf-8")


def block(language, word):
    """What stands between the fences of that language and has the word, without its indent."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", TEXT, re.M | re.S)
    return re.sub("^   ", "", next(text for text in found if word in text), flags=re.M)


def app_of_the_recipe(folder):
    page = "window.shown = [];\nconst show = (step) => window.shown.push(step);\n" + block("javascript", "EventSource")
    page += "events.addEventListener('state', (e) => { document.body.textContent = JSON.parse(e.data).state; });\n"
    files = {"dais.yaml": "app: recipe\nweb: { root: web }\n" + block("yaml", "jobs:"), "web/page.js": page,
             "web/index.html": "<!doctype html><html lang=en><title>Job</title><link rel=icon href=data:,>"
                               "<body><script type=module src=/page.js></script>",
             "schemas/count.json": block("json", "steps"), "jobs/count": block("python", "jobs/count")}
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (folder / "jobs/count").chmod(0o755)


def test_the_page_follows_its_job(driver):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dais-recipe-"))
    folder.chmod(0o755)  # the program is run as somebody else
    try:
        app_of_the_recipe(folder / "app")
        with serving(folder / "app", folder / "data") as url:
            pages = clean_page(driver, url)
            browser = next(pages)
            browser.open("/")
            browser.wait("document.body.textContent === 'succeeded'")
            assert browser.js("return window.shown.at(-1).message") == "step 20"
            assert next(pages, None) is None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
