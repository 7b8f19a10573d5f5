"""The pages of a site: leaderboards, the list of runs, and a page for each task and judge, as HTML without a server."""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from markupsafe import Markup

from judgebench.analysis.leaderboard import Group, LeaderboardRow, known_task
from judgebench.display import counted, figure, interval, printable
from judgebench.exchange.sheets import Sheet
from judgebench.records import Score
from judgebench.report.evidence import audit_view, bridges_behind
from judgebench.report.page import policy, script, style, templates
from judgebench.report.plots import Mark, Scale, axis, forest, scale_of
from judgebench.report.site import Board, Judged, Site, SiteJudge, SiteRun, SiteTask, file_name
from judgebench.run.predicting import label_of
from judgebench.run.run_tasks import NO_FILES

if TYPE_CHECKING:
    from judgebench.auditing.cards import JudgeCard

MODULES = ("core", "theme", "site/tables")
LIMITS = {"percent": (0.0, 100.0)}
ELSEWHERE = ("from", "flags")
"""Columns that a page shows as a link, or below the model's name."""
PLACES = ("rank", "ranks")
TOP, NEAR = 3, 2
"""So many published rows at the top of a table, and on either side of a run, are shown at first."""
PUBLISHED = "published"
Pages = Mapping[str, str]


def pages(site: Site) -> dict[str, str]:
    """The pages besides those of runs and comparisons, by their place in the site."""
    from judgebench.auditing.cards import kept_cards

    cards = kept_cards() if site.judges else []
    made = {
        "index.html": _index(site),
        "runs.html": _page(site, "runs.html", "runs", runs=_run_rows(site), broken=site.broken),
        "tasks.html": _page(site, "tasks.html", "tasks", listed=[_task_row(site, one) for one in site.tasks]),
    }
    if site.judges:
        made["judges.html"] = _page(
            site, "judges.html", "judges", listed=[_judge_row(one, _cards_of(one, cards)) for one in site.judges]
        )
    made |= {task.page: _task(site, task) for task in site.tasks}
    return made | {judge.page: _judge(site, judge, _cards_of(judge, cards)) for judge in site.judges}


def _page(site: Site, place: str, template: str, **given: object) -> str:
    """A page from its template; links in it are relative to where it lies."""

    def to(page: str, fragment: str = "") -> str:
        path = posixpath.relpath(page, posixpath.dirname(place) or ".")
        return quote(path, safe="/.") + fragment

    return (
        templates()
        .get_template(f"site_{template}.html.j2")
        .render(
            site=site,
            place=place,
            to=to,
            policy=policy(modules=MODULES),
            style=style(),
            script=script(MODULES),
            **given,
        )
    )


# -- leaderboards


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str
    bold: bool = False


@dataclass(frozen=True)
class Head:
    """A heading; its ``kind`` says what is below it: ``words``, ``number``, ``place``, ``name`` or ``plot``."""

    name: str
    kind: str


@dataclass(frozen=True)
class Row:
    """A row of a leaderboard."""

    model: str
    kind: str
    page: str
    origin: str
    """Its folder, where another row has the same name."""
    flags: str
    cells: tuple[Cell, ...]
    plot: Markup
    far: bool
    """Whether it is a published row far from every run."""


@dataclass(frozen=True)
class Table:
    """A leaderboard as a page shows it."""

    anchor: str
    task: str
    title: str
    told: str
    heads: tuple[Head, ...]
    rows: tuple[Row, ...]
    axis: Markup
    lines: tuple[str, ...]
    page: str
    """The page of its task, if that has one."""
    folded: bool
    """Whether no run is in it."""


def _index(site: Site) -> str:
    tables = [table_of(site, board) for board in site.boards]
    return _page(
        site,
        "index.html",
        "index",
        tables=tables,
        lead=_lead(site),
        starters=all(task.task_manifest.starter for one in site.tasks for _, task in one.runs),
        published=any(row.kind == PUBLISHED for table in tables for row in table.rows),
    )


def _lead(site: Site) -> str:
    models = len({one.name for one in site.runs})
    judges = f", by {counted(len(site.judges), 'judge')}" if site.judges else ""
    days = sorted(one.run.manifest.started_at[:10] for one in site.runs)
    newest = f"; the newest run is of {printable(days[-1], 10)}" if days and days[-1] else ""
    return (
        f"{counted(len(site.runs), 'run')} of {counted(models, 'model')} on {counted(len(site.tasks), 'task')}"
        f"{judges}{newest}."
    )


def table_of(site: Site, board: Board) -> Table:
    """A leaderboard's sheet with its rows linked, and a picture of the first metric beside its interval."""
    sheet, group = board.sheet, board.group
    scores = _first_scores(group)
    unit, scale = _scale(scores)
    places: list[int | None] = [*_places(sheet)]
    if scale is not None:
        places.insert(_beside_interval(sheet, places), None)
    task, _, rest = sheet.heading.partition(": ")
    title, _, told = rest.partition("; ")
    return Table(
        anchor=file_name(sheet.heading, sheet.heading),
        task=task,
        title=title,
        told=told,
        heads=tuple(_head(sheet, place, unit) for place in places),
        rows=tuple(_row(site, sheet, number, places, group, scores, scale) for number in range(len(sheet.rows))),
        axis=axis(scale, unit) if scale else Markup(""),
        lines=sheet.lines,
        page=next((one.page for one in site.tasks if one.label == task), ""),
        folded=group is not None and not group.measured and not group.bridge,
    )


