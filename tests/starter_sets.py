"""The starter sets of all benchmarks, and what the built-in tiny model makes of one of them."""

from judgebench import tasks
from judgebench.judges.orders import seeded_switch
from judgebench.models.local.tiny import read_programs
from judgebench.tasks import TaskSpec

TASKS = ",".join(tasks.names())


def expected_win_rate() -> float:
    """AlpacaEval's starter win rate on paper: the judge's odds of the first letter, in the seeded orders."""
    task, _ = tasks.load(TaskSpec("alpacaeval"), starter=True)
    (odds,) = (program.texts["A"] for program in read_programs() if program.name == "judge-letter")
    first = [
        seeded_switch("is_switched_outputs" + example.instruction) for example in task.load(lambda _: b"").examples
    ]
    return 100 * sum(odds if candidate_first else 1 - odds for candidate_first in first) / len(first)
