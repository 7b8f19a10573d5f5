"""A gate inside a test suite: ``judgebench_run`` opens a run, ``assert_no_regression`` fails where the gate does.

    from judgebench.pytest_plugin import assert_no_regression

    def test_checkpoint(judgebench_run):
        assert_no_regression(judgebench_run("runs/candidate"), judgebench_run("runs/baseline.zip"), max_drop=1.0)

pytest finds the fixture by itself where judgebench is installed. Nothing of judgebench is imported before it is used.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from judgebench.gating.verdicts import Gate, OnInconclusive
    from judgebench.run.reading import Run


class InconclusiveGate(UserWarning):
    """The items of two runs cannot tell whether the candidate is worse."""


@pytest.fixture(scope="session")
def judgebench_run(request: pytest.FixtureRequest) -> "Callable[..., Run]":
    """Opens a run folder or an archive, each once a session; a path that is not absolute lies below the root folder.

    ``judgebench_run(path, tasks="mine/task.py")`` opens a run that was made with a task of your own: a run folder
    cannot name code.
    """
    from judgebench.run.reading import read_run
    from judgebench.tasks import task_files

    root, opened = request.config.rootpath, {}

    def open_once(path: str | Path, tasks: str | Path | None = None) -> "Run":
        asked = root / path, tasks
        if asked not in opened:
            opened[asked] = read_run(root / path, task_files("" if tasks is None else str(root / tasks)))
        return opened[asked]

    return open_once


def assert_no_regression(
    candidate: "Run",
    baseline: "Run | str",
    *,
    max_drop: float | None = None,
    policy: str | Path | None = None,
    on_inconclusive: "OnInconclusive" = "fail",
) -> "Gate":
    """Fail the test unless the gate passes; what it found otherwise.

    Parameters
    ----------
    candidate
        A run, from ``judgebench_run``.
    baseline
        A run, or ``published:MODEL`` for a row of a published table.
    max_drop
        Largest loss of each task's headline, in its unit.
    policy
        A policy file, in place of ``max_drop``.
    on_inconclusive
        Where the items cannot tell: ``fail`` the test, ``warn`` (``InconclusiveGate``), or ``pass``.

    Raises
    ------
    AssertionError
        With a sentence for each check that did not pass.
    UsageError
        If there is nothing to gate, or the protocols are unlike.
    """
    from judgebench.display import printable
    from judgebench.errors import UsageError
    from judgebench.gating.ci_reports import outcome, sentence
    from judgebench.gating.policy import Defaults, Policy, checked, read_policy
    from judgebench.gating.verdicts import PUBLISHED, exit_code, gate

    __tracebackhide__ = True
    if (max_drop is None) == (policy is None):
        raise UsageError("assert_no_regression needs max_drop or policy, and one of them only")
    asked = (
        checked(Policy(defaults=Defaults(max_drop=max_drop)), "max_drop")
        if policy is None
        else read_policy(Path(policy))
    )
    result = gate(baseline.removeprefix(PUBLISHED) if isinstance(baseline, str) else baseline, candidate, asked)
    told = [printable(sentence(check)) for check in result.checks if outcome(check, on_inconclusive) != "passed"]
    if exit_code(result, on_inconclusive):
        raise AssertionError("\n".join(told))
    for line in told:
        warnings.warn(line, InconclusiveGate, stacklevel=2)
    return result
