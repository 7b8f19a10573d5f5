"""Several engines as one model: the same replies, handed out by need, none lost when an actor dies."""

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from judgebench.errors import ModelError, UsageError
from judgebench.models import OpenSettings
from judgebench.models.local.hf import HfModel
from judgebench.models.local.ray_pool import WINDOW, RayPool
from judgebench.models.local.tiny import tiny_checkpoint
from judgebench.models.opening import open_model, parse_model
from judgebench.models.scripted import ScriptedModel
from judgebench.records import Message, Request, Sampling
from judgebench.run.folder import Results, RunFolder
from judgebench.run.runner import Runner
from judgebench.run.settings import Settings
from judgebench.run.stages import RunningTask
from tests.ray_nodes import actors_alive, two_nodes

pytest.importorskip("ray")
pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, of its servers and sockets


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hand-wired checkpoint."""
    return tiny_checkpoint(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster of two nodes on this machine."""
    with two_nodes() as cluster:
        yield cluster


def requests(n: int) -> list[Request]:
    """Questions that the tiny model answers in different ways."""
    verbs = ("Explain", "List", "Describe", "Write", "Give", "Why is it", "Hm,")
    return [
        Request(
            messages=(Message(role="user", content=f"{verbs[i % len(verbs)]} number {i}" + " and so on" * (i % 13)),),
            sampling=Sampling(temperature=0.0, max_tokens=16),
        )
        for i in range(n)
    ]


def test_two_nodes_give_the_replies_of_one_process(nodes: Any, checkpoint: Path) -> None:
    """Greedy replies are equal, name and identity too, so the call store knows them."""
    alone, asked = HfModel(checkpoint), requests(60)
    pool = RayPool(partial(HfModel, checkpoint), replicas=2)
    try:
        assert (pool.name, pool.identity, pool.local) == (alone.name, alone.identity, True)
        assert pool.render(asked[0]) == alone.render(asked[0])
        places = {row["node_id"] for row in actors_alive()}
        assert len(places) == 2
        found = dict(pool.complete(iter(asked)))
        expected = dict(alone.complete(iter(asked)))
        assert {i: r.text for i, r in found.items()} == {i: r.text for i, r in expected.items()}
        assert not pool.retries
    finally:
        pool.close()


def test_an_actor_that_is_killed_loses_nothing(nodes: Any, checkpoint: Path) -> None:
    """Its requests are asked elsewhere; every request is answered exactly once."""
    asked = requests(200)
    pool = RayPool(partial(HfModel, checkpoint), replicas=2)
    try:
        found: list[int] = []
        for index, completion in pool.complete(iter(asked)):
            assert not completion.error
            found.append(index)
            if len(found) == 40:
                os.kill(actors_alive()[0]["pid"], 9)
        assert sorted(found) == list(range(200))
        assert 0 < pool.retries["engine lost"] <= 64
    finally:
        pool.close()


def test_a_run_whose_actor_is_killed_ends_as_one_in_this_process(nodes: Any, tmp_path: Path) -> None:
    """Every answer and number is equal, each item was asked or known once, and the manifest says how many requests died
    with the engine and were asked of another: its window at most.
    """
    tasks, settings = ("alpacaeval", "mtbench", "ifeval"), {"model": "builtin:tiny", "judges": ("builtin:tiny",)}

    def run(name: str, observer: Any, **more: Any) -> tuple[Results, RunFolder]:
        given = Settings(tasks=",".join(tasks), starter=True, out=tmp_path / name, **settings, **more)
        return Runner(given, observer).evaluate(), RunFolder(tmp_path / name)

    killed: list[int] = []

    def kill_one(task_run: RunningTask, stage: str) -> None:
        if task_run.count(stage).asked >= 3 and not killed:
            killed.append(actors_alive()[0]["pid"])
            os.kill(killed[0], 9)

    # A row at a time, so that many are on their way when the actor dies.
    results, folder = run("pooled", kill_one, replicas=2, model_args={"batch_size": "1"})
    expected, alone = run("alone", lambda *_: None)
    assert killed
    assert results.scores == expected.scores
    for task in tasks:
        rows, others = ({g.example_id: g.outputs for g in at.task(task).generations()} for at in (folder, alone))
        assert rows == others
    (session,) = folder.require_manifest().sessions
    stages = [counts["generate"] for counts in session.counts.values()]
    assert sum(stage.failed for stage in stages) == 0
    assert sum(stage.asked + stage.cached for stage in stages) == sum(stage.total for stage in stages)
    assert 0 < session.retries["builtin:tiny"]["engine lost"] <= WINDOW


def die(request: Request) -> str:
    """End the process of the model."""
    os._exit(1)


def test_a_pool_whose_actors_all_die_gives_up(nodes: Any) -> None:
    """Instead of starting new ones for ever."""
    pool = RayPool(partial(ScriptedModel, die, name="dying", local=True), replicas=1)
    try:
        with pytest.raises(ModelError, match="engine of dying failed"):
            list(pool.complete(iter(requests(3))))
    finally:
        pool.close()


def test_a_checkpoint_that_cannot_be_opened_is_said_as_by_one_process(nodes: Any, tmp_path: Path) -> None:
    """The actor's own message, without Ray's traceback around it."""
    with pytest.raises(UsageError, match=r"has no config\.json"):
        RayPool(partial(HfModel, tmp_path), replicas=2)


def test_a_local_judge_has_replicas_as_an_argument(nodes: Any, checkpoint: Path) -> None:
    """``--judge-arg replicas=2``: the flag of that name is the candidate's."""
    pool = open_model(parse_model(f"hf:{checkpoint}")[0], OpenSettings(arguments={"replicas": "2"}))
    try:
        assert isinstance(pool, RayPool)
        assert len(actors_alive()) == 2
    finally:
        pool.close()


def test_more_replicas_than_there_is_room_for_are_refused(nodes: Any, checkpoint: Path) -> None:
    """Rather than waiting for ever."""
    with pytest.raises(UsageError, match=r"--replicas 9 needs 9 CPUs.*the cluster has 4"):
        RayPool(partial(HfModel, checkpoint), replicas=9)


def test_requests_that_come_late_are_answered(nodes: Any, checkpoint: Path) -> None:
    """As a judge's do: the iterable blocks until the first reply is there."""
    pool = RayPool(partial(HfModel, checkpoint), replicas=2)
    seen: list[int] = []

    def late() -> Iterator[Request]:
        first, *rest = requests(5)
        yield first
        while not seen:
            time.sleep(0.01)
        yield from rest

    try:
        for index, _ in pool.complete(late()):
            seen.append(index)
        assert sorted(seen) == [0, 1, 2, 3, 4]
    finally:
        pool.close()
