"""A measured program in a process of its own, which waits for questions.

Contenders live in different environments (`environments.py`). They take turns in one run, so that
all meet the same machine; while one works, the others sleep. A contender is a module with a table
of tasks that ends in `answer(TASKS)`. Question and answer are one line of JSON each. A contender
times itself, so that starting and talking do not count.

Every environment imports this module, so it needs only the standard library.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]

Task = Callable[..., Mapping[str, Any] | None]


class ContenderError(RuntimeError):
    """A contender failed at a task; the message has its traceback."""


class Contender:
    """The parent's end of a contender.

    Args:
        module: The module to run with `-m`, such as `benchmarks.original`.
        python: The interpreter of its environment.
        environment: Environment variables to add.
    """

    def __init__(
        self,
        module: str,
        python: Path | str = sys.executable,
        environment: Mapping[str, str] | None = None,
        checkout: Path = REPOSITORY,
    ) -> None:
        self.module = module
        self._process = subprocess.Popen(
            [str(python), "-m", module],
            cwd=checkout,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )

    def ask(self, task: str, **arguments: Any) -> dict[str, Any]:
        """Run a task; return `seconds`, `cpu_s`, `peak_mb` and the facts that the task returns.

        Raises:
            ContenderError: The task failed or the process died.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"task": task, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise ContenderError(f"{self.module} died with exit code {self._process.wait()}")
        result: dict[str, Any] = json.loads(line)
        if "error" in result:
            raise ContenderError(f"{self.module} failed at {task!r}:\n{result['error']}")
        return result

    def close(self) -> None:
        """End the process; it has nothing to save."""
        self._process.kill()
        self._process.communicate()


def answer(tasks: Mapping[str, Task]) -> None:
    """Answer questions in the child until the parent goes away.

    A task is timed as a whole, unless it returns `seconds` itself (because it must prepare first).
    """
    # the output of a library must not mix with the answers; errors still go to stderr
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for line in sys.stdin:
        replies.write(json.dumps(_perform(tasks, json.loads(line))) + "\n")
        replies.flush()


def _perform(tasks: Mapping[str, Task], question: Mapping[str, Any]) -> dict[str, Any]:
    cpu, begin = _cpu_s(), time.perf_counter()
    try:
        facts = tasks[question["task"]](**question["arguments"]) or {}
    except Exception:  # noqa: BLE001 - the parent raises whatever failed
        return {"error": traceback.format_exc()}
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "cpu_s": _cpu_s() - cpu, "peak_mb": peak_mb(), **facts}


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_mb() -> float:
    """Return the highest resident memory of this process so far, in megabytes (10^6 bytes)."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6
