"""The ratings of an arena as tables."""

from collections.abc import Iterator

from judgebench.arena.anchoring import MEAN
from judgebench.arena.records import Arena, Rated
from judgebench.arena.replaying import Replays
from judgebench.arena.wb_elo import WbArena
from judgebench.display import counted, dollars, figure, p_value, percent, reasons, shortened
from judgebench.exchange.sheets import Bounds, Cell, Column, Figure, Sheet, figures, words

POINTS = "characters"
"""The unit of ratings: whole numbers."""
LONGEST = 60
FOLLOWS = 0.5
"""Below this share of questions with the same winner in both orders, the judge is warned of."""
NAMED = 3
"""Circles that are named below the table."""


def sheets_of(arena: Arena) -> list[Sheet]:
    """The ratings, and the circles if there are several."""
    found = [_sheet(arena)]
    if len(arena.circles.found) > NAMED:
        rows = tuple((_circle(circle.models), f"{circle.z:.2f}") for circle in arena.circles.found)
        found.append(Sheet("circles: each beats the next", (*words("models"), *figures("least |z|")), rows, aside=True))
    return found


def flat_sheet(arena: Arena) -> Sheet:
    """All figures of all models, for programs."""
    names = Rated.__struct_fields__
    rows = tuple(tuple(getattr(model, name) for name in names) for model in arena.models)
    return Sheet("arena", tuple(Column(name, words=name in ("model", "reason")) for name in names), rows)


def _sheet(arena: Arena) -> Sheet:
    level = f"{100 * arena.level:g} % interval"
    styled = arena.style is not None and arena.style.reason is None
    elo = arena.elo_k is not None
    columns = (
        *words("model"),
        Column("rating", best="column"),
        Column(level, key="interval"),
        *figures("rank", "ranks", "points", "games"),
        *(figures("style equal", "style interval", "style rank") if styled else ()),
        *(figures("Elo", "± by order") if elo else ()),
        *(figures("published") if any(model.published is not None for model in arena.models) else ()),
    )
    rows = tuple(_row(arena, model, styled=styled, elo=elo) for model in arena.models)
    return Sheet(
        f"arena of {len(arena.models)} models: {shortened(arena.judge, 200)}",
        columns,
        rows,
        tuple(_notes(arena)),
        alerts=tuple(_alerts(arena)),
        spare=("± by order", "style rank", "style interval", "games", "points", "ranks"),
        rows_are="models",
    )


def _row(arena: Arena, model: Rated, *, styled: bool, elo: bool) -> tuple[Cell, ...]:
    ranks = "" if model.rank_low is None else f"{model.rank_low}–{model.rank_high}"
    cells: list[Cell] = [
        shortened(model.model, LONGEST),
        Figure(model.rating, POINTS, model.low, model.high, arena.level, best=True),
        Bounds(model.low, model.high, POINTS),
        model.rank,
        ranks if model.rank_low != model.rank_high else str(model.rank_low or ""),
        percent(model.share, 1),
        model.games,
    ]
    if styled:
        cells += [
            Figure(model.style_rating, POINTS),
            Bounds(model.style_low, model.style_high, POINTS),
            model.style_rank,
        ]
    if elo:
        cells += [Figure(model.elo, POINTS), Figure(model.elo_std, POINTS)]
    if any(other.published is not None for other in arena.models):
        cells.append(Figure(model.published, POINTS))
    return tuple(cells)


def _alerts(arena: Arena) -> Iterator[str]:
    if arena.unread or arena.failed:
        yield f"{arena.unread} replies held no verdict, {arena.failed} calls got no reply; they are no games"
    if arena.consistent is not None and arena.consistent < FOLLOWS:
        yield "the judge follows the place of an answer more than the answer: ratings of it say little"
    yield from reasons((model.model, model.reason) for model in arena.models if model.reason)


def _notes(arena: Arena) -> Iterator[str]:
    yield (
        f"{counted(arena.games, 'game')} on {counted(arena.questions, 'question')}, "
        f"{percent(arena.ties / arena.games)} ties" + (f"; {_played(arena)}" if arena.pairing.how != "found" else "")
    )
    yield _scale(arena)
    if arena.separable is not None:
        told = "" if arena.told_apart is None else f", {percent(arena.told_apart)} by comparing all pairs together"
        yield f"told apart: {percent(arena.separable)} of {counted(arena.pairs, 'pair')} by their intervals{told}"
    if arena.consistent is not None:
        yield f"both orders name the same winner: {percent(arena.consistent)} of questions"
    if arena.position is not None:
        yield f"the answer shown first takes {percent(arena.position, 1)} of the points"
    yield from _circles(arena)
    if arena.style is not None:
        yield from _style(arena)
    if arena.calls:
        yield counted(arena.calls, "judgement") + (f", {dollars(arena.usd)}" if arena.usd else "")
    yield from (f"note: {note}" for note in arena.notes)
    if arena.folder:
        yield f"kept in {arena.folder}"


