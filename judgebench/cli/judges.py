"""``judges list|info``: who judges, how its replies are read, and whether it is still served."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judgebench.cli import judge_audits, judge_suites, options
from judgebench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from judgebench.exchange.sheets import Sheet
    from judgebench.run.known_judges import CheckedFile, JudgeModel, KnownJudge
    from judgebench.run.served_judges import ServedJudge, ServedJudges

app = typer.Typer(no_args_is_help=True)
app.command("audit")(judge_audits.audit)
app.command("compare")(judge_audits.compare)
app.command("suites")(judge_suites.suites)
app.command("figures")(judge_suites.figures)
MOST_ASKED = 2
"""How many judges' labels are named of a task: those of the default, and of the starter set."""


@app.command("list")
def list_(
    task: Annotated[str | None, typer.Argument(metavar="[T]", help="Only the judges of this task.")] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Also those that are served no longer, or cannot judge here.")
    ] = False,
    models: Annotated[
        bool,
        typer.Option("--models", help="The models that vendors serve today instead, those that last longest first."),
    ] = False,
    json: options.Json = False,
) -> None:
    """List judge models that last, and the judges that tasks have by name, with until when they are served."""
    from judgebench.cli.rendering import print_json, print_sheets
    from judgebench.run.known_judges import known_judges
    from judgebench.run.served_judges import served_judges

    if models:
        if task is not None:
            raise UsageError(f"--models lists the models that can judge any task; leave {task} out")
        served = served_judges()
        if json:
            print_json(served)
        else:
            print_sheets([_models_sheet(served, every=True)])
        return
    judges = known_judges(task)
    if json:
        print_json(judges)
        return
    of_task: dict[str, list[KnownJudge]] = {}
    for judge in judges:
        of_task.setdefault(judge.task, []).append(judge)
    sheets = [_sheet(name, found, every=every) for name, found in of_task.items()]
    if task is None:
        sheets = [_models_sheet(served_judges(), every=False), *sheets, *_audits()]
    print_sheets(sheets, rest=None if every else "--all")


def _sheet(task: str, judges: "list[KnownJudge]", *, every: bool) -> "Sheet":
    from judgebench.exchange.sheets import Column, Sheet, figures, words

    shown = [judge for judge in judges if every or (judge.usable and not judge.left_behind)]
    gone = sum(judge.usable for judge in judges) - len(shown)
    barred = len(judges) - len(shown) - gone
    hidden = [f"{gone} served no longer" if gone else "", f"{barred} that cannot judge here" if barred else ""]
    choices = sorted({judge.choose.partition("=")[0] for judge in shown if "=" in judge.choose})
    agreements = {
        judge.name: (f"{found:.1f}",)
        for judge in shown
        if judge.published is not None and (found := judge.published.human_agreement) is not None
    }
    spared = ("",) if agreements else ()
    notes = [f"chosen by --tasks {choice}=…; `judgebench judges info NAME` says more" for choice in choices[:1]]
    if not every and any(hidden):
        notes.append(f"… and {' and '.join(filter(None, hidden))}: --all")
    return Sheet(
        title=f"judges of {task}",
        columns=(
            Column("judge", words=True, whole=True),
            *words("model", "served"),
            *figures("USD/M in/out", *(("people %",) if agreements else ())),
            *words("reads"),
        ),
        rows=tuple(
            (
                judge.name,
                _model(judge),
                _served(judge),
                _price(judge),
                *agreements.get(judge.name, spared),
                judge.reading,
            )
            for judge in shown
        ),
        notes=tuple(notes),
        spare=("reads", "model"),
        order=tuple(place for place, judge in enumerate(shown) if not judge.ended),
        rows_are="judges",
    )


def _models_sheet(served: "ServedJudges", *, every: bool) -> "Sheet":
    """The models that vendors serve: all, or those of which something is known as judges."""
    from judgebench.exchange.sheets import Sheet, figures, words

    shown = [judge for judge in served.judges if every or judge.known]
    ends = [judge.until for judge in served.judges if judge.until]
    notes = [
        f"on {served.today}, by what vendors had announced on {served.ends_as_of} and asked on {served.prices_as_of}"
        + (f"; the next end is {min(ends)}" if ends else "")
    ]
    if every:
        addresses = dict.fromkeys(judge.spec.removesuffix(judge.model) + "MODEL" for judge in shown)
        notes += [
            f"--judge takes {', '.join(addresses)}; open weights have no end: vllm:ID, hf:ID, or a server of your own",
            "logprobs: what its API can return (? is not known); a model that reasons returns none while it does",
            *(f"{judge.model}: {'; '.join(judge.known)}" for judge in shown if judge.known),
            "of the others nothing is known as judges: `judgebench judges audit` measures a judge",
        ]
    else:
        more = len(served.judges) - len(shown)
        notes.append(f"what is known of each, and {more} others that are served: judgebench judges list --models")
    return Sheet(
        title="judge models served today, those that last longest first"
        + ("" if every else ": those of which something is known as judges"),
        columns=(*words("model", "vendor", "served until"), *figures("USD/M in/out"), *words("logprobs")),
        rows=tuple(_model_row(judge) for judge in shown),
        notes=tuple(notes),
        keep=0 if every else len(shown),
        order=tuple(range(len(shown))),
        rows_are="models",
        asked=every,
    )


