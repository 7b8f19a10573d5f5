"""Plays a run through with the replies that exist, to find the calls that it would make. No model is called.

Replies exist in the run folder that the run would continue, and in the call store. Where one is missing, a call is
counted, and what depends on its reply (later turns, refinements, judge prompts) is made with the baseline's answer or a
typical one. ``dry_run`` says what the calls cost.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import msgspec

from judgebench import tasks
from judgebench.errors import UsageError
from judgebench.judges import Judge
from judgebench.models import Model, ModelSpec
from judgebench.models.call_store import CallStore, call_key
from judgebench.models.http.pacing import DEFAULT_CONCURRENCY
from judgebench.models.opening import open_model, parse_model, price_of, require_checkpoint, require_settings
from judgebench.models.pricing import Price
from judgebench.records import Case, Completion, Example, Generation, Request
from judgebench.run.batches import in_batches, takes_batches
from judgebench.run.cascades import CascadePlan, cascade_plan
from judgebench.run.controls import controls
from judgebench.run.digests import Digests, key_digest
from judgebench.run.folder import Manifest, RunFolder, TaskManifest
from judgebench.run.forecast import BYTES_PER_TOKEN, TYPICAL_REPLY_TOKENS, Speed
from judgebench.run.loading import (
    LoadedTask,
    load_tasks,
    read_candidate,
    require_answers,
    require_baseline,
    require_coverage,
    require_texts,
    require_useful,
    task_sampling,
)
from judgebench.run.manifests import build_task_manifest, combined, outputs_identity, require_same_run
from judgebench.run.predicting import open_bridges
from judgebench.run.seats import ModelPool, every_judge_spec
from judgebench.run.selecting import select_examples
from judgebench.run.settings import Settings
from judgebench.run.stages import generation_step, judge_step, to_generation
from judgebench.run.stopping import Known, StopRule, can_stop, stop_rule
from judgebench.task import Imported
from judgebench.task.best_of import SELECT
from judgebench.thinking import Thinking

TYPICAL_REPLY = Completion(text="x" * int(BYTES_PER_TOKEN * TYPICAL_REPLY_TOKENS))
"""Stands for a reply that does not exist yet."""
MOST_RUNS = 200
"""How many of the newest run folders are looked at."""


@dataclass
class Player:
    """A model as candidate or judge. It is opened only if it is served elsewhere: its identity then costs nothing."""

    spec: ModelSpec
    arguments: Mapping[str, str]
    model: Model | None
    identity: str | None
    """``None`` if only loading the checkpoint would tell, and no run is there that tells."""
    price: Price | None
    speed: Speed
    key_missing: str | None = None
    """Why it cannot be called now, if its API key is not set."""
    roles: list[str] = field(default_factory=list)
    """``candidate``, ``judge`` or both."""
    official: bool | None = None
    """Whether every judge that it plays is one that the benchmark itself has it play, if the benchmark says."""
    needs_logprobs: bool = False
    """Whether a verdict is read from the log-probabilities that its endpoint returns."""
    batched: bool = False
    """Whether it is asked in batches."""

    @cached_property
    def name(self) -> str:
        """Its name in the call store; of a checkpoint, that is its folder's."""
        if self.model is not None:
            return self.model.name
        return Path(self.spec.target).name if self.spec.backend.checkpoint else self.spec.text


@dataclass
class Tally:
    """The calls of one player in one stage of one task."""

    missing: list[Request] = field(default_factory=list)
    """To be made. What depends on a missing reply holds a stand-in for it."""
    stored: list[tuple[Request, Completion]] = field(default_factory=list)
    """In the call store."""
    shared: int = 0
    """Bought by an earlier stage or run of the same command."""
    kept: int = 0
    """Not asked, because their result is in the run folder."""


@dataclass(frozen=True)
class PlayedStage:
    """One stage of one task, played through."""

    candidate: str
    task: str
    name: str
    """``generate`` or ``judge``."""
    examples: int
    player: Player
    tally: Tally


Answer = tuple[Generation | None, bool]
"""An answer, or a stand-in for it, and whether it is the real one. ``None`` if there will be none."""


