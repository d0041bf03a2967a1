# The image of <%app.title|line%>: what it needs, its own build, then one read-only folder that dais serves.
#
#   cp "$(command -v dais)" docker/dais
#   docker build -f docker/app.Dockerfile -t <%app.slug|raw%> .
#   docker run --rm -p 127.0.0.1:8000:8000 -v <%app.slug|raw%>-data:/data <%app.slug|raw%>
#
# With podman, `--format docker` keeps the health check.
ARG BASE_IMAGE=docker.io/library/debian:bookworm-slim
<%if image.is_node%>
ARG NODE_IMAGE=docker.io/library/node:22-bookworm-slim
<%end%>

# ---- what is in the image for good; ca-certificates for what the app itself calls
FROM ${BASE_IMAGE} AS base
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates \
<%each packages as name%>
      <%name|sh%> \
<%end%>
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY --chmod=0755 docker/dais /usr/local/bin/dais
<%if image.has_build%>

# ---- the web build of dais.yaml; its tools stay behind
<%if image.is_node%>
FROM ${NODE_IMAGE} AS web
COPY --from=base /usr/local/bin/dais /usr/local/bin/dais
<%else%>
FROM base AS web
<%end%>
COPY . /app
RUN dais build /app
<%end%>

# ---- the folder made ready: the backend set up, what it keeps linked to /data, and then never written to again
FROM base AS release
ENV DAIS_DATA=/data
<%if image.has_build%>
<%if image.web_root%>
COPY . /app
COPY --from=web ["/app/<%image.web_root|raw%>", "/app/<%image.web_root|raw%>"]
<%else%>
COPY --from=web /app /app
<%end%>
RUN rm -rf /app/docker && dais build --release --no-web /app
<%else%>
COPY . /app
RUN rm -rf /app/docker && dais build --release /app
<%end%>

FROM base
RUN echo 'app:x:65532:65532:app:/tmp:/usr/sbin/nologin' >> /etc/passwd \
 && echo 'app:x:65532:' >> /etc/group \
 && install -d -m 0700 -o 65532 -g 65532 /data
COPY --from=release /app /app
ENV DAIS_DATA=/data DAIS_LISTEN=0.0.0.0:8000 HOME=/tmp LANG=C.UTF-8
LABEL org.opencontainers.image.title="<%app.title|docker%>"
# Everything that must survive. A folder of the host instead of a volume must belong to 65532.
VOLUME /data
USER 65532:65532
EXPOSE 8000
# /_/healthz is dais's own, also where the app answers /healthz itself.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["dais", "health", "--path", "/_/healthz"]
CMD ["dais", "serve", "/app"]
