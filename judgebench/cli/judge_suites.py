"""``judges suites|figures``: the public suites of people's judgements, and figures from decisions made elsewhere."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judgebench.cli import options
from judgebench.errors import UsageError

if TYPE_CHECKING:
    from judgebench.auditing.suite import Suite
    from judgebench.data.sources import SourceFinder
    from judgebench.exchange.sheets import Sheet

ORDERS = {"both": "both orders", "one": "one drawn order", "stored": "the order stored"}


def suites(
    mirror: options.Mirror = [],  # noqa: B006 - typer reads the default and copies it
    json: options.Json = False,
) -> None:
    """List the suites that judges are audited on: what they hold, whose they are, and whether their files are here."""
    from judgebench.auditing.suites import SUITES
    from judgebench.cli.data import finder_of
    from judgebench.cli.rendering import print_json, print_sheets

    finder = finder_of(mirror, offline=True)
    if json:
        print_json([_record(suite, finder) for suite in SUITES.values()])
        return
    print_sheets([_sheet(list(SUITES.values()), finder)])


def _record(suite: "Suite", finder: "SourceFinder") -> dict[str, object]:
    return {
        "name": suite.name,
        "about": suite.about,
        "paper": suite.paper,
        "orders": suite.orders,
        "headline": suite.headline[0],
        "options": {name: list(values) for name, values in suite.choices.items()},
        "files": [
            {
                "name": source.name,
                "place": source.place,
                "sha256": source.sha256,
                "licence": source.licence,
                "here": finder.locate(source) or "no",
            }
            for source in suite.sources
        ],
    }


def _sheet(known: "list[Suite]", finder: "SourceFinder") -> "Sheet":
    from judgebench.exchange.sheets import Sheet, words

    rows = []
    for suite in known:
        sources = suite.sources
        here = Counter(finder.locate(source) for source in sources)
        found = f"{len(sources) - here[None]} of {len(sources)}"
        licences = ", ".join(dict.fromkeys(source.licence for source in sources))
        asked = ORDERS[suite.orders] + (f", {suite.repeats} times" if suite.repeats > 1 else "")
        choices = "; ".join(f"{name}={'|'.join(values)}" for name, values in suite.choices.items())
        rows.append((suite.name, suite.about, asked, found, licences, suite.paper, choices))
    return Sheet(
        "",
        words("suite", "what it holds", "asked in", "files here", "licence", "paper", "options"),
        tuple(rows),
        ("judges audit J --on SUITE asks a judge; data fetch SUITE gets the files beforehand",),
        spare=("options", "paper", "licence", "asked in"),
        asked=True,
        rows_are="suites",
    )


def figures(
    suite: Annotated[str, typer.Argument(help="The suite; `judges suites` lists them.", metavar="SUITE")],
    file: Annotated[
        Path,
        typer.Argument(
            help='Decisions as JSON lines: {"item": …, "order": "12" or "21", "shown": "A>B", "A=B", "B>A" or null}; '
            'or with "scores": [s1, s2] of a judge of single answers.',
            metavar="FILE.jsonl",
        ),
    ],
    option: Annotated[
        list[str],
        typer.Option("--option", help="Option of the suite's figures, such as null_as=tie. Repeatable.", metavar="K=V"),
    ] = [],  # noqa: B006
    seed: Annotated[int, typer.Option(help="Seed that one order for each item was drawn with.")] = 0,
    mirror: options.Mirror = [],  # noqa: B006
    offline: options.Offline = False,
    json: options.Json = False,
    everything: options.All = False,
) -> None:
    """Compute a suite's figures from decisions that a judge made before, here or elsewhere. No judge is asked."""
    from judgebench.auditing.suites import get_suite, report_of_file, require_files
    from judgebench.cli.data import finder_of
    from judgebench.cli.rendering import print_json, print_sheets
    from judgebench.exchange.judge_cards import report_sheet

    chosen = get_suite(suite)
    settings = _options(option)
    chosen.settings(settings)
    finder = finder_of(mirror, offline=offline)
    require_files([chosen], finder)
    report = report_of_file(chosen, file, lambda source: finder.fetch(source)[0], settings, seed=seed)
    if json:
        print_json(report)
        return
    print_sheets([report_sheet(report)], rest=options.rest(everything))


def _options(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for (name, equals, value), text in zip(pairs, given, strict=True):
        if not (name and equals and value):
            raise UsageError(f"--option takes KEY=VALUE, such as null_as=tie; found {text[:60]!r}")
    return {name: value for name, _, value in pairs}