class Rehearsal:
    """Plays several runs through, one after the other."""

    def __init__(self, store: CallStore) -> None:
        self._store = store
        self._bought: set[bytes] = set()
        """Keys of the calls that are counted already: whoever wants them later finds them in the store."""
        self._players: dict[str, Player] = {}
        self.stages: list[PlayedStage] = []
        self.continued: list[str] = []
        """The run folders that the runs would continue."""

    def play(self, settings: Settings) -> None:
        """Play one run through."""
        if settings.model is None:
            raise UsageError("--model is missing; name the model under test")
        spec, arguments = parse_model(settings.model, settings.model_args)
        require_useful(spec, settings)
        require_answers(spec, settings)
        candidate = self._player(settings, spec, arguments, role="candidate")
        loaded: list[LoadedTask] = []
        given: dict[str, Imported] = {}
        for loaded_task in load_tasks(settings, ask=False):
            require_texts(loaded_task, unsafe_local=settings.unsafe_local)
            if candidate.spec.backend.finished:
                given[loaded_task.key] = read_candidate(loaded_task, candidate.spec, settings)
            loaded.append(select_examples(loaded_task, settings, given.get(loaded_task.key)))
        seats = [self._seats(loaded_task, settings) for loaded_task in loaded]
        _require_fitting_bridges(loaded, seats, given, settings)
        folder = self._folder_to_continue(candidate, loaded, seats, given, settings)
        players = [candidate, *(player for of_task in seats for played in of_task.values() for _, player in played)]
        examples = sum(len(loaded_task.data.examples) for loaded_task in loaded)
        _choose_way(settings, players, examples)
        for loaded_task, of_task in zip(loaded, seats, strict=True):
            _PlayedTask(self, candidate, loaded_task, of_task, folder, settings).play(given.get(loaded_task.key))

    def play_answering(self, settings: Settings) -> tuple[str, LoadedTask, dict[str, Generation]]:
        """Play through how a model answers one task, which is not judged. Return the model's name and the task with its
        answers, or stand-ins for them.
        """
        if settings.model is None:
            raise UsageError("--model is missing; name the model under test")
        spec, arguments = parse_model(settings.model, settings.model_args)
        require_useful(spec, settings)
        candidate = self._player(settings, spec, arguments, role="candidate")
        (loaded_task,) = load_tasks(settings)
        require_texts(loaded_task, unsafe_local=settings.unsafe_local)
        selected = select_examples(loaded_task, settings)
        answers = _PlayedTask(self, candidate, selected, {}, None, settings).answer()
        return candidate.name, selected, answers

    def play_judging(
        self,
        loaded_task: LoadedTask,
        answers: Mapping[str, Generation],
        settings: Settings,
        *,
        repeats: int,
        examples: int = 0,
    ) -> None:
        """Play through how answers to a task that exist are judged, without a run folder.

        ``examples`` is how many there are in all the tasks that are judged together.
        """
        seats = self._seats(loaded_task, settings)
        _choose_way(settings, [player for played in seats.values() for _, player in played], examples)
        task = _PlayedTask(self, None, loaded_task, seats, None, replace(settings, judge_repeats=repeats))
        task.judge([(generation, True) for generation in answers.values()])

    def _seats(self, loaded_task: LoadedTask, settings: Settings) -> "Seats":
        if loaded_task.data.judges:
            require_baseline(loaded_task)
        return {
            name: [
                (judge, self._judge_player(settings, judge, spec, arguments, loaded_task.task.judge_models.get(name)))
                for judge, spec, arguments in played
            ]
            for name, played in every_judge_spec(loaded_task, settings).items()
        }

    def _judge_player(
        self, settings: Settings, judge: Judge, spec: ModelSpec, arguments: Mapping[str, str], official: str | None
    ) -> Player:
        player = self._player(settings, spec, arguments, role="judge")
        if official is not None:
            as_published = settings.own_judge is None and parse_model(official)[0].text == spec.text
            player.official = as_published and player.official is not False
        asks = getattr(judge, "sampling", None)
        player.needs_logprobs = player.needs_logprobs or bool(not spec.local and asks and asks.top_logprobs)
        return player

    def _player(self, settings: Settings, spec: ModelSpec, arguments: Mapping[str, str], *, role: str) -> Player:
        """The model in a role. As in a run it is opened once, in its first role."""
        if spec.text not in self._players:
            self._players[spec.text] = self._opened(settings, spec, arguments, candidate=role == "candidate")
        player = self._players[spec.text]
        if role not in player.roles:
            player.roles.append(role)
        return player

    def _opened(self, settings: Settings, spec: ModelSpec, arguments: Mapping[str, str], *, candidate: bool) -> Player:
        price = price_of(spec, arguments)
        open_settings = ModelPool(settings).open_settings(arguments, candidate=candidate)
        if spec.local or spec.backend.finished:
            require_settings(spec, open_settings)
            require_checkpoint(spec, open_settings, ask_hub=False)
            player = Player(spec, arguments, None, remembered_identity(settings, spec), price, Speed())
            player.speed = Speed(calls_per_second=self._store.calls_per_second(player.name))
            return player
        model = open_model(spec, msgspec.structs.replace(open_settings, only_identity=True))
        missing = None
        try:
            open_model(spec, open_settings).close()
        except UsageError as error:
            missing = str(error)
        at_once = settings.concurrency if candidate else settings.judge_concurrency
        speed = Speed(
            at_once or DEFAULT_CONCURRENCY, settings.rpm, settings.tpm, self._store.calls_per_second(model.name)
        )
        return Player(spec, arguments, model, model.identity, price, speed, missing)

    def reply(self, player: Player, tally: Tally, request: Request, *, real: bool) -> Completion | None:
        """Look a call up and count it. ``real`` says whether this is exactly what the run would send."""
        if real and player.identity is not None:
            key = call_key(player.identity, request)
            found = self._store.get(key)
            if found is not None and not found.failed:
                tally.stored.append((request, found))
                return found
            if key in self._bought:
                tally.shared += 1
                return None
            self._bought.add(key)
        elif real and player.spec.backend.scores is not None:
            # Both orders of a pair are one request, whatever the checkpoint's identity will be.
            key = call_key(player.spec.text, request)
            if key in self._bought:
                tally.shared += 1
                return None
            self._bought.add(key)
        tally.missing.append(request)
        return None

    def _folder_to_continue(
        self,
        candidate: Player,
        loaded: Sequence[LoadedTask],
        seats: Sequence["Seats"],
        given: Mapping[str, Imported],
        settings: Settings,
    ) -> RunFolder | None:
        """The run folder that the run would go on with, if there is one.

        Raises :class:`UsageError` if ``--out`` holds another run, as the run would.
        """
        found = list(runs_of(settings))
        identity = outputs_identity(given) if given else candidate.identity
        known = identity is not None and all(
            player.identity for of_task in seats for of_judge in of_task.values() for _, player in of_judge
        )
        if not found or not known:
            return None
        made = {
            loaded_task.key: _task_manifest(
                loaded_task, of_task, str(identity), given.get(loaded_task.key), settings, candidate.name
            )
            for loaded_task, of_task in zip(loaded, seats, strict=True)
        }
        input_hash = combined({key: task_manifest.input_hash for key, task_manifest in made.items()})
        for folder, manifest in found:
            if settings.out is not None:
                require_same_run(folder.path, manifest, made)
            if manifest.input_hash == input_hash and (settings.out is not None or manifest.status != "complete"):
                self.continued.append(str(folder.path))
                return folder
        return None


