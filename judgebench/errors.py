"""Every exception that judgebench raises on purpose, and the exit code each one becomes.

    JudgebenchError           2
    ├── UsageError            2   a flag, task, model or input file that cannot be used as given
    │   ├── RecordError       2   a line of a file that is not what it should be (names file:line)
    │   └── SourceMissing     2   an official file is not here and may not be downloaded
    ├── Incomplete            4   too many failed or unread examples; what is there is kept
    ├── BudgetExceeded        5   the spending limit is reached; the run can be resumed
    ├── ModelError            6   a candidate, judge or file host cannot be reached or refuses us
    ├── HashMismatch          7   an official file differs from its pinned hash
    ├── Interrupted         130   somebody stopped the run, or (143) a scheduler did; it can be resumed
    └── SeveralFailed             of several runs in one command, some; the code of the first

One bad reply is a row with an ``error`` field, never an exception; an exception is a broken set-up.
Messages are one paragraph: what was wanted, what was found, what to do. Whatever else is raised ends a command with 2,
too, as a fault of judgebench's own; 1 is the gate's FAIL and nothing else.
"""

from collections.abc import Sequence
from pathlib import Path


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


class RecordError(UsageError):
    """A line or row of a file is broken; ``path`` and ``line`` say where.

    >>> str(RecordError("answers.jsonl", 3, "the id is missing"))
    'answers.jsonl:3: the id is missing'
    """

    def __init__(self, path: Path | str, line: int, problem: str) -> None:
        self.path, self.line, self.problem = str(path), line, problem
        super().__init__(f"{path}:{line}: {problem}")


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
    """The bytes of an official file are not the pinned ones.

    >>> HashMismatch("the questions are other bytes").exit_code
    7
    """

    exit_code = 7


class Terminated(KeyboardInterrupt):
    """SIGTERM, as schedulers send it: the same as Ctrl-C, but for the exit code."""


class Interrupted(JudgebenchError):
    """A run was stopped from outside; what it has is kept."""

    def __init__(self, kept: str, cause: KeyboardInterrupt) -> None:
        self.exit_code = 143 if isinstance(cause, Terminated) else 130
        how = "terminated" if isinstance(cause, Terminated) else "interrupted"
        super().__init__(f"{how}; {kept}. Start the same command again: it goes on where it was")


class SeveralFailed(JudgebenchError):
    """Some of the runs of one command failed; the others were made."""

    def __init__(self, failures: Sequence[tuple[str, JudgebenchError]], of: int) -> None:
        self.exit_code = failures[0][1].exit_code
        listed = "; ".join(f"{name}: {str(error).rstrip('.')}" for name, error in failures)
        super().__init__(f"{len(failures)} of {of} runs failed. {listed}")
