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


@pytest.mark.parametrize(
    ("given", "label"),
    [
        ("alpacaeval:order=seeded,seed=0,upstream_compat=false", "alpacaeval@2"),
        ("alpacaeval:seed=1,upstream_compat=false", "alpacaeval@2:seed=1"),
        ("arenahard:category=all,style=both,weight=3,pipeline=current,first_game_only=false", "arenahard@v2.0"),
        ("arenahard@v0.1:pipeline=legacy,judge=gpt-4-1106-preview", "arenahard@v0.1"),
        ("arenahard@v0.1:pipeline=current", "arenahard@v0.1:pipeline=current"),
        ("math:prompt=chat", "math@500"),
        ("mtbench:mode=single,strict=false,references=gpt-4", "mtbench@1"),
        ("wildbench:metrics=both,reward_k=500,judge_mode=batch,upstream_compat=false", "wildbench@v2.0625"),
    ],
)
def test_an_option_that_is_given_its_default_makes_no_other_protocol(given: str, label: str) -> None:
    """Its label, and so its protocol's hash, is that of the task without it."""
    (spec,) = tasks.parse_specs(given)
    assert tasks.load(spec)[0].label == label