Seats = Mapping[str, Sequence[tuple[Judge, Player]]]
"""The judges of a task by name, each with the models that play it."""


class _PlayedTask:
    """One task of a run, played through."""

    def __init__(
        self,
        rehearsal: Rehearsal,
        candidate: Player | None,
        loaded_task: LoadedTask,
        seats: Seats,
        folder: RunFolder | None,
        settings: Settings,
    ) -> None:
        self._rehearsal = rehearsal
        self._candidate = candidate
        self._loaded_task = loaded_task
        self._seats = seats
        self._folder = None if folder is None else folder.task(loaded_task.key)
        self._settings = settings

    def play(self, given: Imported | None) -> None:
        """Play its stages. ``given`` are finished answers."""
        assert self._candidate is not None
        if given is None:
            tally = Tally()
            answers = list(self._answers(self._candidate, tally))
            self._add("generate", self._candidate, tally)
        else:
            known = {generation.example_id: generation for generation in given.generations}
            require_coverage(self._loaded_task, known, self._candidate.spec.target)
            answers = [(known.get(example.id), True) for example in self._loaded_task.data.examples]
        if self._seats:
            self.judge(answers)

    def answer(self) -> dict[str, Generation]:
        """Play the answering; return the answers, or stand-ins for them, which differ from those of other models."""
        assert self._candidate is not None
        tally, name = Tally(), self._candidate.spec.text
        answers = {}
        for generation, real in self._answers(self._candidate, tally):
            if generation is not None:
                outputs = generation.outputs if real else tuple(text[len(name) :] + name for text in generation.outputs)
                answers[generation.example_id] = msgspec.structs.replace(generation, outputs=outputs)
        self._add("generate", self._candidate, tally)
        return answers

    def judge(self, answers: Iterable[Answer]) -> None:
        """Play the judging of answers."""
        for player, tally in self._judged(answers):
            self._add("judge", player, tally)

    def _add(self, stage: str, player: Player, tally: Tally) -> None:
        label, examples = self._loaded_task.task.label, len(self._loaded_task.data.examples)
        candidate = "" if self._candidate is None else self._candidate.spec.text
        self._rehearsal.stages.append(PlayedStage(candidate, label, stage, examples, player, tally))

    def _answers(self, candidate: Player, tally: Tally) -> Iterator[Answer]:
        """Yield the candidate's answer to each example."""
        settings, thinking = self._settings, self._settings.splitting
        step = generation_step(task_sampling(self._loaded_task, settings), settings.system, thinking, settings.refine)
        rounds = 1 + len(settings.refine)
        kept = {} if self._folder is None else {g.example_id: g for g in self._folder.generations() if not g.error}
        for example in self._loaded_task.data.examples:
            if example.id in kept:
                tally.kept += rounds * (1 + len(example.followups))
                yield kept[example.id], True
                continue
            replies, real = self._conversation(candidate, example, step, tally)
            if real:
                yield to_generation(example, candidate.name, replies, thinking, rounds), True
            else:
                yield _stand_in(self._loaded_task, example), False

    def _conversation(
        self,
        candidate: Player,
        example: Example,
        step: Callable[[Example, tuple[Completion, ...]], Request | None],
        tally: Tally,
    ) -> tuple[tuple[Completion, ...], bool]:
        """Carry a conversation to its end; return its replies, and whether all of them are real."""
        replies: tuple[Completion, ...] = ()
        real = True
        while (request := step(example, replies)) is not None:
            reply = self._rehearsal.reply(candidate, tally, request, real=real)
            real = real and reply is not None
            replies = (*replies, reply or TYPICAL_REPLY)
        return replies, real

    def _judged(self, answers: Iterable[Answer]) -> Iterable[tuple[Player, Tally]]:
        """Each judge model with its calls, over all judges that it plays."""
        tallies = {player.spec.text: (player, Tally()) for of_judge in self._seats.values() for _, player in of_judge}
        judged, part, dear = self._judged_before(), self._dear_part(), _dear_spec(self._settings)
        names = self._names_in_folder([player for player, _ in tallies.values()])
        for generation, real in answers:
            if generation is None or generation.error:
                continue
            for case in self._loaded_task.task.cases(self._loaded_task.data, generation):
                for judge, player in self._seats[case.judge]:
                    if player.spec.text == dear and case.example.id not in part:
                        continue
                    tally = tallies[player.spec.text][1]
                    for repeat in range(self._settings.judge_repeats):
                        if key_digest((case.id, names[player.spec.text], repeat)) in judged:
                            tally.kept += case.verdict is None
                        elif case.verdict is None:
                            self._case(judge, player, tally, case, repeat, real=real)
        return tallies.values()

    def _case(self, judge: Judge, player: Player, tally: Tally, case: Case, repeat: int, *, real: bool) -> None:
        """Count the calls of one case: those that are stored, and the first that is not."""
        thinking = Thinking(tags=self._settings.think_tags)
        replies: tuple[Completion, ...] = ()
        reasks = self._settings.reask
        while isinstance(request := judge_step(judge, case, replies, repeat, thinking, reasks), Request):
            reply = self._rehearsal.reply(player, tally, request, real=real)
            if reply is None:
                return
            replies = (*replies, reply)

    def _dear_part(self) -> frozenset[str]:
        """The examples that the dear judge of a cascade would judge, or with ``--dear auto`` may judge."""
        data, plan = self._loaded_task.data, _cascade_plan(self._loaded_task, self._settings)
        return frozenset() if plan is None else plan.part(data.by_id)

    def _judged_before(self) -> Digests:
        """Digests of the keys of the judgements that the run would keep."""
        if self._folder is None:
            return Digests(())
        return Digests(key_digest(judgement.key) for judgement in self._folder.judgements() if not judgement.failed)

    def _names_in_folder(self, players: Sequence[Player]) -> Mapping[str, str]:
        """The names of the judge models in the folder's judgements, by their specs."""
        names = {player.spec.text: player.name for player in players}
        if self._folder is not None:
            unopened = [player.spec.text for player in players if player.model is None]
            others = self._folder.judge_models() - {player.name for player in players if player.model is not None}
            if len(unopened) == len(others) == 1:
                names[unopened[0]] = others.pop()
        return names


