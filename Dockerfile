# One image, several commands: `seamkeeper serve`, `worker`, `scheduler`, `console`, `migrate`, `simulate` (docs/containers.md).
# The base is an argument so that a digest can be given: --build-arg PYTHON_IMAGE=python:3.13-slim@sha256:…
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# Dependencies first and alone: a change of our own code then leaves this layer as it is.
# Only wheels: what would need a compiler fails here, and no package runs code of its own while it is installed.
COPY requirements.lock .
RUN python -m venv --without-pip /opt/seamkeeper \
 && pip --python /opt/seamkeeper/bin/python install --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY receiver receiver
COPY workers workers
COPY console console
COPY seamkeeper seamkeeper
COPY simulator simulator
RUN pip wheel --no-deps --wheel-dir dist . \
 && pip --python /opt/seamkeeper/bin/python install --no-deps dist/*.whl

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Seamkeeper" \
      org.opencontainers.image.description="Keeps the people in your access systems the way you want them: Seam webhooks in, repaired users out." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The byte code was written while the wheels were installed; the file system may be read-only from here on.
ENV PATH=/opt/seamkeeper/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /opt/seamkeeper /opt/seamkeeper
# Without DATABASE_URL the tables are a SQLite file in ./data: a volume mounted there takes over this owner.
RUN install -d -o 10001 -g 10001 /var/lib/seamkeeper/data
WORKDIR /var/lib/seamkeeper
USER 10001:10001
EXPOSE 8000
# Workers fork: run with --init (compose: `init: true`), so that somebody collects the children that end.
ENTRYPOINT ["seamkeeper"]
CMD ["serve", "--host", "0.0.0.0"]
# Of the default command; the compose file says for each service what healthy means.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --start-interval=2s \
  CMD ["seamkeeper", "health", "--receiver", "http://127.0.0.1:8000"]