def _model_row(judge: "ServedJudge") -> tuple[str, ...]:
    until = "no end known" if judge.until is None else str(judge.until)
    price = f"{judge.usd_per_million[0]:g}/{judge.usd_per_million[1]:g}"
    return judge.model, judge.vendor, until, price, {True: "yes", False: "no", None: "?"}[judge.logprobs]


def _audits() -> "list[Sheet]":
    """The audits of this machine, if there are any: one model may have several, by other prompts."""
    from judgebench.auditing.cards import kept_cards
    from judgebench.exchange.sheets import Sheet, words

    rows = tuple(
        (
            card.judge,
            card.prompt,
            path.parent.name,
            card.mark.day,
            "; ".join(figure.text for figure in card.mark.decisive)
            + (f"; {card.mark.unfit}" if card.mark.unfit else ""),
        )
        for path, card in kept_cards()
    )
    note = "`judgebench judges info JUDGE` shows the cards, with their paths"
    columns = words("judge", "asks with", "card", "audited", "found")
    if not rows:
        return []
    return [Sheet("audits of this machine", columns, rows, (note,), spare=("audited",), rows_are="audits", asked=True)]


def _model(judge: "KnownJudge") -> str:
    if judge.model is None:
        return "named by --judge"
    address, served_here, model = judge.model.spec.partition("#")
    if served_here:
        return f"{model} at {address.partition('://')[2].partition('/')[0]}"
    return judge.model.spec.removeprefix("openai:")


def _price(judge: "KnownJudge") -> str:
    price = None if judge.model is None or judge.model.over else judge.model.usd_per_million
    return "" if price is None else f"{price[0]:g}/{price[1]:g}"


def _served(judge: "KnownJudge") -> str:
    if judge.unavailable:
        return "cannot judge here"
    if judge.model is None:
        return ""
    words = judge.model.served
    return words.replace("not served since ", "ended ").replace("served until ", "until ")


@app.command()
def info(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A judge, a task, or the path of a judge file.")],
    tasks: Annotated[
        str | None,
        typer.Option("--tasks", help="Whether a judge file fits these tasks, also of your own.", metavar="T1,T2|PATH"),
    ] = None,
    json: options.Json = False,
) -> None:
    """Describe a judge, or what a judge prompt can show of a task, or check a judge file of your own."""
    from judgebench.cli.rendering import print_json, print_lines
    from judgebench.run.known_judges import check_file, find_judges, is_task, shown_texts

    path, of_task = Path(name), is_task(name)
    if not of_task and (path.suffix in (".toml", ".yaml", ".yml", ".j2") or path.is_dir()):
        checked = check_file(path, tasks)
        print_lines(checked, _folded(_file_lines(checked)), as_json=json)
        return
    if tasks is not None:
        raise UsageError(f"--tasks says which tasks a judge file or a prompt is tried on, and {name} is none")
    if not of_task and _model_or_audited(name, as_json=json):
        return
    judges = find_judges(name)
    texts = shown_texts(name) if of_task else {}
    if json:
        print_json({"judges": judges, "texts": texts} if of_task else judges)
        return
    print_lines(judges, _folded(_task_lines(judges, texts) if of_task else _judge_lines(judges)), as_json=False)


def _model_or_audited(name: str, *, as_json: bool) -> bool:
    """Describe a judge model by its spec, with its cards; whether the name is that of one."""
    from judgebench.auditing.cards import cards_of
    from judgebench.cli.rendering import print_json, print_lines, print_sheets
    from judgebench.exchange.judge_cards import short_sheet
    from judgebench.run.known_judges import model_called, model_facts

    cards = cards_of(name)
    name = name if cards or ":" in name else model_called(name) or name
    if not cards and ":" not in name:
        return False
    model = None if "+" in name or (cards and name not in cards[0][1].judge) else model_facts(name)
    if as_json:
        print_json({"model": model, "audits": [card for _, card in cards]})
        return True
    if model is not None:
        facts = {
            "price": _cost(model),
            "logprobs": "yes" if model.logprobs else "its API returns none",
            "audits": "" if cards else f"none on this machine; judgebench judges audit {name}",
        }
        lines = [f"{_model_line(model)}", *(f"  {key}: {text}" for key, text in facts.items() if text)]
        print_lines(model, _folded(lines), as_json=False)
    for path, card in cards:
        print_sheets([short_sheet(card)], rest=None)
        print_lines(path, _folded([f"  card: {path.with_suffix('.html')}"]), as_json=False)
    return True


