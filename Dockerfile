# syntax=docker/dockerfile:1
# docker build -t wdist .                                     one machine: API and worker; CPU, about 1.2 GB
# docker build -t wdist-api --target api .                    an API replica: no torch, so about a quarter of that
# docker build -t wdist-worker --target worker .              a worker of several hosts (deploy/compose.cluster.yaml)
# docker build -t wdist:cuda --build-arg TORCH_INDEX_URL=https://download.pytorch.org/whl/cu130 .   run with --gpus all
# PIP_INDEX_URL and PIP_EXTRA_INDEX_URL choose another package index for everything else (a mirror, a company's own).

# The version that constraints.txt was made with.
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim-bookworm AS build
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
RUN python -m venv /opt/wdist
WORKDIR /src
# torch has a layer of its own: it is nine tenths of the image and changes least.
COPY constraints.txt ./
RUN grep '^torch==' constraints.txt > torch.txt \
    && /opt/wdist/bin/pip install ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} --requirement torch.txt
COPY pyproject.toml README.md LICENSE ./
COPY wdist ./wdist
COPY service ./service
RUN /opt/wdist/bin/pip install --constraint constraints.txt '.[server]'

# What the API imports has no torch in it; tests/house/test_imports.py watches that.
FROM build AS build-api
RUN /opt/wdist/bin/pip uninstall --yes torch sympy mpmath networkx

FROM python:${PYTHON_VERSION}-slim-bookworm AS runtime
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin wdist \
    && install -d -o wdist -g wdist -m 0700 /data
ENV PATH=/opt/wdist/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    WDIST_SERVER_DATA=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
ENTRYPOINT ["wdist"]

FROM runtime AS worker
COPY --from=build /opt/wdist /opt/wdist
CMD ["worker"]

FROM runtime AS api
COPY --from=build-api /opt/wdist /opt/wdist
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000", "--workers", "0"]

# The last one is what is built when no target is named.
FROM runtime AS server
COPY --from=build /opt/wdist /opt/wdist
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
# Outside 127.0.0.1 the server asks for a key: WDIST_SERVER_BOOTSTRAP_KEY_FILE names the file that holds the first one.
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
