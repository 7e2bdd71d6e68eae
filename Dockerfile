# syntax=docker/dockerfile:1
# make images                                                 all three below, with docker, podman or buildah
# docker build -t wdist .                                     one machine: API and worker
# docker build -t wdist-api --target api .                    an API replica, without torch
# docker build -t wdist-worker --target worker .              a worker of several hosts (deploy/compose.cluster.yaml)
# docker build -t wdist:cuda --build-arg TORCH=cu130 .        for NVIDIA GPUs; run with --gpus all
#
# Their sizes are in docs/operations.md. PIP_INDEX_URL and PIP_EXTRA_INDEX_URL choose another package index for all but
# torch, TORCH_INDEX_URL one for torch, BASE another base image. Without any index: a directory with all wheels, by
#   docker build --build-context wheels=DIRECTORY --build-arg PIP_NO_INDEX=1 .

# The version that constraints.txt was made with.
ARG PYTHON_VERSION=3.11
ARG BASE=python:${PYTHON_VERSION}-slim-bookworm

# An empty directory, unless --build-context names another.
FROM scratch AS wheels

# Everything is installed for /opt/wdist, into three directories, which become layers of their own: packages that the API
# imports, those that only training needs (torch above all), and wdist, which changes most.
FROM ${BASE} AS build
ARG TORCH=cpu
ARG TORCH_INDEX_URL
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_NO_INDEX
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_FIND_LINKS=/wheels \
    PIP_CONSTRAINT=/src/constraints.txt PIP_BUILD_CONSTRAINT=/src/constraints.txt PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
# pip stays outside: nothing is installed later.
RUN python -m venv /opt/pip && python -m venv --without-pip /opt/wdist
COPY constraints.txt pyproject.toml ./
COPY deploy/requirements.py ./deploy/
RUN --mount=type=bind,from=wheels,target=/wheels \
    python deploy/requirements.py api > api.txt \
    && /opt/pip/bin/pip --python /opt/wdist/bin/python install --no-compile --requirement api.txt
# The plain package index has the build for CUDA, with 5 GB of NVIDIA's packages: so the other indexes are left out, and
# what came is looked at.
RUN --mount=type=bind,from=wheels,target=/wheels \
    python deploy/requirements.py torch > torch.txt && python deploy/requirements.py training > training.txt \
    && site=$(/opt/wdist/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))") \
    && export PYTHONPATH="/training$site" \
    && env -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL /opt/pip/bin/pip --python /opt/wdist/bin/python install --no-compile \
        --root /training --prefix /opt/wdist \
        --index-url "${TORCH_INDEX_URL:-https://download.pytorch.org/whl/$TORCH}" --requirement torch.txt \
    && case "$TORCH" in cpu) wanted=False;; *) wanted=True;; esac \
    && /opt/wdist/bin/python -c "import sys, torch; sys.exit(None if (torch.version.cuda is not None) is $wanted else \
        f'TORCH=$TORCH was asked for, but the index has torch {torch.__version__}: give TORCH_INDEX_URL')" \
    && /opt/pip/bin/pip --python /opt/wdist/bin/python install --no-compile --root /training --prefix /opt/wdist \
        --requirement training.txt
COPY README.md LICENSE ./
COPY wdist ./wdist
COPY service ./service
RUN --mount=type=bind,from=wheels,target=/wheels \
    /opt/pip/bin/pip --python /opt/wdist/bin/python install --no-compile --root /own --prefix /opt/wdist --no-deps .
# What a running server opens of it is kept, and compiled here, as the image may be read-only.
COPY deploy/prune.py deploy/compile_imported.py ./deploy/
RUN site=$(/opt/wdist/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))") \
    && python deploy/prune.py /opt/wdist /training/opt/wdist /own/opt/wdist \
    && PYTHONHASHSEED=0 PYTHONPATH="/training$site:/own$site" \
        /opt/wdist/bin/python deploy/compile_imported.py /standard / /training /own

# /data belongs to the group root, too: some hosts give a container any user id, in that group.
FROM ${BASE} AS slim
COPY deploy/slim_base.sh /tmp/
RUN SOURCE_DATE_EPOCH=0 useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin wdist \
    && install -d -o wdist -g root -m 0770 /data \
    && sh /tmp/slim_base.sh \
    && rm /tmp/slim_base.sh

FROM scratch AS runtime
# hadolint ignore=DL3067
COPY --from=slim / /
COPY --from=build /standard /
ENV PATH=/opt/wdist/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 \
    HOME=/data \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    WDIST_SERVER_DATA=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
ENTRYPOINT ["wdist"]
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="wdist" \
      org.opencontainers.image.description="Wasserstein-1 distance estimation service" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

FROM runtime AS worker
COPY --from=build /opt/wdist /opt/wdist
COPY --from=build /training /
COPY --from=build /own /
CMD ["worker"]

# No --start-interval below: buildah and podman of Debian 12 refuse it.
FROM runtime AS api
COPY --from=build /opt/wdist /opt/wdist
COPY --from=build /own /
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000", "--workers", "0"]

# The last one is what is built when no target is named.
FROM runtime AS server
COPY --from=build /opt/wdist /opt/wdist
COPY --from=build /training /
COPY --from=build /own /
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
# Outside 127.0.0.1 the server asks for a key: WDIST_SERVER_BOOTSTRAP_KEY_FILE names the file that holds the first one.
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
