#!/usr/bin/env bash
# What the tests of whole systems need, on Debian: PostgreSQL 15 with PostGIS, nginx with Lua, and
# stac-fastapi-pgstac in a virtual environment of its own (its pins would fight with ours).
# Needs root or sudo; run it as often as you like: what is there already is left alone.
#
#   tests/servers/install.sh [VENV]      default: $STACCHIP_PGSTAC_VENV, else .venvs/pgstac
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=${1:-${STACCHIP_PGSTAC_VENV:-$here/.venvs/pgstac}}
packages=(postgresql-15 postgresql-15-postgis-3 nginx-extras)
# One set that was seen to answer right; pypgstac must be of the same series as the SQL it migrates.
requirements=('stac-fastapi.pgstac[server]' 'pypgstac' 'psycopg[binary,pool]' 'uvicorn')

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "needs root, or sudo: $*" >&2
    return 1
  fi
}

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  as_root apt-get update -qq
  # RUNLEVEL=1 keeps the packages' services from starting: the tests start their own, on free ports
  as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

if ! "$venv/bin/python" -c 'import stac_fastapi.pgstac, pypgstac, uvicorn, psycopg' 2>/dev/null; then
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "${requirements[@]}"
fi
echo "servers: PostgreSQL $(/usr/lib/postgresql/15/bin/postgres --version | cut -d' ' -f3)," \
  "$(/usr/sbin/nginx -v 2>&1 | cut -d' ' -f3), pgstac in $venv"