def _places(sheet: Sheet) -> list[int]:
    """The columns that a page shows."""
    return [n for n, column in enumerate(sheet.columns) if not column.further and column.name not in ELSEWHERE]


def _beside_interval(sheet: Sheet, places: Sequence[int | None]) -> int:
    """Where the picture stands: behind the interval, or else behind the first number."""
    for name in ("interval", "model"):
        if (place := sheet.place(name)) in places:
            return places.index(place) + (1 if name == "interval" else 2)
    return len(places)


def _head(sheet: Sheet, place: int | None, unit: str) -> Head:
    if place is None:
        return Head(unit, "plot")
    column = sheet.columns[place]
    kind = "name" if column.name == "model" else "place" if column.name in PLACES else "words"
    return Head(column.given or column.name, kind if column.words else "number")


def _row(
    site: Site,
    sheet: Sheet,
    number: int,
    places: Sequence[int | None],
    group: Group | None,
    scores: Sequence[Score | None],
    scale: Scale | None,
) -> Row:
    texts, bold = sheet.texts[number], sheet.bold[number]
    flags, model = sheet.place("flags"), sheet.place("model")
    row = None if group is None else group.rows[number]
    return Row(
        model=row.model if row is not None else texts[model or 0],
        kind=_kind(row),
        page="" if row is None else site.page_of(row.origin),
        origin="" if row is None or row.published or len(site.called(row.model)) < 2 else row.origin,
        flags="" if flags is None else texts[flags],
        cells=tuple(Cell("") if place is None else Cell(texts[place], bold[place]) for place in places),
        plot=_plot(row, scores[number] if scores else None, scale),
        far=group is not None and _is_far(group, number),
    )


def _is_far(group: Group, number: int) -> bool:
    own = [place for place, row in enumerate(group.rows) if not row.published]
    return bool(own) and number >= TOP and all(abs(place - number) > NEAR for place in own)


def _kind(row: LeaderboardRow | None) -> str:
    if row is None:
        return "across"
    return PUBLISHED if row.published else row.kind


def _first_scores(group: Group | None) -> list[Score | None]:
    """The score that places each row, if it can be drawn."""
    if group is None or group.bridge or not group.measured or not group.headline:
        return []
    return [group.score(row, group.headline[0]) for row in group.rows]


def _scale(scores: Sequence[Score | None]) -> tuple[str, Scale | None]:
    """The unit of the scores and a scale that holds them; none if they have several."""
    ends = [end for one in scores if one is not None for end in (one.value, one.low, one.high) if end is not None]
    units = sorted({one.unit for one in scores if one is not None})
    return (units[0], scale_of(ends, LIMITS.get(units[0]))) if ends and len(units) == 1 else ("", None)


def _plot(row: LeaderboardRow | None, score: Score | None, scale: Scale | None) -> Markup:
    if row is None or score is None or score.value is None or scale is None:
        return Markup("")
    words = f"{row.model}: {figure(score.value, score.unit)}"
    if around := interval(score.low, score.high, score.unit):
        words += f" ({around})"
    mark = Mark(0, score.value, score.low, score.high, printable(words, 300), hollow=row.published)
    return forest([mark], scale, printable(words, 300))


# -- runs


@dataclass(frozen=True)
class RunRow:
    """A run in the list of all."""

    run: SiteRun
    tasks: tuple[tuple[str, str], ...]
    """Label and page."""
    judges: tuple[tuple[str, str], ...]
    status: str
    started: str
    compared: tuple[tuple[str, str], ...]
    """What it is compared with, and the page."""


def _run_rows(site: Site) -> list[RunRow]:
    """The runs, the newest first."""
    judges: dict[str, dict[str, str]] = {}
    for judge in site.judges:
        for one in judge.judged:
            judges.setdefault(one.run.origin, {})[judge.name] = judge.page
    tasks: dict[str, list[tuple[str, str]]] = {}
    for task in site.tasks:
        for run, own in task.runs:
            tasks.setdefault(run.origin, []).append((printable(own.task_manifest.label, 100), task.page))
    pairs: dict[str, list[tuple[str, str]]] = {}
    for pair in site.pairs:
        pairs.setdefault(pair.second.origin, []).append((f"{pair.why} {pair.first.name}", pair.page))
    listed = sorted(site.runs, key=lambda one: one.run.manifest.started_at, reverse=True)
    return [
        RunRow(
            run=one,
            tasks=tuple(tasks.get(one.origin, ())),
            judges=tuple(judges.get(one.origin, {}).items()),
            status=one.run.status,
            started=one.run.manifest.started_at[:16].replace("T", " "),
            compared=tuple(pairs.get(one.origin, ())),
        )
        for one in listed
    ]


