"""``--dry-run``: which calls a run would make, what they may cost, how long they may take, what is known of its models.

``rehearsal`` finds the calls and ``forecast`` what they take; this module adds up. Nothing is generated or judged. Only
an endpoint whose model has no known price, or is said to be gone, is asked for its list of models, which costs nothing;
with ``--offline`` that is left out, too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce

import msgspec

from judgebench.models.call_store import CallStore, store_path
from judgebench.models.http.endpoint import Endpoint
from judgebench.models.http.listing import ListedModel, list_url, listed_models
from judgebench.models.opening import model_name, seller_of, shutdown_of
from judgebench.models.pricing import Price
from judgebench.models.vendors import near, today
from judgebench.records import Completion
from judgebench.run.forecast import NOTHING, Band, Tokens, seconds_of, tokens_of, total
from judgebench.run.rehearsal import PlayedStage, Player, Rehearsal
from judgebench.run.settings import Settings


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """What one model would be asked in one stage of one task."""

    candidate: str
    task: str
    stage: str
    """``generate`` or ``judge``."""
    model: str
    examples: int
    calls: int
    """To be made; with ``--stop-when``, the most there can be."""
    cached: int
    """Whose reply is in the call store, or is bought by an earlier stage or run of the command."""
    repeated: int
    """Of the cached: the same call as another of the command, made once."""
    kept: int
    """Whose result is in the run folder that the run would continue."""
    prompt_tokens: int
    completion_tokens: int
    usd_low: float | None
    usd_likely: float | None
    usd_high: float | None
    """These three are null if the price is unknown."""
    seconds_low: float | None
    seconds_likely: float | None
    seconds_high: float | None
    """These three are null if the speed of a model on this machine is unknown."""


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """The sum over stages: those of one task of one candidate, or all."""

    candidate: str | None
    task: str | None
    """Both are null in the sum over everything."""
    calls: int
    cached: int
    kept: int
    prompt_tokens: int
    completion_tokens: int
    usd_low: float
    usd_likely: float
    usd_high: float
    usd_complete: bool
    """Whether all prices are known. If not, the sums are lower bounds."""
    seconds_low: float
    seconds_likely: float
    seconds_high: float
    """Different models are asked at the same time, so this can be less than the sum of the stages."""
    seconds_complete: bool
    """Whether the speed of every model is known or assumed. If not, these are lower bounds."""


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model before it is asked."""

    model: str
    roles: list[str]
    """``candidate``, ``judge`` or both."""
    usd_per_million: tuple[float, float] | None
    """For prompt and completion tokens; null if unknown."""
    price_source: str | None
    """``given``, ``free``, ``listed by the endpoint``, or the page where the price was read."""
    price_as_of: date | None
    """When that page was read."""
    price_note: str | None
    shutdown: date | None
    """The first day on which its vendor serves it no longer, if that is known."""
    shut_down: bool
    """Whether the run would refuse to ask it for that reason."""
    replaced_by: str | None
    """What the vendor recommends in its place."""
    listed: bool | None
    """Whether the endpoint lists a model of this name; null if it was not asked, or gave no list."""
    models_at: str | None
    """The URL at which its endpoint lists its models, if it is served elsewhere."""
    near: list[str]
    """Known names that look like an unknown one."""
    calls_per_second: float | None
    """As earlier runs on this machine measured it."""
    concurrency: int | None
    """Requests at once; null for a model on this machine."""
    rpm: float | None
    tpm: float | None
    key_missing: str | None
    """Why it could not be called now: its API key is not set."""
    official: bool | None
    """Whether a judge is the benchmark's own; null for a model that does not judge, or where the benchmark has none."""
    needs_logprobs: bool
    """Whether a verdict is read from the log-probabilities that its endpoint returns."""
    returns_logprobs: bool | None
    """Whether it does return them, by its stored replies; null if that is not known."""


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """What ``eval --dry-run --json`` prints."""

    day: date
    stages: list[Stage]
    tasks: list[Total]
    """For each task of each candidate."""
    total: Total
    models: list[ModelFacts]
    continued: list[str]
    """Run folders that would be continued."""
    at_most: bool
    """Whether ``--stop-when`` may end judging earlier, or an arena's pairing."""
    budget_usd: float | None
    """``--budget``, for all runs together."""
    games: int | None = None
    """Of an arena: how many games are played, at most if ``at_most``."""

    def __repr__(self) -> str:
        """One line."""
        sums = self.total
        usd = f"USD {sums.usd_low:.2g} to {sums.usd_high:.2g}" + ("" if sums.usd_complete else " or more")
        return f"<judgebench.DryRun {sums.calls:,} calls, {usd}>"


