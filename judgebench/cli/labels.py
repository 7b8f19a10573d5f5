"""``labels sample|agree``: which answers people should compare, and what their labels say of judge and score."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from msgspec import structs

from judgebench.cli import options
from judgebench.cli.rendering import show
from judgebench.display import figure, percent, reasons, rough
from judgebench.exchange.sheets import NONE, Bounds, Cell, Sheet, figures, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from judgebench.analysis.label_agreement import AgreementFigure, LabelAgreement
    from judgebench.analysis.label_sample import LabelSample
    from judgebench.data.sources import SourceFinder
    from judgebench.records import Score
    from judgebench.run.reading import TaskRun

app = typer.Typer(no_args_is_help=True)


@app.command()
def sample(
    run: Annotated[Path, typer.Argument(help="Run folder or archive.")],
    out: Annotated[Path, typer.Option(help="File to write: .csv to fill in, .html for a page.", metavar="FILE")],
    n: Annotated[int, typer.Option(help="Number of examples to label.", min=2, metavar="N")] = 100,
    strata: Annotated[
        Literal["verdict", "category", "length", "none"],
        typer.Option(help="Draw from strata of the judge's verdicts, of groups, or of lengths."),
    ] = "verdict",
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
    agreement: Annotated[
        float | None,
        typer.Option(help="Expected share of verdicts on which a human agrees with the judge.", metavar="SHARE"),
    ] = None,
    pilot: Annotated[
        Path | None, typer.Option(help="A few labels, to take that share from instead.", metavar="FILE")
    ] = None,
    tasks: options.TasksOfRuns = [],  # noqa: B006 - typer reads the default and copies it
    mirror: options.Mirror = [],  # noqa: B006 - typer reads the default and copies it
    offline: options.Offline = False,
    json: options.Json = False,
) -> None:
    """Draw the answers of a run that people should compare with the baseline's, blind, and write them to a file."""
    from judgebench.analysis.label_sample import Wish, draw
    from judgebench.exchange.label_forms import require_new, write_sample
    from judgebench.run.labels import read_labels

    require_new(out)
    task, files = options.chosen(tasks)
    found, finder = _opened(run, task, files, mirror, offline=offline)
    labels = None
    if pilot is not None:
        labels = read_labels([pilot], found.key, found.load_data(finder), names=("",), flag="--pilot ")
    made = draw(found, finder, Wish(n=n, strata=strata, seed=seed, agreement=agreement, pilot=labels))
    write_sample(made, out)
    shown = structs.replace(made, pairs=())
    show("json" if json else "rich", shown, lambda: _sample_sheets(made, run, files, out))


def _opened(
    run: Path, task: str | None, files: str, mirror: list[Path], *, offline: bool
) -> "tuple[TaskRun, SourceFinder]":
    """The task whose answers are labelled, and a finder of its files."""
    from judgebench.analysis.label_sample import task_to_label
    from judgebench.run.loading import source_finder
    from judgebench.run.reading import read_run
    from judgebench.run.settings import settings_from_flags
    from judgebench.tasks import task_files

    found = task_to_label(read_run(run, task_files(files)), task)
    return found, source_finder(settings_from_flags({"tasks": files, "mirror": mirror, "offline": offline}))


def _sample_sheets(made: "LabelSample", run: Path, files: str, out: Path) -> list[Sheet]:
    from judgebench.run.labels import WIN_SHARE
    from judgebench.tasks import files_flag

    named, own = shlex.quote(str(run)), files_flag(files)

    drawn = sum(stratum.drawn for stratum in made.strata)
    strata = Sheet(
        f"{drawn} of {made.population} examples of {made.task} to label, drawn by {made.strata_by} (seed {made.seed})",
        (*words("stratum", "what"), *figures("examples", "to label", "chance")),
        tuple((one.name, one.about, one.items, one.drawn, percent(one.drawn / one.items, 1)) for one in made.strata),
        notes=tuple(_shortfall(made, drawn)),
    )
    widths = Sheet(
        f"half the width of the 95 % interval of {made.metric} to expect, in {made.unit}",
        figures("labels", "humans alone", "with the judge", "drawn like this", "worth labels"),
        tuple(
            (
                one.labels,
                rough(one.humans_alone),
                rough(one.with_judge),
                rough(one.this_sample),
                round(one.worth * one.labels),
            )
            for one in made.widths
        ),
        notes=(
            f"a human and the judge agree on {percent(made.agreement)} of the decided examples: {made.agreement_source}"
            + (" (--agreement, or --pilot LABELS, says better)" if made.agreement_source == "assumed" else ""),
            "drawn like this: by these strata, with the judge; worth labels: how many of humans alone do as well",
            f"written to {out}, without saying whose answer is whose",
            *(
                ["then: write 1 or 2 (that answer is better), tie or skip into the column label"]
                if out.suffix == ".csv"
                else []
            ),
            f"then: judgebench labels agree {named} LABELS.csv…{own}",
            *([] if made.metric == WIN_SHARE else [f"or: judgebench score {named}{own} --labels LABELS.csv"]),
        ),
    )
    return [strata, widths]


