# The checks of <%app.title|line%>, in the same surroundings as its image: an image that builds has passed them.
#
#   cp "$(command -v dais)" docker/dais
#   docker build -f docker/ci.Dockerfile .
<%if image.is_node%>
ARG NODE_IMAGE=docker.io/library/node:22-bookworm
FROM ${NODE_IMAGE}
<%else%>
ARG BASE_IMAGE=docker.io/library/debian:bookworm-slim
FROM ${BASE_IMAGE}
<%end%>
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates git \
<%each packages as name%>
      <%name|sh%> \
<%end%>
 && rm -rf /var/lib/apt/lists/*
COPY --chmod=0755 docker/dais /usr/local/bin/dais
COPY . /app
WORKDIR /app
ENV CI=1 DAIS_DATA=/tmp/data

# The build first: the manifest may name files that it makes.
RUN rm -rf docker && dais build --release .
<%if secrets%>
# That secrets are set is not what is checked here.
<%each secrets as s%>
<%if s.is_required%>
ENV <%s.name|raw%>=not-needed
<%end%>
<%end%>
<%end%>
RUN dais check .
# The app's own tests, where its package.json has some.
RUN if [ -f package.json ] && command -v npm > /dev/null; then npm test --if-present; fi

CMD ["dais", "check", "/app"]
