"""Verifiers that run programs: a command on an answer's file, or a function of a package.

Both run in the sandbox. A verdict says how the program ended, and keeps its exit status and the end of its output.
"""

import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from judgebench.grading.sandbox import LONGEST_WAIT, START_SECONDS, TIMEOUT, Limits, Outcome, Program, run
from judgebench.records import Verdict

PASSED, FAILED, ERROR = "passed", "failed", "error"
NOT_FINISHED, OTHER_OUTPUT = "ended early", "other output"
KEPT_CHARACTERS = 2000
"""Of each output, its end is kept."""
RUNNER = "function_runner.py"
REPORT = "{report}"


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """Where programs run, and what they may use."""

    sandboxed: bool = True
    seconds: float = 5.0
    memory_mb: int = 512
    processes: int = 32
    output_kb: int = 1024
    disk_mb: int = 64
    readable: tuple[str, ...] = ()

    @property
    def limits(self) -> Limits:
        """The same for the program."""
        return Limits(
            seconds=self.seconds,
            memory_bytes=self.memory_mb * 2**20,
            processes=self.processes,
            output_bytes=self.output_kb * 2**10,
            disk_bytes=self.disk_mb * 2**20,
        )

    @property
    def longest(self) -> float:
        """How many seconds one program may take in all."""
        return LONGEST_WAIT * self.seconds + START_SECONDS


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command that decides about an answer by its exit status."""

    sandbox: Sandbox
    words: tuple[str, ...]
    files: dict[str, bytes] = {}
    """Files that each run has beside the answer's."""


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function ``package.module:name`` that says true, false or a number from 0 to 1 of an answer and its item."""

    sandbox: Sandbox
    name: str
    place: str | None = None
    """Where its package lies: a folder, or its only file."""


def run_command(
    shared: Command, files: Mapping[str, Sequence[str]], stdin: str = "", expected: str | None = None
) -> Verdict:
    """Run the command on an answer.

    ``files`` are texts by name, in parts between which a word is put that changes with every run. If there is such a
    place, the program must write that word as its last line: an answer that ends the program early does not pass.
    """
    word = secrets.token_hex(16)
    texts = {name: word.join(parts).encode(errors="replace") for name, parts in files.items()}
    program = Program(
        command=shared.words,
        files={**shared.files, **texts},
        stdin=stdin.encode(errors="replace"),
        readable=shared.sandbox.readable,
    )
    outcome = run(program, shared.sandbox.limits, sandboxed=shared.sandbox.sandboxed)
    if outcome.failure or outcome.exit_status is None:
        return _not_ended(outcome)
    label, out = PASSED if outcome.exit_status == 0 else FAILED, _text(outcome.stdout)
    if label == PASSED and any(len(parts) > 1 for parts in files.values()):
        out, found = _without_last_line(out, word)
        label = PASSED if found else NOT_FINISHED
    if label == PASSED and expected is not None and _lines(out) != _lines(expected):
        label = OTHER_OUTPUT
    return _verdict(outcome, label, float(label == PASSED), stdout=out[-KEPT_CHARACTERS:])


def run_function(shared: Function, answer: str, item: dict[str, Any]) -> Verdict:
    """Call the function on an answer and its item."""
    word, own = secrets.token_hex(16), shared.place
    paths = [str(Path(own).parent)] if own else []
    given = {
        "function": shared.name,
        "answer": answer,
        "item": item,
        "word": word,
        "place": own,
        "paths": [*paths, *_packages()],
    }
    program = Program(
        command=(sys.executable, "-sP", RUNNER, REPORT),
        files={RUNNER: Path(__file__).with_name(RUNNER).read_bytes()},
        stdin=json.dumps(given).encode(errors="replace"),
        readable=(*shared.sandbox.readable, *([own] if own else [])),
        reports=True,
    )
    outcome = run(program, shared.sandbox.limits, sandboxed=shared.sandbox.sandboxed)
    if outcome.failure or outcome.exit_status is None:
        return _not_ended(outcome)
    said = _report(outcome.report, word)
    if said is None:
        return _verdict(outcome, NOT_FINISHED, 0.0)
    if "absent" in said:
        return Verdict(value=None, error=f"{shared.name} cannot be called: {said['absent']}")
    if "broken" in said:  # that is the function's fault, and no answer is wrong by it
        return _verdict(outcome, ERROR, None, problem=f"{shared.name} {said['broken']}")
    if "error" in said:
        return _verdict(outcome, ERROR, 0.0, error=str(said["error"]))
    value = float(said["value"])
    return _verdict(outcome, PASSED if value == 1 else FAILED, value)


def _packages() -> list[str]:
    return [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]


def _report(report: bytes, word: str) -> dict[str, Any] | None:
    """What the function said; whatever else wrote there does not know the word."""
    for line in report.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and secrets.compare_digest(str(said.get("word")).encode(), word.encode()):
            return said
    return None


def _not_ended(outcome: Outcome) -> Verdict:
    """The verdict on a program that a limit ended, or that was never started."""
    if outcome.failure:
        return Verdict(value=None, error=f"the program was not run: {outcome.failure}"[:500])
    return _verdict(outcome, outcome.ended or TIMEOUT, 0.0)


def _verdict(outcome: Outcome, label: str, value: float | None, *, problem: str | None = None, **more: Any) -> Verdict:
    details = {
        "exit_status": outcome.exit_status,
        "seconds": round(outcome.seconds, 2),
        "stdout": _text(outcome.stdout)[-KEPT_CHARACTERS:],
        "stderr": _text(outcome.stderr)[-KEPT_CHARACTERS:],
        **more,
    }
    kept = {name: found for name, found in details.items() if found != ""}
    return Verdict(value=value, label=label, error=problem, details=kept)


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _lines(text: str) -> list[str]:
    """The lines of an output, without white space at their ends or empty lines at the end."""
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _without_last_line(text: str, word: str) -> tuple[str, bool]:
    """An output without its last line, and whether that was the word."""
    rest, _, last = text.rstrip().rpartition("\n")
    return (rest, True) if last.strip() == word else (text, False)
