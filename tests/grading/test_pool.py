"""The pool of killable workers: whatever a check does, it gets a verdict, and no other check notices."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from judgebench.data.resources import folder_module, import_from_folder
from judgebench.grading import pool as pool_module
from judgebench.grading.pool import GradingPool, Verifier
from judgebench.records import Check, Verdict
from tests import grading_rules
from tests.patience import PATIENCE_SECONDS

VERIFIERS = {
    "equal": Verifier(function=grading_rules.equal, fingerprint="1"),
    "in_table": Verifier(function=grading_rules.in_table, fingerprint="1", shared={"yes": 1.0}),
    "behave": Verifier(function=grading_rules.behave, fingerprint="1", cpu_seconds=0.4),
    "once_slow": Verifier(function=grading_rules.once_slow, fingerprint="1", cpu_seconds=0.4),
}


def workers() -> list[psutil.Process]:
    """The worker processes that this test began."""
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if child.pid not in _EARLIER and "judgebench.grading.worker" in " ".join(child.cmdline())
    ]


_EARLIER: set[int] = set()
"""Workers of pools that other tests of this process keep."""


@pytest.fixture(autouse=True)
def _of_this_test() -> None:
    _EARLIER.clear()
    _EARLIER.update(child.pid for child in workers())


@pytest.fixture
def pool() -> Iterator[GradingPool]:
    """A pool of two that leaves nothing behind."""
    before = len(workers())
    with GradingPool(workers=2, memory_bytes=200 * 2**20) as opened:
        yield opened
    assert len(workers()) == before


def equal(number: int, answer: str = "4") -> Check:
    """An ordinary check."""
    return Check(id=f"equal-{number}", example_id="1", verifier="equal", arguments={"answer": answer, "gold": "4"})


def behaving(how: str) -> Check:
    """A check that does something."""
    return Check(id=f"behave-{how}", example_id="1", verifier="behave", arguments={"how": how})


def labels(verdicts: Sequence[Verdict]) -> list[str | None]:
    """What was said."""
    return [verdict.label for verdict in verdicts]


def test_verdicts_come_in_the_order_of_the_checks(pool: GradingPool) -> None:
    """However the workers share them."""
    checks = [equal(number, str(number % 7)) for number in range(500)]
    found = pool.verify(VERIFIERS, checks)
    assert [verdict.value for verdict in found] == [float(number % 7 == 4) for number in range(500)]


def test_shared_data_reach_every_worker(pool: GradingPool) -> None:
    """They are sent once to each, whichever takes the check."""
    checks = [
        Check(id=str(n), example_id="1", verifier="in_table", arguments={"answer": "yes" if n % 2 else "no"})
        for n in range(200)
    ]
    found = pool.verify(VERIFIERS, checks)
    assert [verdict.value for verdict in found] == [float(number % 2) for number in range(200)]
    assert os.getpid() not in {verdict.details["pid"] for verdict in found}


@pytest.mark.parametrize(
    ("how", "label"),
    [
        ("spin", "timeout"),
        ("spin in C", "timeout"),
        ("grow", "memory"),
        ("exit", "crash"),
        ("abort", "crash"),
        ("recurse", "error"),
        ("raise", "error"),
        ("raise past Exception", "error"),
        ("print", "print"),
    ],
)
def test_every_check_gets_a_verdict_and_its_neighbours_do_not_notice(pool: GradingPool, how: str, label: str) -> None:
    """Wrong, with the reason, where it went over a limit."""
    checks = [*(equal(number) for number in range(20)), behaving(how), *(equal(number) for number in range(20, 40))]
    found = pool.verify(VERIFIERS, checks)
    assert labels(found[:20] + found[21:]) == ["equal"] * 40
    assert found[20].label == label
    assert found[20].value == float(how == "print")
    assert found[20].details.get("tried_again_alone", False) == (label in ("timeout", "memory", "crash"))


def test_what_hangs_without_computing_is_ended_by_the_wall_clock(pool: GradingPool) -> None:
    """And says that it was that limit."""
    (found,) = pool.verify(VERIFIERS, [behaving("sleep")])
    assert (found.label, found.details["limit"]) == ("timeout", "wall time")


def test_a_timeout_on_a_busy_machine_is_made_good_alone(pool: GradingPool, tmp_path: Path) -> None:
    """The second try stands, and the verdict says that there was one."""
    check = Check(id="1", example_id="1", verifier="once_slow", arguments={"marker": str(tmp_path / "marker")})
    found = pool.verify(VERIFIERS, [check, *(equal(number) for number in range(50))])
    assert found[0] == Verdict(value=1.0, details={"tried_again_alone": True})


def test_checks_that_were_begun_are_not_done_again(pool: GradingPool, tmp_path: Path) -> None:
    """An answer is verified while the next one is generated."""
    check = Check(id="1", example_id="1", verifier="once_slow", arguments={"marker": str(tmp_path / "marker")})
    (tmp_path / "marker").touch()
    pool.begin(VERIFIERS, [check])
    while not (began := workers()):
        time.sleep(0.01)
    (first,) = pool.verify(VERIFIERS, [check])
    (tmp_path / "marker").unlink()
    assert first == Verdict(value=1.0)
    assert {child.pid for child in began} >= {child.pid for child in workers()}


def test_killers_leak_nothing(pool: GradingPool) -> None:
    """Neither processes nor open pipes nor threads."""
    pool.verify(VERIFIERS, [equal(number) for number in range(40)])
    before = len(workers()), psutil.Process().num_fds(), psutil.Process().num_threads()
    checks = [
        Check(id=str(number), example_id="1", verifier="behave", arguments={"how": how})
        for number, how in enumerate(["exit", "abort"] * 8)
    ]
    assert labels(pool.verify(VERIFIERS, checks)) == ["crash"] * 16
    pool.verify(VERIFIERS, [equal(number) for number in range(40)])
    assert (len(workers()), psutil.Process().num_fds(), psutil.Process().num_threads()) == before


def test_closing_ends_workers_that_are_busy() -> None:
    """Without waiting for them."""
    pool = GradingPool(workers=2)
    slow = Verifier(function=grading_rules.behave, fingerprint="1", cpu_seconds=3600.0)
    pool.begin({"behave": slow}, [behaving("spin"), behaving("sleep")])
    while len(workers()) < 2:
        time.sleep(0.01)
    pool.close()
    assert not workers()


def test_closing_ends_a_worker_that_is_just_being_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool that closes between the start of a process and its entry among the workers does not wait for its check."""
    pool = GradingPool(workers=1)
    closing = threading.Thread(target=pool.close)
    started = threading.Event()

    def during_the_close(memory_bytes: int) -> Any:
        worker = own(memory_bytes)
        closing.start()
        with pool._changed:
            pool._changed.wait_for(lambda: pool._closed)
        started.set()
        return worker

    own = pool_module._Worker
    monkeypatch.setattr(pool_module, "_Worker", during_the_close)
    slow = Verifier(function=grading_rules.behave, fingerprint="1", cpu_seconds=3600.0)
    pool.begin({"behave": slow}, [behaving("sleep")])
    assert started.wait(PATIENCE_SECONDS)
    closing.join(PATIENCE_SECONDS)
    assert not closing.is_alive()
    assert not workers()


