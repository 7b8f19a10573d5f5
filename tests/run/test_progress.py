"""What the display of a run reads, and when it says so."""

import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import judgebench
from judgebench.errors import Incomplete
from judgebench.models import Gauge
from judgebench.models.http.model import HttpChat
from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.records import Message, Request, Sampling
from judgebench.run import progress
from judgebench.run.first_verdicts import ENOUGH
from judgebench.run.progress import Progress
from judgebench.run.stages import Flow, RunningTask, under_way
from tests.patience import wait_for
from tests.processes import SUMS
from tests.servers.launch import Server


class Working:
    """As much of a model as a display looks at."""

    def __init__(self, rows: int | None, tokens: int = 0) -> None:
        self._rows, self._tokens = rows, tokens

    def gauge(self) -> Gauge | None:
        """What it is working on."""
        return None if self._rows is None else Gauge(self._rows, self._tokens)


def flowing(stage: str, *flows: tuple[object, int, int]) -> RunningTask:
    """A task, of one stage of which these models have so many items opened and closed."""
    own = [Flow(cast("Any", model), begun=0.0, opened=opened, closed=closed) for model, opened, closed in flows]
    return cast("RunningTask", SimpleNamespace(flows={"generate": [], "judge": [], stage: own}))


def test_a_model_of_two_stages_works_for_the_first_of_them_first() -> None:
    """64 requests were handed over and 16 are worked on: 10 of the older task, 6 of the next, with their share of the
    tokens.
    """
    candidate = Working(16, 320)
    stages = {
        ("old", "generate"): flowing("generate", (candidate, 100, 90)),
        ("new", "generate"): flowing("generate", (candidate, 54, 0)),
        ("next", "generate"): flowing("generate", (candidate, 5, 0)),
    }
    assert list(under_way(stages).values()) == [Gauge(10, 200), Gauge(6, 120), Gauge(0, 0)]


def test_a_jury_is_the_sum_of_its_members() -> None:
    """A member that cannot say what it works on counts with all that it was handed; one that fails does not count as
    more than that.
    """

    class Broken:
        def gauge(self) -> Gauge:
            raise RuntimeError

    stages = {
        ("a", "judge"): flowing(
            "judge", (Working(3, 30), 9, 5), (Working(None), 7, 5), (object(), 3, 3), (Broken(), 2, 1)
        )
    }
    assert under_way(stages) == {("a", "judge"): Gauge(3 + 2 + 1, 30)}


