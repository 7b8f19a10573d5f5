"""Every exception that judgebench raises on purpose, with the exit code that it becomes.

    JudgebenchError           2
    ├── UsageError            2   a flag, task, model or input file cannot be used as it is
    │   ├── RecordError       2   a line of a file is wrong (names file:line)
    │   │   └── ShapeError    2   it is not of the format at all, whatever the benchmark asks
    │   └── SourceMissing     2   an official file is missing and may not be downloaded
    ├── Incomplete            4   too many failed or unread examples; the results are kept
    ├── BudgetExceeded        5   the spending limit is reached; the run can be resumed
    ├── ModelError            6   a candidate, judge or file host is unreachable or rejects us
    ├── HashMismatch          7   an official file differs from its pinned hash
    ├── Interrupted         130   the user (130) or a scheduler (143) stopped the run; it can be resumed
    └── SeveralFailed             some of the runs of one command failed; code of the first failure

A bad reply is a row with an ``error`` field, never an exception: an exception means that the set-up is broken.
A message is one paragraph: what was wanted, what was found, what to do. Any other exception is a bug of judgebench and
also ends the command with 2; exit code 1 means the gate's FAIL and nothing else.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

DISTRIBUTION = "judgebench"
"""What pip calls this program: the name in pyproject.toml, which whoever publishes it under another changes in both."""


def installing(*extras: str) -> str:
    """The command that adds extras to an installed judgebench.

    >>> installing("local")
    "pip install 'judgebench[local]'"
    """
    return f"pip install '{DISTRIBUTION}[{','.join(extras)}]'"


class JudgebenchError(Exception):
    """Base of all errors that end a command with a message instead of a traceback.

    >>> UsageError("no such task").exit_code
    2
    """

    exit_code = 2


class UsageError(JudgebenchError):
    """The command, or a file it was given, cannot be used.

    >>> isinstance(UsageError("no such task"), JudgebenchError)
    True
    """


class UnfilledPrompt(UsageError):
    """A prompt that cannot be filled with the texts of a case, or says nothing with them. Its case fails alone.

    >>> isinstance(UnfilledPrompt("it would have more than 2,000,000 characters"), UsageError)
    True
    """


class RecordError(UsageError):
    """A line or row of a file is wrong; ``path`` and ``line`` say where.

    >>> str(RecordError("answers.jsonl", 3, "the id is missing"))
    'answers.jsonl:3: the id is missing'
    """

    def __init__(self, path: Path | str, line: int, problem: str) -> None:
        self.path, self.line, self.problem = str(path), line, problem
        super().__init__(f"{path}:{line}: {problem}")


class ShapeError(RecordError):
    """A row is not of the format at all, whatever the benchmark asks: a field is missing or of the wrong type.

    >>> isinstance(ShapeError("answers.jsonl", 3, "the id is missing"), RecordError)
    True
    """


class SourceMissing(UsageError):
    """An official file was found neither in a mirror nor in the cache, and no download is allowed.

    >>> isinstance(SourceMissing("the questions are not here"), UsageError)
    True
    """


class Incomplete(JudgebenchError):
    """The run ended, but more examples failed or stayed unread than the limit allows.

    >>> Incomplete("2 of 100 answers failed").exit_code
    4
    """

    exit_code = 4


class BudgetExceeded(JudgebenchError):
    """Another call could take the run over its spending limit.

    >>> BudgetExceeded("5 USD are spent").exit_code
    5
    """

    exit_code = 5


class ModelError(JudgebenchError):
    """A model or host cannot be opened, reached or authenticated; no further request makes sense.

    >>> ModelError("nobody listens at that address").exit_code
    6
    """

    exit_code = 6


class HashMismatch(JudgebenchError):
    """The bytes of an official file do not match its pinned hash.

    >>> HashMismatch("the questions are other bytes").exit_code
    7
    """

    exit_code = 7


class Terminated(KeyboardInterrupt):
    """SIGTERM, as schedulers send it, or SIGHUP, as a closed terminal does. It is handled like Ctrl-C, except for the
    exit code.
    """


class Interrupted(JudgebenchError):
    """A run was stopped from outside; everything finished so far is kept."""

    def __init__(self, kept: str, cause: KeyboardInterrupt, command: str) -> None:
        """``kept`` says what is finished, and ``command``, which stands on a line of its own, goes on from there."""
        self.exit_code = 143 if isinstance(cause, Terminated) else 130
        how = "terminated" if isinstance(cause, Terminated) else "interrupted"
        self.command = command
        super().__init__(f"{how}; {kept}. The same command goes on where it was:")


class SeveralFailed(JudgebenchError):
    """Some of the runs of one command failed; the others were completed. What several failed by is said once.

    >>> gone = UsageError("the questions are not here")
    >>> str(SeveralFailed([("a", gone), ("b", gone), ("c", UsageError("c is no model"))], of=4))
    '3 of 4 runs failed. a, b: the questions are not here; c: c is no model'
    """

    def __init__(self, failures: Sequence[tuple[str, JudgebenchError]], of: int) -> None:
        self.exit_code = failures[0][1].exit_code
        by_reason: dict[str, list[str]] = {}
        for name, error in failures:
            by_reason.setdefault(str(error).rstrip("."), []).append(name)
        listed = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items())
        super().__init__(f"{len(failures)} of {of} runs failed. {listed}")


def wanted(convert: Callable[[str], Any], error: ValueError) -> str:
    """Say what a conversion of a user's text wanted. Python's own errors of numbers name functions instead.

    >>> wanted(float, ValueError("could not convert string to float: 'soon'"))
    'expected a number'
    """
    numbers: dict[object, str] = {int: "expected a whole number", float: "expected a number"}
    return numbers.get(convert, str(error))


def first_line(error: BaseException) -> str:
    """An exception in one line, without its last full stop."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