@dataclass(frozen=True)
class _Forecast:
    """A stage with what its calls take."""

    played: PlayedStage
    tokens: Tokens
    usd: Band | None
    seconds: Band | None

    @property
    def place(self) -> tuple[str, str]:
        """The candidate and the task."""
        return self.played.candidate, self.played.task

    def record(self) -> Stage:
        """The stage as it is printed."""
        player, tally, usd, seconds = self.played.player, self.played.tally, self.usd, self.seconds
        return Stage(
            candidate=self.played.candidate,
            task=self.played.task,
            stage=self.played.name,
            model=player.spec.text,
            examples=self.played.examples,
            calls=len(tally.missing),
            cached=len(tally.stored) + tally.shared,
            repeated=tally.shared,
            kept=tally.kept,
            prompt_tokens=round(self.tokens.prompt.likely),
            completion_tokens=round(self.tokens.completion.likely),
            usd_low=usd.low if usd else None,
            usd_likely=usd.likely if usd else None,
            usd_high=usd.high if usd else None,
            seconds_low=seconds.low if seconds else None,
            seconds_likely=seconds.likely if seconds else None,
            seconds_high=seconds.high if seconds else None,
        )


def estimate(plans: Sequence[Settings]) -> DryRun:
    """Estimate the runs that these settings ask for, made one after the other. Local checkpoints are not loaded."""
    store = CallStore(store_path(plans[0].cache if plans else None))
    rehearsal = Rehearsal(store)
    try:
        for settings in plans:
            rehearsal.play(settings)
    finally:
        store.close()
    return summed(rehearsal, plans)


def summed(rehearsal: Rehearsal, plans: Sequence[Settings]) -> DryRun:
    """Add up what was played through with these settings."""
    offline = any(settings.offline for settings in plans)
    players = {played.player.spec.text: played.player for played in rehearsal.stages}
    facts = [_facts(player, _replies(rehearsal, player), offline=offline) for player in players.values()]
    for player, known in zip(players.values(), facts, strict=True):
        if player.price is None and known.usd_per_million is not None:
            prompt, completion = known.usd_per_million
            player.price = Price(prompt=prompt, completion=completion)
    forecasts = [_forecast(played) for played in rehearsal.stages]
    places = dict.fromkeys(forecast.place for forecast in forecasts)
    return DryRun(
        day=today(),
        stages=[forecast.record() for forecast in forecasts],
        tasks=[_total([one for one in forecasts if one.place == place], *place) for place in places],
        total=_total(forecasts),
        models=facts,
        continued=rehearsal.continued,
        at_most=any(settings.stop_when is not None for settings in plans),
        budget_usd=plans[0].budget if plans else None,
    )


def _forecast(played: PlayedStage) -> _Forecast:
    missing, player = played.tally.missing, played.player
    tokens = tokens_of(missing, played.tally.stored)
    usd = tokens.usd(player.price, batched=player.batched) if missing else NOTHING
    # When a batch ends is up to its vendor.
    seconds = None if missing and player.batched else seconds_of(missing, tokens, player.speed)
    return _Forecast(played, tokens, usd, seconds)


