"""The public suites by name."""

from collections.abc import Mapping

from judgebench.auditing import (
    alpaca_human,
    judgebench_pairs,
    llmbar,
    mtbench_human,
    pandalm,
    rewardbench,
    rewardbench_2,
)
from judgebench.auditing.suite import Suite
from judgebench.errors import UsageError

SUITES: Mapping[str, Suite] = {
    suite.name: suite
    for suite in (
        mtbench_human.SUITE,
        llmbar.SUITE,
        judgebench_pairs.SUITE,
        pandalm.SUITE,
        rewardbench.SUITE,
        rewardbench_2.SUITE,
        alpaca_human.SUITE,
    )
}


def get_suite(name: str) -> Suite:
    """The suite of this name. Raises :class:`UsageError`, which names those that there are."""
    if name not in SUITES:
        raise UsageError(f"no suite is called {name[:60]!r}; there are {', '.join(SUITES)}")
    return SUITES[name]
