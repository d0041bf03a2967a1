# The image of <%app.title|line%>: its own build and set-up, then dais, which serves it.
ARG BASE_IMAGE=docker.io/library/debian:bookworm-slim
FROM ${BASE_IMAGE}
