# The configuration each server is started with: as equal as they can be made, quiet, HTTP only.
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Plan:
    """What a server has to do, whichever it is."""
    app: Path                    # a dais app; the others serve its web/ folder
    threads: int = 1
    logs: bool = False
    health: str = '{"ok":true}'  # the small JSON answer
    connections: int = 1024      # nginx sets memory aside for each of these

    @property
    def root(self):
        return self.app / "web"

    def command(self, name, home, port, binary):
        """The command line and extra environment of a server."""
        return command_for(name, self, home, port, binary)


NGINX = """daemon off;
{user}worker_processes {threads};
worker_rlimit_nofile 20000;
pid {home}/nginx.pid;
error_log {home}/error.log error;
events {{ worker_connections {connections}; }}
http {{
    types {{ text/html html; text/javascript js; application/json json; }}
    default_type application/octet-stream;
    client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3;
    uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;
    sendfile on; tcp_nopush on; tcp_nodelay on;
    keepalive_requests 1000000000; keepalive_timeout 600s;
    access_log {log};
    {cache}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {root};
        location = /healthz {{ default_type application/json; return 200 '{health}'; }}
        location /assets/ {{ gzip_static on; }}
        location / {{ try_files $uri $uri/ /index.html; }}
    }}
}}
"""
OPEN_FILE_CACHE = "open_file_cache max=1000 inactive=600s; open_file_cache_valid 60s;"

CADDY = """{{
    admin off
    auto_https off
    log {{
        output stderr
        level {level}
    }}
}}
http://:{port} {{
    bind 127.0.0.1
    root * {root}
    {log}
    handle /healthz {{
        header Content-Type application/json
        respond `{health}` 200
    }}
    handle /assets/* {{
        file_server {{
            precompressed gzip
        }}
    }}
    handle {{
        try_files {{path}} /index.html
        file_server
    }}
}}
"""


def nginx_command(plan, home, port, cached):
    conf = home / "nginx.conf"
    conf.write_text(NGINX.format(
        user="user root;\n" if os.geteuid() == 0 else "", threads=plan.threads, home=home,
        connections=plan.connections, log="/dev/null" if plan.logs else "off", port=port,
        cache=OPEN_FILE_CACHE if cached else "", root=plan.root, health=plan.health))
    return ["nginx", "-e", str(home / "error.log"), "-c", str(conf)], {}


def caddy_command(plan, home, port):
    conf = home / "Caddyfile"
    log = "log {\n        output file /dev/null\n    }" if plan.logs else ""
    level = "INFO" if plan.logs else "ERROR"   # access log lines have level INFO
    conf.write_text(CADDY.format(port=port, root=plan.root, health=plan.health, log=log,
                                 level=level))
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(conf)]
    return command, {"GOMAXPROCS": str(plan.threads), "XDG_DATA_HOME": str(home),
                     "XDG_CONFIG_HOME": str(home)}


def dais_command(plan, port, binary):
    command = [binary, "serve", str(plan.app), "--listen", f"127.0.0.1:{port}"]
    return command, dais_environment(plan.threads, plan.logs)


def dais_environment(threads, logs=False):
    return {"DAIS_THREADS": str(threads), "DAIS_LOG": "info" if logs else "warn"}


def command_for(name, plan, home, port, binary):
    """The command line and extra environment of a server; NAME@2 is a second copy of NAME."""
    kind = name.split("@")[0]
    if kind == "dais":
        return dais_command(plan, port, binary)
    if kind == "caddy":
        return caddy_command(plan, home, port)
    if kind in ("nginx", "nginx-ofc"):
        return nginx_command(plan, home, port, cached=kind == "nginx-ofc")
    raise SystemExit(f"bench-http: no server is called {name}; "
                     "there are dais nginx nginx-ofc caddy")

