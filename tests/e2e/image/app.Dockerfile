# An app's image for the test of images: the web side, the backend's setup, and what is served, a stage each.
#
# The build context has `dais`, the program, and `app`, the app's folder. PACKAGES are those of the manifest.
FROM docker.io/library/debian:bookworm-slim AS base
ARG PACKAGES
# Lists and archives stay out of the layer; nothing asks a question.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates $PACKAGES \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY --chmod=0755 dais /usr/local/bin/dais

# Where there is a web.build: FROM base, with nodejs and npm. What it needs to run stays here.
FROM base AS web
COPY app /app
RUN dais build /app

# At the same path as in the end: .venv and the like hold absolute paths.
FROM base AS build
ENV DAIS_DATA=/data
COPY app /app
COPY --from=web /app/web/dist /app/web/dist
RUN dais build --release --no-web /app

FROM base
# A user with a name, as libraries ask for it; its home is the one place that can be written besides /data.
RUN echo 'app:x:65532:65532:app:/tmp:/usr/sbin/nologin' >> /etc/passwd && echo 'app:x:65532:' >> /etc/group \
 && install -d -m 0700 -o 65532 -g 65532 /data
# Root's, so that nothing of the app can change itself.
COPY --from=build /app /app
ENV DAIS_DATA=/data DAIS_LISTEN=0.0.0.0:8000 HOME=/tmp LANG=C.UTF-8
VOLUME /data
USER 65532:65532
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["dais", "health"]
CMD ["dais", "serve", "/app"]