def _total(chosen: Sequence[_Forecast], candidate: str | None = None, task: str | None = None) -> Total:
    stages = [forecast.record() for forecast in chosen]
    usd, seconds = total(forecast.usd for forecast in chosen), _elapsed(chosen)
    return Total(
        candidate=candidate,
        task=task,
        calls=sum(stage.calls for stage in stages),
        cached=sum(stage.cached for stage in stages),
        kept=sum(stage.kept for stage in stages),
        prompt_tokens=sum(stage.prompt_tokens for stage in stages),
        completion_tokens=sum(stage.completion_tokens for stage in stages),
        usd_low=usd.low,
        usd_likely=usd.likely,
        usd_high=usd.high,
        usd_complete=all(forecast.usd is not None for forecast in chosen),
        seconds_low=seconds.low,
        seconds_likely=seconds.likely,
        seconds_high=seconds.high,
        seconds_complete=all(forecast.seconds is not None for forecast in chosen),
    )


def _elapsed(chosen: Sequence[_Forecast]) -> Band:
    """How long the stages take: candidates come one after the other, the models of one run work at the same time."""
    runs: dict[str, dict[str, Band]] = {}
    for forecast in chosen:
        of_run, model = runs.setdefault(forecast.played.candidate, {}), forecast.played.player.spec.text
        of_run[model] = of_run.get(model, NOTHING) + (forecast.seconds or NOTHING)
    return total(reduce(Band.longest, of_run.values(), NOTHING) for of_run in runs.values())


def _replies(rehearsal: Rehearsal, player: Player) -> Iterator[Completion]:
    """The stored verdicts of a model."""
    for played in rehearsal.stages:
        if played.player is player and played.name == "judge":
            yield from (completion for _, completion in played.tally.stored)


def _facts(player: Player, replies: Iterable[Completion], *, offline: bool) -> ModelFacts:
    spec, arguments, price, name = player.spec, player.arguments, player.price, model_name(player.spec)
    end, seller = shutdown_of(spec, arguments), seller_of(spec, arguments)
    gone = end is not None and end.over
    listed = None if offline or not (price is None or gone) else _listed(player)
    entry = listed.get(name) if listed else None
    source, as_of, note = None, None, None
    if "usd_per_million" in arguments:
        source = "given"
    elif price is not None and seller is not None and seller.prices is not None:
        source, as_of, note = seller.prices.source, seller.prices.as_of, seller.prices.note or None
    elif price is not None:
        source = "free"
    elif entry is not None and entry.price is not None:
        price, source, as_of = entry.price, "listed by the endpoint", today()
    if player.batched and price is not None and price.batch < 1:
        note = "; ".join(filter(None, (note, f"in batches {100 * price.batch:g} % of it")))
    unknown = entry is None and price is None
    sold = seller.prices.usd_per_million if seller is not None and seller.prices is not None else {}
    return ModelFacts(
        model=spec.text,
        roles=player.roles,
        usd_per_million=None if price is None else (price.prompt, price.completion),
        price_source=source,
        price_as_of=as_of,
        price_note=note,
        shutdown=end.day if end else entry.shutdown if entry else None,
        shut_down=bool(end and gone and (entry is None or end.answered_by)),
        replaced_by=end.replaced_by if end else None,
        listed=None if listed is None else entry is not None,
        models_at=_models_at(player),
        near=near(name, listed or sold) if unknown else [],
        calls_per_second=player.speed.calls_per_second,
        concurrency=player.speed.concurrency,
        rpm=player.speed.rpm,
        tpm=player.speed.tpm,
        key_missing=player.key_missing,
        official=player.official,
        needs_logprobs=player.needs_logprobs,
        returns_logprobs=True if any(reply.top_logprobs for reply in replies) else None,
    )


def _listed(player: Player) -> Mapping[str, ListedModel] | None:
    """The models that the player's endpoint lists, if it can be asked."""
    model: object = player.model
    return listed_models(model) if isinstance(model, Endpoint) and not player.key_missing else None


def _models_at(player: Player) -> str | None:
    model: object = player.model
    return str(list_url(model).with_query(None)) if isinstance(model, Endpoint) else None
