"""Which judge models can be asked today: until when, for what, and what is known of each as a judge.

From the tables that ship with the program; no vendor is asked. A dated snapshot counts to the model that is listed.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from msgspec import Struct

from judgebench import tasks
from judgebench.data.aliases import aliases
from judgebench.errors import UsageError
from judgebench.models.opening import model_name, parse_model, vendor_of
from judgebench.models.vendors import PriceList, Vendor, ends_as_of, price_lists, shutdown, today, vendors
from judgebench.run.bridge_files import read_bridge, ready_bridges
from judgebench.run.judge_marks import AuditMark, marks
from judgebench.run.known_judges import KnownJudge, known_judges

LOGPROBS = {"yes": True, "some": True, "no": False, "unknown": None}
"""What a vendor's row says of log-probabilities, as far as it can be said of any of its models."""
Key = tuple[str, str]
"""A vendor's title and the name of a model in its price list."""


class ServedJudge(Struct, frozen=True, kw_only=True):
    """A model that its vendor serves, as a judge."""

    model: str
    vendor: str
    spec: str
    """What ``--judge`` takes."""
    until: date | None
    """The first day without it; ``None`` if no end is announced."""
    usd_per_million: tuple[float, float]
    """For prompt and completion tokens."""
    logprobs: bool | None
    """Whether its API returns log-probabilities; ``None`` if that is not known."""
    known: tuple[str, ...]
    """What is known of it as a judge: tasks, bridges, agreement with people, audits of this machine."""


class ServedJudges(Struct, frozen=True, kw_only=True):
    """The models, those that last longest first, and of which days the facts are."""

    judges: tuple[ServedJudge, ...]
    today: date
    prices_as_of: date
    """The day of the oldest price list."""
    ends_as_of: date
    """The day on which the first of the pages that announce ends was read."""


def served_judges() -> ServedJudges:
    """The models that the vendors known by name serve, from their price lists."""
    known = _known()
    called = {entry["organisation"] for entry in aliases().vendors}
    sold = {name: prices for name, prices in price_lists().items() if name in called}
    found = [judge for name, prices in sold.items() for judge in _of_vendor(name, vendors()[name], prices, known)]
    found.sort(key=lambda judge: not judge.known)
    return ServedJudges(
        judges=tuple(sorted(found, key=lambda judge: judge.until or date.max, reverse=True)),
        today=today(),
        prices_as_of=min(prices.as_of for prices in sold.values()),
        ends_as_of=ends_as_of(),
    )


def _of_vendor(
    name: str, vendor: Vendor, prices: PriceList, known: Mapping[Key, Sequence[str]]
) -> Iterator[ServedJudge]:
    for model in prices.usd_per_million:
        end, price = shutdown(vendor, model), vendor.price(model)
        if price is None or (end is not None and end.over):
            continue
        yield ServedJudge(
            model=model,
            vendor=name,
            spec=f"{vendor.prefix}:{model}",
            until=None if end is None else end.day,
            usd_per_million=(price.prompt, price.completion),
            logprobs=LOGPROBS[vendor.logprobs],
            known=tuple(known.get((vendor.title, model), ())),
        )


def _known() -> dict[Key, list[str]]:
    """What is known of models as judges."""
    found: dict[Key, list[str]] = {}
    for spec, text in (*_in_tasks(known_judges()), *_in_bridges(), *_in_audits(marks())):
        if (key := _key(spec)) is not None and text not in found.setdefault(key, []):
            found[key].append(text)
    return found


def _key(text: str) -> Key | None:
    """The list in which a model is; ``None`` for one that no vendor serves under a listed name."""
    try:
        spec, arguments = parse_model(text)
    except UsageError:
        return None
    vendor = vendor_of(spec, arguments)
    name = None if vendor is None else vendor.listed(model_name(spec))
    return None if vendor is None or name is None else (vendor.title, name)


def _in_tasks(judges: Sequence[KnownJudge]) -> Iterator[tuple[str, str]]:
    """The tasks whose judge it is, the names that it has in others, and those that name it for want of their own."""
    official: dict[Key, dict[str, str]] = {}
    offered: dict[Key, dict[str, str]] = {}
    for name in tasks.names():
        task, _ = tasks.load(tasks.parse_one_spec(name))
        for roles, specs in ((official, task.judge_models.values()), (offered, task.other_judges)):
            for spec in specs:
                if (key := _key(spec)) is not None and name not in official.get(key, {}):
                    roles.setdefault(key, {}).setdefault(name, spec)
    for words, found in (("official judge of", official), ("stands in on", offered)):
        yield from ((min(by_task.values()), f"{words} {', '.join(by_task)}") for by_task in found.values())
    for judge in judges:
        if judge.model is None or not judge.usable:
            continue
        if ":judge=" in judge.choose:
            yield judge.model.spec, f"{judge.name} of {judge.task}"
        agreement = None if judge.published is None else judge.published.human_agreement
        if agreement is not None:
            yield judge.model.spec, f"agrees with {agreement:.1f} % of people's labels as {judge.name}"


def _in_bridges() -> Iterator[tuple[str, str]]:
    for name in ready_bridges():
        bridge = read_bridge(Path(name))
        owner = next((key for key, vendor in vendors().items() if vendor.price(bridge.judge.identity)), "")
        yield f"{owner}:{bridge.judge.identity}", f"bridge {name}, {len(bridge.included)} models"


def _in_audits(audits: Sequence[AuditMark]) -> Iterator[tuple[str, str]]:
    """The newest audit of each model alone."""
    seen = set[str]()
    for mark in audits:
        if mark.judge not in seen:
            seen.add(mark.judge)
            yield mark.judge, mark.text
