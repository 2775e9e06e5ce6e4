# stacchip and its commands, for AWS Batch, Dask or any other scheduler of containers.
#
#   docker build -t stacchip .
#   docker run --rm stacchip stacchip --help
#
# Versions are those of requirements.lock; the second stage has neither compiler nor pip's cache, and
# does not run as root.
FROM python:3.11-slim AS build

WORKDIR /build
COPY pyproject.toml README.md LICENSE requirements.lock ./
COPY src src
# the lock has the tools of development too: it limits versions here, and only what is needed comes
RUN python -m venv /opt/stacchip \
 && sed -n 's/^\([A-Za-z0-9_.-]*==.*[^ \\]\) *\\$/\1/p' requirements.lock > constraints.txt \
 && /opt/stacchip/bin/pip install --no-cache-dir --disable-pip-version-check \
      --constraint constraints.txt '.[processors,dask]' \
 && /opt/stacchip/bin/pip uninstall --yes --quiet pip setuptools \
 && find /opt/stacchip -type d -name tests -path '*/site-packages/*' -prune -exec rm -rf {} +

FROM python:3.11-slim

# libexpat1 is what GDAL's wheel takes from the system. Dask's profiler can lock up Python 3.11
# (docs/dask.md).
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libexpat1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --create-home stacchip
COPY --from=build /opt/stacchip /opt/stacchip
ENV PATH=/opt/stacchip/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=4 \
    DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED=False
USER stacchip
WORKDIR /home/stacchip
CMD ["stacchip", "--help"]
