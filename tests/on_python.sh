#!/usr/bin/env bash
# Run the plain tests on another Python or other dependencies, in an environment of their own under
# .venvs/. Arguments: a Python with venv; locked, newest or lowest; what to hand to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1 dependencies=$2
shift 2

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "stacchip needs Python 3.11 or newer" >&2
  exit 1
}
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
export VIRTUAL_ENV=$PWD/.venvs/$version-$dependencies
bin=$VIRTUAL_ENV/bin
[ -x "$bin/uv" ] || {
  "$python" -m venv "$VIRTUAL_ENV"
  "$bin/python" -m pip install --quiet --disable-pip-version-check uv
}

extras=(--extra dask --extra xarray --extra processors)
options=()
case $dependencies in
  locked)
    "$bin/uv" pip install --quiet --require-hashes -r requirements.lock
    ;;
  newest | lowest)
    resolution=highest
    # old releases warn of what newer ones, on which they depend, will drop: that is not our doing
    [ "$dependencies" = newest ] || {
      resolution=lowest-direct
      options=(-o filterwarnings= --disable-warnings --deselect tests/test_user_project.py)
    }
    pins=$VIRTUAL_ENV/dependencies.txt
    "$bin/uv" pip compile --quiet --upgrade --resolution "$resolution" "${extras[@]}" \
      --no-header --no-annotate -o "$pins" pyproject.toml
    # the tools of the tests are the newest that fit
    "$bin/uv" pip install --quiet --upgrade -r "$pins" --constraint "$pins" --group pyproject.toml:dev
    ;;
  *)
    echo "dependencies are locked, newest or lowest, not '$dependencies'" >&2
    exit 2
    ;;
esac
"$bin/uv" pip install --quiet --no-deps --editable .
"$bin/python" -c "import platform, rasterio, numpy; print('Python', platform.python_version(), \
  'numpy', numpy.__version__, 'rasterio', rasterio.__version__, 'GDAL', rasterio.__gdal_version__)"
# PyTorch is not installed: its tests skip, which is no failure here as it is in CI
CI='' "$bin/python" -m pytest -m 'not servers and not slow' -n auto --dist loadfile \
  --no-loadscope-reorder -p no:cacheprovider "${options[@]}" "$@"
