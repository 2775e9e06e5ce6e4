#!/usr/bin/env bash
# Build the wheel, install it with one extra at a time into an empty environment, and do there what
# the extra is for. Arguments: a Python with venv, then the extras to try (all by default).
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$1
shift
extras=("$@")
[ $# -gt 0 ] || extras=(core dask xarray processors torch)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/uv"
"$work/uv/bin/python" -m pip install --quiet --disable-pip-version-check uv
uv=$work/uv/bin/uv
export UV_FIND_LINKS=${UV_FIND_LINKS:-${PIP_FIND_LINKS:-}}

"$uv" build --quiet --python "$python" --out-dir "$work/dist" .
wheel=$(echo "$work"/dist/*.whl)
test -f "$work"/dist/*.tar.gz # the wheel was built from it

failed=0
SECONDS=0
for extra in "${extras[@]}"; do
  what=$wheel[$extra]
  [ "$extra" != core ] || what=$wheel
  [ "$extra" != torch ] || what="$what torch==2.13.0" # the release that `make torch` installs
  "$uv" venv --quiet --python "$python" "$work/$extra"
  mkdir "$work/in $extra"
  # shellcheck disable=SC2086
  if "$uv" pip install --quiet --python "$work/$extra/bin/python" $what &&
    (cd "$work/in $extra" && env -u PYTHONPATH "$work/$extra/bin/python" -W error::DeprecationWarning:stacchip \
      "$OLDPWD/tests/extras/with_$extra.py"); then
    echo "$extra: passed (${SECONDS} s)"
  else
    echo "$extra: FAILED" >&2
    failed=$((failed + 1))
  fi
  rm -rf "$work/$extra"
done
echo "$((${#extras[@]} - failed)) passed, $failed failed"
[ "$failed" = 0 ]