def test_the_calls_in_flight_of_an_endpoint_are_known(start_chat_server: Callable[..., Server]) -> None:
    """Those that are sent, and not those that wait for their turn."""
    server = start_chat_server(delay_ms=300)
    model = HttpChat("m", server.base_url, "m", concurrency=3)
    requests = [
        Request(messages=(Message(role="user", content=str(n)),), sampling=Sampling(max_tokens=4)) for n in range(9)
    ]
    replies = threading.Thread(target=lambda: list(model.complete(requests)))
    replies.start()
    wait_for(lambda: model.gauge().rows == 3)
    replies.join()
    assert model.gauge() == (0, 0, 0)
    model.close()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log gets its first lines with the first look."""
    monkeypatch.setattr(progress, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(progress, "TICK_SECONDS", 0.01)


def test_a_log_shows_what_is_under_way_before_anything_is_finished(
    at_once: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """While the first answers are awaited there is a line, and the total already counts the verdicts to come: one for
    each answer. The last line comes when a stage ends, and only once.
    """
    shown = threading.Event()

    def slowly(_: Request) -> Any:
        wait_for(shown.is_set)
        return reply("The sum is 4. [[8]]")

    said: list[str] = []
    with playing(ScriptedModel(slowly)) as spec:
        done = threading.Thread(
            target=lambda: judgebench.evaluate(
                spec, f"{SUMS}:judged=true", judge=spec, limit=3, out=tmp_path / "run", progress=True
            )
        )
        done.start()

        def first_line() -> bool:
            said.append(capsys.readouterr().err)
            return "sums generate: 0/3" in "".join(said) and "all: 0/6" in "".join(said)

        try:
            wait_for(first_line)
        finally:
            shown.set()
        done.join()
    text = "".join(said) + capsys.readouterr().err
    assert text.count("sums generate: 3/3") == text.count("sums judge: 3/3") == 1
    assert "sums generate: 0/3, 3 under way\n" in text


def judged_by_mumbling(folder: Path, task: str, said: Callable[[int], str], **more: Any) -> str:
    """How a run ends whose judge says such texts, by their number."""
    asked = count(1)
    with (
        playing(ScriptedModel(lambda _: said(next(asked)))) as judge,
        playing(ScriptedModel(lambda _: "4", name="m")) as model,
    ):
        try:
            judgebench.evaluate(model, task, judge=judge, reask=0, limit=5, out=folder / "run", **more)
        except Incomplete as error:
            return str(error)
    return ""


def rubric(folder: Path) -> str:
    """A benchmark that is a file: its judge is asked for yes or no."""
    (folder / "q.jsonl").write_text("".join(f'{{"instruction": "say {n}"}}\n' for n in range(5)))
    (folder / "mine.toml").write_text('kind = "rubric"\nprompts = "q.jsonl"\n[[rubric.criteria]]\ntext = "kind"\n')
    return str(folder / "mine.toml")


def test_a_judge_whose_first_verdicts_are_all_unread_is_noted_while_it_runs_and_at_the_end(
    at_once: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once each, with the line of a benchmark's file that has the probabilities of its labels read."""
    seen: list[str] = []

    def noted() -> bool:
        seen.append(capsys.readouterr().err)
        return "3 of 3 verdicts of scripted unread" in "".join(seen)

    def mumbled(number: int) -> str:
        if number > ENOUGH:
            wait_for(noted)
        return "Well."

    end = judged_by_mumbling(tmp_path, rubric(tmp_path), mumbled, progress=True)
    noted()
    assert "".join(seen).count("this judge does not keep to the form") == 1
    assert end.count("5 of 5 verdicts of scripted unread: this judge does not keep to the form; `reads = ") == 1


def test_a_task_of_python_is_told_of_other_judges_and_one_verdict_that_is_read_says_enough(tmp_path: Path) -> None:
    """The rest are then single replies, for which there is --reask."""
    end = judged_by_mumbling(tmp_path, f"{SUMS}:judged=true", lambda _: "Well.", progress=False)
    assert "5 of 5 verdicts of scripted unread" in end
    assert "take another judge" in end
    (tmp_path / "b").mkdir()
    said = {2: "It is. [[yes]]"}
    end = judged_by_mumbling(tmp_path / "b", rubric(tmp_path), lambda n: said.get(n, "Well."), progress=False)
    assert "does not keep to the form" not in end
    assert "unread" in end


def test_a_judge_without_probabilities_is_told_how_its_words_are_read(tmp_path: Path) -> None:
    """A prompt of one's own would not help it."""
    task = Path(rubric(tmp_path))
    task.write_text(task.read_text().replace("[[rubric", 'reads = "logprob"\n[[rubric', 1))
    end = judged_by_mumbling(tmp_path, str(task), lambda _: "yes", progress=False)
    assert "carry no log-probabilities" in end
    assert '`read = "label"`' in end


def test_a_display_that_fails_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong while it draws, the work goes on."""
    drawn = threading.Event()

    def broken(_: object) -> Any:
        drawn.set()
        raise RuntimeError("no screen")

    monkeypatch.setattr(progress, "TICK_SECONDS", 0.01)
    with Progress(shown=True) as display, monkeypatch.context() as patch:
        patch.setattr(progress.StageWatch, "look", broken)
        wait_for(drawn.is_set)
        wait_for(lambda: not display._thread.is_alive())
