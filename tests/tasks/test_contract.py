"""Every bundled task keeps to the contract that ``judgebench tasks check`` holds a benchmark of one's own to."""

import pytest

from judgebench import tasks
from judgebench.errors import UsageError
from judgebench.tasks import TaskSpec
from judgebench.tasks.check import CHECKS, StarterTask


@pytest.fixture(scope="module", params=tasks.names())
def subject(request: pytest.FixtureRequest) -> StarterTask:
    """Each task in turn, with its starter set."""
    return StarterTask(TaskSpec(request.param))


@pytest.mark.parametrize("sentence", CHECKS)
def test_a_bundled_task_keeps_to_the_contract(subject: StarterTask, sentence: str) -> None:
    """Each sentence of the check holds."""
    CHECKS[sentence](subject)


def test_only_the_starter_set_says_that_it_is_one(subject: StarterTask) -> None:
    """The whole benchmark does not."""
    assert not subject.origin.task().starter


def test_an_unknown_version_is_refused_by_name(subject: StarterTask) -> None:
    """The versions of bundled tasks are known."""
    with pytest.raises(UsageError, match="no-such-version"):
        subject.origin.task("no-such-version")
