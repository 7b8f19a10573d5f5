"""The bench of a run: every model it opens, behind the call store and the meter, and the judges they play."""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from judgebench.cache import CallStore, default_store_path
from judgebench.errors import UsageError
from judgebench.judges import Judge
from judgebench.models import Model
from judgebench.models.opening import ModelSpec, OpenSettings, open_model, parse_model, price_of
from judgebench.models.wrappers import Budget, Metered, Price, Stored
from judgebench.resources import resource
from judgebench.settings import Settings, override_sampling
from judgebench.stages import Seat
from judgebench.task import Task, TaskData


@dataclass(frozen=True)
class Opened:
    """A model ready for use, with what was asked for."""

    spec: ModelSpec
    model: Model
    """Behind the call store and the meter."""
    price: Price | None


class Bench:
    """Opens each model once; close it to free connections, memory and the store."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened: dict[ModelSpec, Opened] = {}
        self._store: CallStore | None = None
        self.budget = Budget(settings.budget)

    def candidate(self, spec: ModelSpec, arguments: Mapping[str, str]) -> Opened:
        """The model under test."""
        return self._open(spec, arguments, candidate=True)

    def seats(self, task: Task, data: TaskData) -> dict[str, tuple[Seat, ...]]:
        """The models that play each of a task's judges."""
        return {
            name: tuple(self._seat(task, judge, spec, arguments) for spec, arguments in specs)
            for name, judge, specs in (
                (name, judge, judge_specs(task, name, self._settings)) for name, judge in data.judges.items()
            )
        }

    def retries(self) -> dict[str, dict[str, int]]:
        """Attempts made again, by model and cause."""
        return {one.model.name: dict(one.model.retries) for one in self._opened.values() if one.model.retries}

    def close(self) -> None:
        """Close every model and the store."""
        for opened in self._opened.values():
            opened.model.close()
        if self._store is not None:
            self._store.close()

    def _seat(self, task: Task, judge: Judge, spec: ModelSpec, arguments: Mapping[str, str]) -> Seat:
        try:
            opened = self._open(spec, arguments, candidate=False)
        except UsageError as error:
            if self._settings.judges:
                raise
            raise UsageError(f"{str(error).rstrip('.')}. {alternatives(task)}") from error
        judge = settled_judge(judge, local=opened.model.local, settings=self._settings)
        return Seat(judge, opened.model, opened.price, spec.text)

    def _open(self, spec: ModelSpec, arguments: Mapping[str, str], *, candidate: bool) -> Opened:
        settings = self._settings
        if spec in self._opened:
            return self._opened[spec]
        opened = open_model(
            spec,
            OpenSettings(
                arguments=dict(arguments),
                api_key_env=settings.api_key_env,
                concurrency=settings.concurrency if candidate else settings.judge_concurrency,
                rpm=settings.rpm,
                tpm=settings.tpm,
                chat_template=settings.chat_template if candidate else None,
                thinking=settings.thinking if candidate else "auto",
                offline=settings.offline,
            ),
        )
        price = price_of(spec, arguments)
        meter = Metered(opened, price, self.budget)
        if self._store is None:
            self._store = CallStore(default_store_path())
        self._opened[spec] = Opened(spec, Stored(meter, self._store), price)
        return self._opened[spec]


def judge_specs(task: Task, judge: str, settings: Settings) -> list[tuple[ModelSpec, dict[str, str]]]:
    """The models to play one of a task's judges: those asked for, else the official one."""
    if settings.judges:
        return [parse_model(text, settings.judge_args) for text in settings.judges]
    official = task.judge_models.get(judge)
    if official is None:
        what = f"the starter set of {task.name}" if task.starter else task.label
        raise UsageError(f"{what} has no official judge; name one with --judge, such as --judge builtin:tiny")
    return [parse_model(official, settings.judge_args)]


def settled_judge(judge: Judge, *, local: bool, settings: Settings) -> Judge:
    """The judge as it will be used: labels scored directly by a local model, sampling as the user says."""
    if local:
        judge = judge.constrained()
    if not settings.judge_gen:
        return judge
    changed: Any = judge
    settled: Judge = dataclasses.replace(
        changed, sampling=override_sampling(changed.sampling, settings.judge_gen, "--judge-gen")
    )
    return settled


def alternatives(task: Task) -> str:
    """What to do when a task's official judge cannot be used: the judges that are known to do, as one sentence."""
    table = tomllib.loads((resource("templates") / "judges.toml").read_text())
    known = [f"{entry['spec']} ({entry['note']})" for entry in table["judge"] if task.name in entry["tasks"]]
    official = ", ".join(sorted(set(task.judge_models.values())))
    return (
        f"The official judge of {task.label} is {official}. Other judges (list of {table['as_of']}, not checked "
        f"since): {'; '.join(known)}. Another judge is another protocol: its numbers are not comparable with "
        "published ones"
    )