def _played(arena: Arena) -> str:
    pairing = arena.pairing
    share = percent(pairing.games / pairing.of, 1) if pairing.of else "–"
    ends = {
        "decided": "playing on would tell no pair apart the other way round",
        "calls": f"stopped at the limit of {pairing.most:,}"
        + (f", {_open(len(pairing.unsettled))} not settled" if pairing.unsettled else ""),
        "all": "the whole round robin",
    }
    return f"{pairing.games:,} of {pairing.of:,} were played ({share}): {ends[pairing.stopped]}"


def _open(pairs: int) -> str:
    return f"{counted(pairs, 'pair')} {'is' if pairs == 1 else 'are'}"


def _scale(arena: Arena) -> str:
    by = arena.anchoring
    if by.by == MEAN:
        return "the mean rating is 1000; 400 points are odds of ten to one"
    text = f"anchored to {shortened(by.by, 100)} by {counted(len(by.shared), 'shared model')}"
    if by.rmse is not None:
        text += f", from which they differ by {figure(by.rmse, POINTS)} points (root mean square)"
    if by.spread is not None:
        text += f"; the published scale is {by.spread:.2f} times as wide"
    return text


def _circles(arena: Arena) -> Iterator[str]:
    found = arena.circles
    if not found.possible:
        return
    if not found.triads:
        yield f"circles: none of {counted(found.possible, 'three')} of models, {found.by_chance:g} by chance"
    else:
        named = "; ".join(f"{_circle(circle.models)} (|z| ≥ {circle.z:.1f})" for circle in found.found[:NAMED])
        sure = "" if found.found and found.found[0].z >= 2 else ", none beyond what few games do"
        yield (
            f"circles: {found.triads} of {counted(found.possible, 'three')} of models, {found.by_chance:g} by "
            f"chance{sure}: {named}"
        )
    if found.fit_p is not None:
        yield f"one rating per model fits the win rates of pairs: {p_value(found.fit_p)}"


def _circle(models: tuple[str, str, str]) -> str:
    return " > ".join(shortened(model, 40) for model in (*models, models[0]))


def _style(arena: Arena) -> Iterator[str]:
    style = arena.style
    if style is None:
        return
    if style.reason is not None:
        yield f"no ratings with style held equal: {style.reason}"
        return
    told = ", ".join(f"{name} {figure(value, 'coefficient')}" for name, value in style.coefficients.items())
    yield f"style held equal by {style.preset}, {style.games:,} games; coefficients: {told}"


def wb_sheet(arena: WbArena) -> Sheet:
    """WB-Elo as a table."""
    anchored = any(model.anchor is not None for model in arena.models)
    rows = tuple(
        (
            shortened(model.model, LONGEST),
            Figure(model.elo, POINTS, best=True),
            Figure(model.std, POINTS),
            Bounds(model.low, model.high, POINTS),
            model.votes,
            Figure(model.mean_score),
            *((Figure(model.anchor, POINTS),) if anchored else ()),
        )
        for model in arena.models
    )
    columns = (
        *words("model"),
        Column("WB-Elo", best="column"),
        *figures("± by order", "95 % by order", "votes", "mean score", *(("anchor",) if anchored else ())),
    )
    length = "" if arena.length_margin is None else f", a tie if lengths differ by more than {arena.length_margin:g}"
    notes = (
        f"{arena.votes:,} votes from {arena.metric} on {arena.questions:,} questions; {arena.decided:,} had a winner: "
        f"from {arena.margin:g} points on{length}",
        f"anchored to {arena.anchored_by}" if arena.anchored_by else "no anchors: ratings start at 1000",
        "the spread is that of the order of votes alone, and says nothing about other questions",
        *(f"note: {note}" for note in arena.notes),
    )
    return Sheet(f"WB-Elo of {len(arena.models)} models on {arena.task}", columns, rows, notes, rows_are="models")


def replay_sheet(found: Replays) -> Sheet:
    """What adaptive pairing would have saved on a table, and lost."""
    rows = tuple(
        (number, percent(one.share, 1), one.stopped, one.reversed, f"{one.kendall:.3f}", one.looks)
        for number, one in enumerate(found.replays, start=1)
    )
    shares = [one.share for one in found.replays]
    notes = (
        f"{found.agreeing} of {len(found.replays)} replays order every pair as the whole table does, of the "
        f"{found.told_apart} of {found.pairs} pairs that it tells apart",
        f"games played: {percent(sum(shares) / len(shares), 1)} on average, {percent(max(shares), 1)} at most",
    )
    columns = (*figures("replay", "games"), *words("stopped"), *figures("reversed", "Kendall's tau", "looks"))
    title = f"adaptive pairing replayed: {found.models} models, {found.games:,} games"
    return Sheet(title, columns, rows, notes, rows_are="replays")