# -- tasks


def _task_row(site: Site, task: SiteTask) -> tuple[SiteTask, int, int, str]:
    """A task with its numbers of protocols and judges, and what it is about."""
    protocols = {own.task_manifest.protocol_hash for _, own in task.runs}
    judges = sum(any(label_of(own.task.task_manifest) == task.label for own in judge.judged) for judge in site.judges)
    known = known_task(task.label, NO_FILES)
    return task, len(protocols), judges, "" if known is None else known.about


def _task(site: Site, task: SiteTask) -> str:
    known = known_task(task.label, NO_FILES)
    metrics = []
    if known is not None:
        by_name = {metric.name: metric for metric in known.metrics}
        metrics = [by_name[name] for name in known.headline if name in by_name]
    files = {
        (one.name, one.sha256): f"{one.origin}{', a reconstruction' if one.standin else ''}"
        for _, own in task.runs
        for one in own.task_manifest.sources
    }
    return _page(
        site,
        task.page,
        "task",
        task=task,
        known=known,
        metrics=metrics,
        tables=[table_of(site, board) for board in site.boards if _is_of(board, task.label)],
        files=sorted((name, hash, origin) for (name, hash), origin in files.items()),
    )


def _is_of(board: Board, label: str) -> bool:
    return board.group is not None and board.group.task.partition(":")[0] == label


# -- judges


def _cards_of(judge: SiteJudge, cards: "Sequence[tuple[object, JudgeCard]]") -> "list[JudgeCard]":
    """What audits of this machine found of a judge, those with a prompt of its own here first."""
    own = [card for _, card in cards if card.mark.models == judge.models or judge.asked & set(card.mark.asked)]
    return sorted(own, key=lambda card: not judge.asked & set(card.mark.asked))


def _judge_row(judge: SiteJudge, cards: "Sequence[JudgeCard]") -> tuple[SiteJudge, int, int, str]:
    """A judge, its numbers of runs and verdicts, and what decides about it."""
    runs = {one.run.origin for one in judge.judged}
    verdicts = sum(_read(one) for one in judge.judged)
    return judge, len(runs), verdicts, "; ".join(one.text for one in cards[0].mark.decisive) if cards else ""


def _read(judged: Judged) -> int:
    return judged.task.task_manifest.counts.get("read", 0)


def _judge(site: Site, judge: SiteJudge, cards: "Sequence[JudgeCard]") -> str:
    return _page(
        site,
        judge.page,
        "judge",
        judge=judge,
        rows=list(_judged_rows(site, judge)),
        bridges=bridges_behind(_predictions(judge), site.shown.bridges),
        audits=[audit_view(card, same_prompt=bool(judge.asked & set(card.mark.asked))) for card in cards],
        facts=list(_model_facts(judge)),
    )


def _predictions(judge: SiteJudge) -> Iterator[tuple[str, str, Score]]:
    """The official numbers that bridges predicted from this judge's, each task of a run once."""
    for one in {id(one.task): one for one in judge.judged}.values():
        yield from ((one.run.name, one.task.task_manifest.label, score) for score in one.task.predictions)


def _judged_rows(site: Site, judge: SiteJudge) -> Iterator[tuple[SiteRun, str, str, str, str, str]]:
    """What a judge judged: run, task and page, the judge's name there, verdicts, and those not read."""
    tasks = {task.label: task.page for task in site.tasks}
    seen = set()
    for one in judge.judged:
        manifest, counts = one.task.task_manifest, one.task.task_manifest.counts
        if (one.run.origin, manifest.label) in seen:
            continue
        seen.add((one.run.origin, manifest.label))
        names = [own.judge for own in judge.judged if own.task is one.task]
        missing = sum(counts.get(state, 0) for state in ("unread", "failed", "missing"))
        yield (
            one.run,
            printable(manifest.label, 100),
            tasks.get(label_of(manifest), ""),
            printable(", ".join(dict.fromkeys(names)), 200),
            f"{_read(one):,}",
            f"{missing:,}",
        )


def _model_facts(judge: SiteJudge) -> Iterator[tuple[str, str]]:
    """What is known of the models that judge."""
    from judgebench.errors import JudgebenchError
    from judgebench.run.known_judges import model_facts

    specs = dict.fromkeys(spec for one in judge.judged for spec in one.task.task_manifest.judge_models)
    for spec in specs:
        try:
            facts = model_facts(spec)
        except (JudgebenchError, ValueError):  # a foreign manifest may name anything
            continue
        if facts.served:
            yield "served", f"{facts.spec}: {facts.served}"
        if facts.usd_per_million is not None and any(facts.usd_per_million):
            price, reply = facts.usd_per_million
            yield "price", f"${price:g} in, ${reply:g} out per million tokens"
    for model in judge.models:
        yield "model in the protocol", printable(model, 300)