def _shortfall(made: "LabelSample", drawn: int) -> "Iterator[str]":
    """Why there are fewer rows than somebody may expect."""
    if made.asked > drawn:
        yield f"--n {made.asked} is more than there are to label: all {drawn} are drawn"
    if made.left_out:
        yield f"examples without an answer, a baseline's answer or a verdict, left out: {made.left_out}"


@app.command()
def agree(
    run: Annotated[Path, typer.Argument(help="The run whose answers were labelled.")],
    labels: Annotated[list[Path], typer.Argument(help="Files of labels, one or more.", metavar="LABELS…")],
    tasks: options.TasksOfRuns = [],  # noqa: B006 - typer reads the default and copies it
    mirror: options.Mirror = [],  # noqa: B006 - typer reads the default and copies it
    offline: options.Offline = False,
    everything: options.All = False,
    json: options.Json = False,
) -> None:
    """Say how far the judge agrees with people, they among each other, and what score they would give."""
    from judgebench.analysis.label_agreement import agreement_with
    from judgebench.run.labels import read_labels

    task, files = options.chosen(tasks)
    found, finder = _opened(run, task, files, mirror, offline=offline)
    data = found.load_data(finder)
    given = read_labels(labels, found.key, data, names=[path.stem for path in labels], flag="")
    made = agreement_with(found, data, given)
    show("json" if json else "rich", made, lambda: _agreement_sheets(made), rest=options.rest(everything))


def _agreement_sheets(made: "LabelAgreement") -> list[Sheet]:
    people = ", ".join(f"{one.name or 'one person'} ({one.labels})" for one in made.annotators)
    agreement = Sheet(
        f"{_judge_of(made)} beside people on {made.examples} examples of {made.task}",
        (*words("what"), *figures("agreement", "95 % interval", "n")),
        tuple((one.about, _of_unit(one.value, one.unit), _bounds(one), one.n) for one in made.figures),
        notes=(f"labels by {people}", *reasons((one.about, one.reason) for one in made.figures)),
    )
    corrected = Sheet(
        f"{made.metric}, as people would give it",
        (*words("by"), *figures(made.metric, "95 % interval", "n")),
        tuple(_score_rows(made)),
        notes=(
            *reasons((NAMES.get(_kind(one), one.metric), one.reason) for one in made.scores),
            *_worth(made),
            f"examples with a verdict and without a label: {made.judged.n - made.examples:,} of {made.judged.n:,}",
            *made.notes,
        ),
    )
    return [agreement, corrected]


def _judge_of(made: "LabelAgreement") -> str:
    """The evaluator, and the model that played it."""
    models = ", ".join(made.judges) or "the judge"
    return f"{', '.join(made.evaluators)} ({models})" if made.evaluators else models


NAMES = {
    "ppi": "people and judge (prediction-powered)",
    "rogan_gladen": "judge, corrected by its error rates (Rogan-Gladen)",
}


def _kind(score: "Score") -> str:
    return "ppi" if score.metric.endswith("_ppi") else "rogan_gladen"


def _of_unit(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    return percent(value, 1) if unit == "share" else f"{value:.2f}"


def _bounds(one: "AgreementFigure") -> str:
    if one.low is None or one.high is None:
        return NONE
    return f"{_of_unit(one.low, one.unit).removesuffix(' %')} – {_of_unit(one.high, one.unit).removesuffix(' %')}"


def _score_rows(made: "LabelAgreement") -> "Iterator[tuple[Cell, ...]]":
    judged = made.judged
    yield "the judge alone, uncorrected", figure(judged.value, judged.unit), _interval(judged), judged.n
    powered = next(score for score in made.scores if _kind(score) == "ppi")
    alone, bounds = powered.details.get("humans_alone"), powered.details.get("humans_alone_interval")
    low, high = bounds or (None, None)
    yield "people alone", figure(alone, judged.unit), Bounds(low, high, judged.unit), powered.details["n_labelled"]
    for score in made.scores:
        yield NAMES[_kind(score)], figure(score.value, score.unit), _interval(score), score.n


def _interval(score: "Score") -> Bounds:
    return Bounds(score.low, score.high, score.unit)


def _worth(made: "LabelAgreement") -> "Iterator[str]":
    """What the judge was worth."""
    powered = next(score for score in made.scores if _kind(score) == "ppi")
    worth, n = powered.details.get("effective_labels"), powered.details["n_labelled"]
    if worth is not None:
        yield f"the judge made {n} labels worth {worth:.0f}"
