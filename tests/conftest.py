"""What every test may use, what it may not see, and a rule that CI skips nothing."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import logging
import multiprocessing
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from servers.seaweedfs import SeaweedFS
from shield import shield

if TYPE_CHECKING:
    from servers.outside import Outside

shield()
# Each property is tried fifty times: CI runs often, and each time with other values. No deadline,
# since a machine may be busy.
hypothesis.settings.register_profile("often", max_examples=50, deadline=None)
hypothesis.settings.load_profile("often")
SHARED_DATA = Path(
    os.environ.get("STACCHIP_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")
)

# A process has one fork server. It imports what takes seconds, so that its children need not; the
# start method "spawn" tests a child that imports everything itself. (pyarrow imports pandas when it
# is first given a list.)
multiprocessing.set_forkserver_preload(
    [
        *("stacchip.index", "pyarrow.dataset", "pandas"),
        *(["stacchip.datasets.stream_dataset"] if find_spec("torch") else []),
    ]
)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real imagery; a test that asks for it skips where there is none."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real imagery is absent: {SHARED_DATA} (set STACCHIP_TEST_DATA)")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def _fresh_logging() -> None:
    """No test hears, or fails to hear, what a command of an earlier one has set."""
    logger = logging.getLogger("stacchip")
    logger.handlers = []
    logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `stacchip demo --small` leaves: archive, indexes, index, chips.png. Do not change it.

    What it says is in `said.txt` beside the folder. It takes seconds: the first of several pytest
    workers makes it, and the others wait for it.
    """
    from stacchip.cli import run

    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder = root / "demo" / "a demo"
    made, said = folder.parent / "made", folder.parent / "said.txt"
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            with said.open("w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
                assert run(["demo", str(folder), "--small"]) == 0
            made.touch()
    return folder


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A real S3 server."""
    with SeaweedFS(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="session")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """A STAC API, an S3 store, and a proxy before it that counts and fails on purpose."""
    from servers.outside import start_outside

    with start_outside(tmp_path_factory.mktemp("outside")) as servers:
        yield servers


@pytest.fixture(autouse=True)
def _well_behaved(request: pytest.FixtureRequest) -> None:
    """Let each test begin with a proxy that does nothing but count."""
    if "outside" in request.fixturenames:
        outside = request.getfixturevalue("outside")
        outside.proxy.set(
            delay_s=0, fail_rate=0, fail_status=503, fail_methods=(), fail_prefix="",
            fail_count=-1, retry_after_s=-1, sas_life_s=3600,
        )  # fmt: skip
        outside.proxy.forget()


def pytest_collection() -> None:
    gc.disable()


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what lives to the end: modules and collected tests.

    It would look at half a million objects each time.
    """
    gc.freeze()
    gc.enable()


def skipped_in_ci(config: pytest.Config) -> list[pytest.TestReport]:
    """In CI everything is there that a test needs: skipped tests fail the run."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    is_ci = os.environ.get("CI", "").lower() in ("true", "1")
    return reporter.stats.get("skipped", []) if reporter and is_ci else []


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.OK and skipped_in_ci(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say why a run without a failed test fails."""
    skipped = skipped_in_ci(config)
    reasons = {report.longrepr[2]: report.nodeid for report in skipped}
    if skipped:
        terminalreporter.section("skipped, which fails a run in CI", red=True)
        for reason, test in reasons.items():
            terminalreporter.line(f"{reason} ({test})")
