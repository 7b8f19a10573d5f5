"""judgebench evaluates language models, with numbers that a paper can print. See README.md.

>>> import judgebench
>>> judgebench.load_run("runs/mine").score("exact_match_strict").value
75.0
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judgebench import stats, tasks
    from judgebench.api import *
    from judgebench.errors import *

__all__ = [
    "BudgetExceeded",
    "Comparison",
    "Explanation",
    "Gate",
    "HashMismatch",
    "Incomplete",
    "JudgebenchError",
    "Leaderboard",
    "ModelError",
    "Plan",
    "RecordError",
    "Report",
    "Run",
    "SelfTest",
    "ShapeError",
    "SourceMissing",
    "UsageError",
    "__version__",
    "audit_judge",
    "compare",
    "compare_judges",
    "estimate",
    "evaluate",
    "explain",
    "export",
    "gate",
    "import_run",
    "leaderboard",
    "load_run",
    "make_report",
    "plan",
    "rate_models",
    "score",
    "selftest",
    "stats",
    "tasks",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load the public names when they are asked for: the command line needs none of them."""
    if name not in __all__:
        raise AttributeError(f"module 'judgebench' has no attribute {name!r}")
    if name in ("stats", "tasks"):
        return import_module(f"judgebench.{name}")
    errors = import_module("judgebench.errors")
    return getattr(errors, name) if hasattr(errors, name) else getattr(import_module("judgebench.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
