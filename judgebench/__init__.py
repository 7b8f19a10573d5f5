"""judgebench: evaluation of language models whose numbers can be printed. See README.md.

>>> import judgebench
>>> judgebench.load_run("runs/mine").score("exact_match_strict").value
75.0
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judgebench.api import Comparison, Gate, Leaderboard, Run, compare, evaluate, gate, leaderboard, load_run
    from judgebench.errors import JudgebenchError

__all__ = [
    "Comparison",
    "Gate",
    "JudgebenchError",
    "Leaderboard",
    "Run",
    "__version__",
    "compare",
    "evaluate",
    "gate",
    "leaderboard",
    "load_run",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """The public names are loaded when they are asked for: the command line needs none of them."""
    if name not in __all__:
        raise AttributeError(f"module 'judgebench' has no attribute {name!r}")
    from judgebench import api, errors

    return getattr(errors if name == "JudgebenchError" else api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