def runs_of(settings: Settings) -> Iterator[tuple[RunFolder, Manifest]]:
    """The run in ``--out``, or the newest of those in the folder for runs. Folders that cannot be read are left out."""
    if settings.out is not None:
        manifest = RunFolder(settings.out).manifest()
        if manifest is not None:
            yield RunFolder(settings.out), manifest
        return
    paths = sorted(settings.runs.glob("*/*/manifest.json"), key=lambda path: path.parent.name, reverse=True)
    for path in paths[:MOST_RUNS]:
        try:
            manifest = RunFolder(path.parent).manifest()
        except UsageError:
            continue
        if manifest is not None:
            yield RunFolder(path.parent), manifest


def remembered_identity(settings: Settings, spec: ModelSpec) -> str | None:
    """The identity of a checkpoint by the newest run that used it, as only loading the checkpoint would tell.

    It is wrong if the checkpoint has changed since.
    """
    for _, manifest in runs_of(settings):
        if manifest.candidate_spec == spec.text:
            return manifest.candidate_identity
        for task_manifest in manifest.tasks.values():
            played = [judge.get("model") for judge in task_manifest.protocol.get("judges", {}).values()]
            if task_manifest.judge_models == [spec.text] and played and isinstance(played[0], str):
                return played[0]
    return None


