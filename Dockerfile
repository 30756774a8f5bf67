# The platform's image: webserver, daemon, code server, `flowmaster serve` and runs all start from it.
# `make image` builds it. Plain instructions only (no RUN --mount), so that Docker's legacy builder builds it too.

# Pinned by digest: a tag moves. BASE is any image with Python 3.11 to 3.13, its pip and its venv module, where this
# one cannot be pulled or a company has its own.
ARG BASE=python:3.11.16-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

FROM ${BASE} AS build
WORKDIR /build
# `.surroundings` is written by scripts/image where pip has an index or certificates of its own. They stay in this
# stage. A glob that matches nothing fails in the legacy builder, unless a file that is there stands beside it.
COPY requirements-build.lock requirements-image.lock .surrounding[s] ./
ENV PIP_CONFIG_FILE=/build/pip.conf PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# Two environments: what builds the wheel is not what runs it. Neither gets a pip; the base's own installs into both.
# --no-deps: the locks are complete, and a package that they do not name must not come in.
RUN python3 -m venv --without-pip /opt/venv \
 && python3 -m venv /opt/tools \
 && /opt/tools/bin/pip install --quiet --require-hashes --no-deps --only-binary :all: -r requirements-build.lock
RUN /opt/tools/bin/pip --python /opt/venv/bin/python install --quiet --no-compile \
      --require-hashes --no-deps --only-binary :all: -r requirements-image.lock
COPY pyproject.toml README.md LICENSE dagster.yaml ./
COPY flowmaster_delivery flowmaster_delivery
# No index: nothing but this project can come from here. unchecked-hash: the bytecode is read without looking at file
# times, which a registry or a file system may change, and which a read-only file system could not bring up to date.
RUN /opt/tools/bin/pip wheel --quiet --no-deps --no-index --no-build-isolation --wheel-dir dist . \
 && /opt/tools/bin/pip --python /opt/venv/bin/python install --quiet --no-compile --no-deps --no-index dist/*.whl \
 && /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib

FROM ${BASE}
# Slim bases come without the standard library's bytecode; each start of each process would compile it again.
RUN python3 -m compileall -q -j 0 -x '/(tests?|lib2to3)/' "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
# Numeric owner, since runAsNonRoot cannot check a name. Only the instance's folder is writable, and a volume or tmpfs
# stands there where the root file system is read-only. su, mount and the like lose their set-user-ID bits: nothing in
# here becomes another user.
RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
 && groupadd --gid 10001 flowmaster \
 && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /opt/dagster/home --shell /usr/sbin/nologin flowmaster \
 && install -d -o 10001 -g 10001 -m 0750 /opt/dagster/home
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    DAGSTER_HOME=/opt/dagster/home \
    DAGSTER_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /opt/dagster
USER 10001:10001
CMD ["flowmaster", "--help"]

# Last, since they change with each commit and everything above need not be built again for them.
ARG BASE
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="FlowMaster Delivery" \
      org.opencontainers.image.description="From a push in GitLab to production on Kubernetes, and back" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
