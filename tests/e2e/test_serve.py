# `dais serve`: the smallest app, one file over HTTP, a clean end.
def test_a_file_is_served_and_the_server_ends_cleanly(dais, make_app):
    server = dais(make_app(files={"web/index.html": "<p>hello\n"}))
    answer = server.fetch("/")
    assert (answer.status, answer.body) == (200, b"<p>hello\n")
    assert answer.get("content-type", "").startswith("text/html")


def test_what_is_not_there_is_a_problem_with_a_request_id(dais, make_app):
    server = dais(make_app(files={"web/index.html": "hi"}))
    answer = server.fetch("/nothing.txt")
    assert answer.status == 404
    assert answer.json()["code"] == "not_found"
    assert answer.json()["request_id"] == answer.get("x-request-id")
