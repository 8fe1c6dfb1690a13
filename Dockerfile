# Two stages: what builds stays behind. The image runs as nobody in particular, needs no shell, and writes only to
# /var/lib/canaryd and to the folder of its router's file.
FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/canaryd
COPY requirements/run.txt requirements/run.txt
RUN /opt/canaryd/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY canaryd canaryd
RUN /opt/canaryd/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps . \
    && install -d -o 65532 -g 65532 -m 0700 /state

FROM python:3.12-slim
ARG VERSION=dev
LABEL org.opencontainers.image.title="canaryd" \
      org.opencontainers.image.description="Progressive delivery without Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /opt/canaryd /opt/canaryd
COPY --from=build --chown=65532:65532 /state /var/lib/canaryd
ENV CANARYD_STATE_DIR=/var/lib/canaryd \
    CANARYD_LOG_FORMAT=json \
    PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
VOLUME /var/lib/canaryd
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/opt/canaryd/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:22627/livez', timeout=4)"]
ENTRYPOINT ["/opt/canaryd/bin/canaryd"]
CMD ["run", "/etc/canaryd/policy.yaml"]
