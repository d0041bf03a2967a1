# The proxies that are compared, each configured as well as it can be for the same backend.
import os
from dataclasses import dataclass
from pathlib import Path

from configs import Plan, dais_environment

NGINX = """daemon off;
{user}worker_processes {threads};
worker_rlimit_nofile 30000;
pid {home}/nginx.pid;
error_log {home}/error.log error;
events {{ worker_connections {connections}; }}
http {{
    client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3;
    uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;
    tcp_nodelay on;
    keepalive_requests 1000000000; keepalive_timeout 600s;
    access_log off;
    client_max_body_size 200m;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream backend {{
        server 127.0.0.1:{backend};
        keepalive 128; keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Request-Id $request_id;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_request_buffering off;
            proxy_buffers 8 32k;
            proxy_buffer_size 16k;
            proxy_max_temp_file_size 0;
            proxy_read_timeout 600s;
        }}
    }}
}}
"""

CADDY = """{{
    admin off
    auto_https off
    log {{
        output stderr
        level ERROR
    }}
}}
http://:{port} {{
    bind 127.0.0.1
    reverse_proxy 127.0.0.1:{backend} {{
        transport http {{
            keepalive_idle_conns_per_host 128
        }}
    }}
}}
"""

DAIS = """# Everything goes to the backend of the benchmark.
app: bench
backend:
  url: http://127.0.0.1:{backend}
  routes: [ / ]
  max_body: 200MB
  timeout: 600s
  websocket: {{ idle: 600s }}
"""


@dataclass(frozen=True)
class ProxyPlan(Plan):
    """What a proxy has to do, whichever it is."""
    backend: int = 0     # the port of the backend

    def command(self, name, home, port, binary):
        kind = name.split("@")[0]
        if kind == "dais":
            return dais_command(self, home, port, binary)
        if kind == "nginx":
            return nginx_command(self, home, port)
        if kind == "caddy":
            return caddy_command(self, home, port)
        raise SystemExit(f"bench-edge: no proxy is called {name}; there are dais nginx caddy")


def dais_command(plan, home, port, binary):
    app = Path(home, "app")
    app.mkdir()
    (app / "dais.yaml").write_text(DAIS.format(backend=plan.backend))
    command = [binary, "serve", str(app), "--listen", f"127.0.0.1:{port}"]
    return command, dais_environment(plan.threads)


def nginx_command(plan, home, port):
    conf = Path(home, "nginx.conf")
    conf.write_text(NGINX.format(
        user="user root;\n" if os.geteuid() == 0 else "", threads=plan.threads, home=home,
        connections=plan.connections, port=port, backend=plan.backend))
    return ["nginx", "-e", str(Path(home, "error.log")), "-c", str(conf)], {}


def caddy_command(plan, home, port):
    conf = Path(home, "Caddyfile")
    conf.write_text(CADDY.format(port=port, backend=plan.backend))
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(conf)], {
        "GOMAXPROCS": str(plan.threads), "XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
