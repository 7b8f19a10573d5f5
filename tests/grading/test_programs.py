"""Verifiers that run programs, without a benchmark around them."""

import secrets
import time
from typing import Any

import pytest

from judgebench.grading.pool import GradingPool, Verifier
from judgebench.grading.programs import Command, Sandbox, run_command
from judgebench.records import Check, Verdict
from tests.grading.test_sandbox import left_behind
from tests.patience import wait_for
from tests.sandboxes import needs_sandbox

pytestmark = needs_sandbox
SHARED = Command(sandbox=Sandbox(seconds=2), words=("python3", "answer.py"))


def verdict(*parts: str, **more: Any) -> Verdict:
    """Run a program, given in the parts between which the token stands."""
    return run_command(SHARED, {"answer.py": parts}, **more)


@pytest.mark.parametrize(
    ("code", "label"),
    [
        ("print('{}')", "passed"),
        ("print('more')\nprint('{}')", "passed"),
        ("print('{}')\nprint('more')", "ended early"),
        ("import os\nos._exit(0)\nprint('{}')", "ended early"),
        ("print('{}')\nraise SystemExit(1)", "failed"),
        ("import atexit, os\natexit.register(lambda: os._exit(0))\n1 / 0\nprint('{}')", "ended early"),
    ],
)
def test_the_token(code: str, label: str) -> None:
    """It must be the last line of the output, and the exit status 0."""
    assert verdict(*code.split("{}")).label == label


def test_the_token_is_another_one_each_time() -> None:
    """And it is not kept."""
    shown = [verdict("print('said', '", "')\nprint('", "')") for _ in range(2)]
    assert [one.label for one in shown] == ["passed", "passed"]
    first, second = (str(one.details["stdout"]) for one in shown)
    assert first != second


@pytest.mark.parametrize(
    ("written", "expected", "label"),
    [("a\\nb\\n", "a\nb", "passed"), ("a  \\nb\\n\\n", "a\nb\n", "passed"), ("a\\n\\nb", "a\nb", "other output")],
)
def test_outputs_are_compared_by_line(written: str, expected: str, label: str) -> None:
    """White space at the end of a line, and empty lines at the end, do not count."""
    assert verdict(f"print('{written}', end='')", expected=expected).label == label


def test_the_end_of_an_output_is_kept() -> None:
    """Two thousand characters of it."""
    found = str(verdict("print('x' * 5000 + 'end')").details["stdout"])
    assert len(found) == 2000
    assert found.endswith("end\n")


def test_many_at_once() -> None:
    """The workers of a pool run programs side by side; one that takes too long is no matter to the others."""
    verifier = Verifier(
        function=run_command,
        fingerprint="mine",
        shared=Command(sandbox=Sandbox(seconds=1), words=("python3", "answer.py")),
        runs_programs="sandbox",
        cpu_seconds=100,
    )
    codes = ["x = 1", "while True: pass", "1 / 0"] * 4
    checks = [
        Check(id=str(n), example_id=str(n), verifier="program", arguments={"files": {"answer.py": [code]}})
        for n, code in enumerate(codes)
    ]
    with GradingPool(2) as pool:
        found = pool.verify({"program": verifier}, checks)
    assert [one.label for one in found] == ["passed", "over time", "failed"] * 4


def test_a_pool_that_is_closed_leaves_nothing_behind() -> None:
    """At whatever moment: a sandbox that is being made goes with the worker that makes it."""
    name = f"answer_{secrets.token_hex(8)}.py"
    verifier = Verifier(
        function=run_command,
        fingerprint="mine",
        shared=Command(sandbox=Sandbox(seconds=60), words=("python3", name)),
        runs_programs="sandbox",
        cpu_seconds=100,
    )
    for moment in range(12):
        checks = [
            Check(id=str(n), example_id=str(n), verifier="program", arguments={"files": {name: ["x = 1"]}})
            for n in range(40)
        ]
        pool = GradingPool(2)
        pool.begin({"program": verifier}, checks)
        wait_for(lambda: left_behind(name))
        time.sleep(moment / 200)
        pool.close()
    wait_for(lambda: not left_behind(name))
