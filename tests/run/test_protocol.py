"""The fingerprints change with what they stand for, and with nothing else."""

import dataclasses
from typing import Any

import pytest

from judgebench import tasks
from judgebench.codec import canonical_hash
from judgebench.models.scripted import ScriptedModel
from judgebench.records import Sampling, SourceUsed
from judgebench.run.loading import LoadedTask
from judgebench.run.protocol import differing, inputs, judge_identity, protocol
from judgebench.task import Task, TaskData
from judgebench.tasks import TaskSpec
from judgebench.thinking import AUTO


def named(name: str, identity: str, *, local: bool) -> ScriptedModel:
    """A model that is only a name and an identity: nothing is asked here."""
    return ScriptedModel({}, name=name, identity=identity, local=local)


SERVED = named("judge-1", "http://here:1#judge-1", local=False)
SOURCE = SourceUsed(name="questions", sha256="ab" * 32, origin="mirror")


def alpacaeval(**options: str) -> tuple[Task, TaskData]:
    """The starter set: a real task that needs no official file."""
    task, _ = tasks.load(TaskSpec("alpacaeval", None, options), starter=True)

    def fetch(name: str) -> bytes:
        raise AssertionError(name)

    return task, task.load(fetch)


def fields(**changes: Any) -> dict[str, Any]:
    """The protocol of the starter set with a served judge, with changes."""
    task, data = changes.pop("task", None) or alpacaeval()
    judges = changes.pop("judges", {name: [(judge, SERVED)] for name, judge in data.judges.items()})
    data = dataclasses.replace(data, examples=changes.pop("examples", data.examples))
    return protocol(LoadedTask(task=task, data=data, **{"sources": [SOURCE], **changes}), judges)


def judged_by(model: ScriptedModel | str) -> dict[str, Any]:
    """The judges of the starter set, played by a model."""
    return {name: [(judge, model)] for name, judge in alpacaeval()[1].judges.items()}


def test_the_same_protocol_hashes_the_same() -> None:
    """Two runs of one set-up agree, in whatever order their examples and options came."""
    examples = alpacaeval()[1].examples
    assert canonical_hash(fields()) == canonical_hash(fields(examples=examples[::-1]))


def test_where_a_file_or_a_served_judge_lies_is_no_part_of_it() -> None:
    """A mirror, the cache and a download give the same bytes, and one model may be served in two places."""
    elsewhere = named("judge-1", "http://there:2#judge-1", local=False)
    same = fields(
        sources=[SourceUsed(name="questions", sha256="ab" * 32, origin="download")], judges=judged_by(elsewhere)
    )
    assert differing(fields(), same) == []


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"task": alpacaeval(order="both")}, ["options.order"]),
        ({"examples": alpacaeval()[1].examples[:5]}, ["examples.ids", "examples.n"]),
        ({"sources": [SourceUsed(name="questions", sha256="cd" * 32, origin="mirror")]}, ["sources.questions"]),
        (
            {"sources": [SourceUsed(name="questions", sha256="ab" * 32, origin="mirror", standin=True)]},
            ["sources.questions"],
        ),
        ({"baselines": {"other": "sha256:00"}}, ["baselines.other"]),
        ({"judges": judged_by("judge-2")}, ["judges.house_pairwise_label.model"]),
    ],
)
def test_what_changes_the_protocol_is_named(changes: dict[str, Any], names: list[str]) -> None:
    """Options, examples, bytes of the sources, a stand-in, another baseline or judge: each shows by its name."""
    assert differing(fields(), fields(**changes)) == names


def test_the_judge_s_sampling_and_rule_are_part_of_it() -> None:
    """Another temperature of the judge, or labels scored by likelihood, is another protocol."""
    judge = next(iter(alpacaeval()[1].judges.values()))
    warmer = dataclasses.replace(judge, sampling=Sampling(temperature=0.5))  # type: ignore[type-var]
    for other in (warmer, judge.constrained()):
        found = differing(fields(), fields(judges={judge.name: [(other, SERVED)]}))
        assert found
        assert all(name.startswith("judges.house_pairwise_label.prompt_and_rule.sampling") for name in found)


def test_a_local_judge_is_its_weights() -> None:
    """A folder's name says nothing: two checkpoints of one name are two judges, one checkpoint in two places is one."""
    here, there = named("ckpt", "hf:sha256:1", local=True), named("copy", "hf:sha256:1", local=True)
    assert judge_identity(here) == judge_identity(there) != judge_identity(named("ckpt", "hf:sha256:2", local=True))
    assert judge_identity("gpt-4") == "gpt-4"


def test_the_candidate_is_an_input_and_no_part_of_the_protocol() -> None:
    """Two candidates share a protocol and differ in their inputs; so with sampling and system message."""
    base = inputs(fields(), "file:1", Sampling(temperature=0.0), None, AUTO)
    assert differing(base, inputs(fields(), "file:2", Sampling(temperature=0.0), None, AUTO)) == ["candidate"]
    assert differing(base, inputs(fields(), "file:1", Sampling(temperature=0.7), None, AUTO)) == [
        "sampling.temperature"
    ]
    assert differing(base, inputs(fields(), "file:1", Sampling(temperature=0.0), "Be brief.", AUTO)) == ["system"]


def test_differing_names_what_only_one_side_has() -> None:
    """A missing field differs; a mapping beside a plain value is named as a whole."""
    assert differing({"a": 1}, {"b": 1}) == ["a", "b"]
    assert differing({"a": {"b": 1}}, {"a": None}) == ["a"]
    assert differing({"a": {"b": {"c": [1]}}}, {"a": {"b": {"c": [2]}}}) == ["a.b.c"]