PARENT = """
import sys, time
from pathlib import Path
from judgebench.grading.pool import GradingPool, Verifier
from judgebench.records import Check
from judgebench.data.resources import folder_module, import_from_folder

rules = Path("tests/grading_rules.py").resolve()
grading_rules = import_from_folder(folder_module(rules), rules)

pool = GradingPool(workers=2)
verifiers = {"behave": Verifier(function=grading_rules.behave, fingerprint="1", cpu_seconds=1.0)}
checks = [Check(id=how, example_id="1", verifier="behave", arguments={"how": how}) for how in ("spin", "spin in C")]
pool.begin(verifiers, checks)
while sum(worker is not None for worker in pool._workers) < 2:
    time.sleep(0.01)
print("begun", flush=True)
time.sleep(3600)
"""


def test_workers_do_not_outlive_a_killed_parent() -> None:
    """Their own timers end them, even in C code."""
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", PARENT], cwd=root, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "begun\n"
        while len(left := psutil.Process(parent.pid).children()) < 2:  # a busy machine starts them one by one
            time.sleep(0.02)
        parent.kill()
    _, alive = psutil.wait_procs(left, timeout=PATIENCE_SECONDS)
    assert not alive


def test_a_task_file_that_is_no_package_can_verify(tmp_path: Path) -> None:
    """``--tasks ./mine/task.py``: the worker imports it from where it lies."""
    (tmp_path / "task.py").write_text(
        "from judgebench.records import Verdict\n\ndef rule(answer):\n    return Verdict(value=float(len(answer)))\n"
    )
    module = import_from_folder(folder_module(tmp_path / "task.py"), tmp_path / "task.py")
    verifiers = {"mine": Verifier(function=module.rule, fingerprint="1")}
    check = Check(id="1", example_id="1", verifier="mine", arguments={"answer": "four"})
    with GradingPool(workers=1) as pool:
        assert pool.verify(verifiers, [check]) == [Verdict(value=4.0)]


def test_a_task_file_may_share_values_of_its_own_classes(tmp_path: Path) -> None:
    """What all checks share is pickled: the worker knows the file's classes before it reads that."""
    (tmp_path / "task.py").write_text(
        "from dataclasses import dataclass\nfrom judgebench.records import Verdict\n\n"
        "@dataclass\nclass Table:\n    rows: dict\n\n"
        "def rule(table, key):\n    return Verdict(value=table.rows[key])\n"
    )
    module = import_from_folder(folder_module(tmp_path / "task.py"), tmp_path / "task.py")
    verifiers = {"mine": Verifier(function=module.rule, fingerprint="1", shared=module.Table({"four": 4.0}))}
    checks = [Check(id=name, example_id="1", verifier="mine", arguments={"key": "four"}) for name in "ab"]
    with GradingPool(workers=1) as pool:
        assert pool.verify(verifiers, checks) == [Verdict(value=4.0)] * 2
