# stacchip and its commands, for AWS Batch, Dask or any other scheduler of containers.
#
#   docker build -t stacchip .
#   docker run --rm stacchip stacchip --help
#
# Versions come from requirements.lock. The second stage has no compiler and no pip cache, and does
# not run as root.
FROM python:3.11-slim AS build

WORKDIR /build
COPY pyproject.toml README.md LICENSE requirements.lock ./
COPY src src
# the lock also lists development tools: used as constraints, it pins versions and installs only what
# is needed
RUN python -m venv /opt/stacchip \
 && sed -n 's/^\([A-Za-z0-9_.-]*==.*[^ \\]\) *\\$/\1/p' requirements.lock > constraints.txt \
 && /opt/stacchip/bin/pip install --no-cache-dir --disable-pip-version-check \
      --constraint constraints.txt '.[processors,dask]' \
 && /opt/stacchip/bin/pip uninstall --yes --quiet pip setuptools \
 && find /opt/stacchip -type d -name tests -path '*/site-packages/*' -prune -exec rm -rf {} +

FROM python:3.11-slim

# GDAL's wheel needs the system's libexpat1. Dask's profiler can lock up Python 3.11: see docs/dask.md.
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
