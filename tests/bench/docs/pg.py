# The rows of Postgres: the same server on one of the benchmark's own, beside a bare libpq loop.
import postgres
from app import fill
from turns import Bare

SCHEMA = "bench"   # the app's name
STORED = 20_000    # enough that a row is found by its index


def connections(server):
    """Of the server, of its readers and its writers; what a load just now left open."""
    return int(server.query("SELECT count(*) FROM pg_stat_activity WHERE datname = 'postgres'"
                            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'")[0][0])


def turns(bench, database, server):
    """The bare loop has as many connections as the server opened for the same load."""
    load = bench.load("pg-warm", server, "pg-get")
    load.run(bench.options, bench.options.warm_ms)
    readers = max(1, connections(database) - 1)   # one of them writes
    load = bench.load("pg-warm", server, "pg-create")
    load.run(bench.options, bench.options.warm_ms)
    writers = max(1, connections(database) - readers)
    bench.facts.append(f"- Postgres: {readers} connections read, {writers} write; the bare loops "
                       f"have as many. {STORED:,} stored, every commit waits for the disk.")
    return [bench.load("pg-get", server), bench.load("pg-create", server)] + [
        Bare(f"pg-{what}-bare", "limits_pg", what, database.url, SCHEMA, count, None)
        for what, count in (("get", readers), ("create", writers))]


def run(bench):
    if postgres.why_not():
        bench.options.say("postgres: " + postgres.why_not())
        return
    database = postgres.Postgres(is_durable=True, settings={"shared_buffers": "256MB"})
    bench.stack.callback(database.close)
    fill(bench.options, bench.app, database.url, STORED)
    server = bench.serve(bench.data("postgres"), {"DATABASE_URL": database.url})
    bench.requests.write_gets("pg-get", "notes", STORED)
    bench.requests.write_creates("pg-create", "notes")
    server.ask("/api/notes/nobody-has-this-id")
    bench.rounds(*turns(bench, database, server))
    server.close()
    database.close()