def _folded(lines: "Iterable[str]") -> "Iterator[str]":
    """Fold lines at the width of the terminal, below where the text of a fact begins.

    What has no space is a path or a name, and stays in one piece for whoever copies it.
    """
    import re

    from rich.console import Console

    from judgebench.display import printable
    from judgebench.exchange.terminal import folded

    width = Console().width
    for line in map(printable, lines):
        head = re.match(r"( *\{\{ \w+ \}\} +| *turns +| {2}[^:]{1,17}: | {2})?", line)
        indent = len(head[0]) if head else 0
        text = line[indent:]
        rest = folded(text, max(20, width - indent), commands=True) if " " in text else [text]
        yield line[:indent] + (rest[0] if rest else "")
        yield from (" " * indent + part for part in rest[1:])


def _judge_lines(judges: "list[KnownJudge]") -> list[str]:
    lines: list[str] = []
    for judge in judges:
        lines += [f"{judge.name}, a judge of {judge.task}"] if not lines else ["", f"{judge.name}, of {judge.task}"]
        facts = {
            "model": "named by --judge" if judge.model is None else _model_line(judge.model),
            "price": "" if judge.model is None else _cost(judge.model),
            "judges": judge.cases,
            "logprobs": "" if judge.model is None or judge.model.logprobs else "its API returns none",
            "reads": _reading(judge),
            "published": "" if judge.published is None else judge.published.text,
            "audited": "; ".join(mark.text for mark in judge.audits[:1]),
            "prompt": judge.prompt,
            "cannot judge here": judge.unavailable,
            "note": judge.about,
            "use": "" if judge.unavailable or judge.about.startswith("for the starter") else f"--tasks {judge.choose}",
        }
        lines += [f"  {key}: {text}" for key, text in facts.items() if text]
    return lines


def _reading(judge: "KnownJudge") -> str:
    """The rule, with the labels unless it names them."""
    from judgebench.judges.own_prompts import labels_told

    named = all(label in judge.reading for label in judge.labels) or "bracket" in judge.reading
    return judge.reading if named else f"{judge.reading}: {labels_told(judge.labels)}"


def _model_line(model: "JudgeModel") -> str:
    advice = f"its vendor recommends {model.advice}" if model.over and model.advice else ""
    said = "; ".join(filter(None, [model.served, advice]))
    return f"{model.spec} ({said})" if said else model.spec


def _cost(model: "JudgeModel") -> str:
    price = model.usd_per_million
    if price is None:
        return "not known"
    return f"${price[0]:g} in, ${price[1]:g} out per million tokens" if any(price) else "free"


def _task_lines(judges: "list[KnownJudge]", texts: "dict[str, dict[str, str]]") -> list[str]:
    from judgebench.judges.own_prompts import labels_told

    kinds = {
        "default": [judge.name for judge in judges if judge.default],
        "with --starter": [judge.name for judge in judges if judge.of_starter],
        "by an option": [judge.name for judge in judges if judge.usable and not (judge.default or judge.of_starter)],
    }
    lines = [f"judges of {judges[0].task}"]
    lines += [f"  {kind}: {', '.join(found)}" for kind, found in kinds.items() if found]
    for cases, names in texts.items():
        lines += ["", f"A prompt of your own (--judge-prompt FILE.j2) for {cases}"]
        of_cases = [judge for judge in judges if judge.cases == cases and judge.labels]
        asked = [judge for judge in of_cases if judge.default or judge.of_starter] or of_cases
        if told := dict.fromkeys(f"{labels_told(judge.labels)} ({judge.name})" for judge in asked[:MOST_ASKED]):
            lines.append(f"  has to ask for what is read: {'; '.join(told)}")
        lines.append("  can show:")
        widest = max(map(len, names))
        for shown, about in names.items():
            written = shown if shown == "turns" else f"{{{{ {shown} }}}}"
            lines.append(f"  {written:<{widest + 6}}  {about}")
    return lines


def _file_lines(checked: "CheckedFile") -> list[str]:
    sampling = ", ".join(f"{key} = {value}" for key, value in checked.sampling.items())
    facts = {
        "fits": ", ".join(checked.fits) or "none of the tasks below (--tasks names others, also a file of your own)",
        "replaces": f"the benchmark's {checked.replaces}" if checked.replaces else "the model only, as --judge does",
        "model": ", ".join(map(_model_line, checked.models)) or "named by another --judge",
        "price": "; ".join(dict.fromkeys(map(_cost, checked.models))) or "that of the other",
        "prompt": f"sha256 {checked.prompt_sha256[:12]}" if checked.prompt_sha256 else "the benchmark's own",
        "reads": checked.reading,
        "sampling": sampling or "the default",
        "order": checked.order or "the benchmark's own",
    }
    lines = [f"{checked.path} is valid", *(f"  {key}: {text}" for key, text in facts.items())]
    reads = ((task if Path(task).exists() else f"with --starter, {task}", told) for task, told in checked.reads.items())
    lines += [f"  {task} reads: {told}" for task, told in reads]
    return [*lines, *(f"  does not fit {', '.join(misfits)}: {why}" for why, misfits in checked.reasons.items())]