def _task_manifest(
    loaded_task: LoadedTask, seats: Seats, identity: str, given: Imported | None, settings: Settings, name: str
) -> TaskManifest:
    """The manifest that the run would give a task."""
    dear_spec = _dear_spec(settings)
    cheap, dear = (
        {
            name: [
                (judge, player.model or str(player.identity))
                for judge, player in of_judge
                if (player.spec.text == dear_spec) == is_dear
            ]
            for name, of_judge in seats.items()
        }
        for is_dear in (False, True)
    )
    return build_task_manifest(
        loaded_task,
        cheap,
        identity,
        settings,
        settings.splitting,
        sampling=None if given else task_sampling(loaded_task, settings),
        judge_models=[player.spec.text for name, of_judge in seats.items() if name != SELECT for _, player in of_judge],
        stop_rule=_stop_rule(loaded_task, settings),
        known=_known(loaded_task, settings, given.candidate if given else name),
        cascade=_cascade_plan(loaded_task, settings),
        dear=dear,
        imported=given,
    )


def _require_fitting_bridges(
    loaded: Sequence[LoadedTask], seats: Sequence[Seats], given: Mapping[str, Imported], settings: Settings
) -> None:
    """Raise :class:`UsageError` for a bridge that the run would refuse, as far as the judges' identities are known."""
    bridges = open_bridges(settings.bridge, settings.level, settings)
    if all(player.identity for of_task in seats for of_judge in of_task.values() for _, player in of_judge):
        bridges.require_fitting(
            _task_manifest(loaded_task, of_task, "", given.get(loaded_task.key), settings, "")
            for loaded_task, of_task in zip(loaded, seats, strict=True)
        )


def _stop_rule(loaded_task: LoadedTask, settings: Settings) -> StopRule | None:
    if settings.stop_when is None:
        return None
    return stop_rule(settings.stop_when, loaded_task.task, judged=can_stop(loaded_task.data))


def _known(loaded_task: LoadedTask, settings: Settings, candidate: str) -> Known | None:
    rule = _stop_rule(loaded_task, settings)
    if rule is None or not settings.controls:
        return None
    ids, files = list(loaded_task.data.by_id), tasks.files_among(tasks.named(settings.tasks))
    return controls(settings.controls, loaded_task.task, rule.metric, ids, candidate, files)


def _cascade_plan(loaded_task: LoadedTask, settings: Settings) -> CascadePlan | None:
    rule = _stop_rule(loaded_task, settings)
    return cascade_plan(settings, loaded_task.task, len(loaded_task.data.examples), rule)


def _dear_spec(settings: Settings) -> str | None:
    """The dear judge's model; ``None`` without ``--cascade``."""
    return None if settings.cascade is None else parse_model(settings.cascade)[0].text


def _stand_in(loaded_task: LoadedTask, example: Example) -> Generation:
    """An answer to estimate with, as long as the baseline's or a typical one."""
    known = (baseline[example.id].outputs for baseline in loaded_task.data.baselines.values() if example.id in baseline)
    typical = tuple(str(TYPICAL_REPLY.text) for _ in (0, *example.followups))
    outputs = tuple(output + " " for output in next(known, typical))
    return Generation(example_id=example.id, model="?", outputs=outputs)


def _choose_way(settings: Settings, players: Sequence[Player], examples: int) -> None:
    """Note which of the models would be asked in batches."""
    together = in_batches(settings, {player.spec: player.arguments for player in players}, examples, watched=False)
    for player in players:
        player.batched = together and takes_batches(player.spec.backend)
