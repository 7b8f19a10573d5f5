"""``eval``, ``generate`` and ``judge``: the commands that ask models."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judgebench.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from judgebench.errors import JudgebenchError
    from judgebench.settings import Settings
    from judgebench.store import Results


def _read_config(context: typer.Context, path: Path | None) -> Path | None:
    """``--config run.toml``: its keys are the long flags, and flags on the command line win."""
    if path is None:
        return None
    from judgebench.errors import UsageError
    from judgebench.files import read_toml
    from judgebench.records import LARGEST

    found = read_toml(path, "--config")
    known = {parameter.name: parameter for parameter in context.command.params}
    settings: dict[str, Any] = {}
    for key, value in found.items():
        name = key.replace("-", "_")
        if name not in known or name == "config":
            raise UsageError(f"--config {path}: there is no flag --{key.replace('_', '-')}")
        parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
        if not all(isinstance(part, str | int | float) for part in parts):
            raise UsageError(
                f"--config {path}: {key} must be a text, a number, true or false, or for a flag that can be given "
                f"several times a list or a table of those"
            )
        if not all(abs(part) <= LARGEST for part in parts if isinstance(part, int | float)):
            raise UsageError(f"--config {path}: {key} = {str(value)[:40]} is no number that could be meant")
        if isinstance(value, dict):
            value = [f"{k}={v}" for k, v in value.items()]
        repeated = getattr(known[name], "multiple", False)
        if isinstance(value, list) and not repeated:
            raise UsageError(f"--config {path}: {key} is given once, so it cannot be a list or a table")
        settings[name] = [value] if repeated and not isinstance(value, list) else value
    context.default_map = {**(context.default_map or {}), **settings}
    return path


Config = Annotated[
    Path | None,
    typer.Option(help="Flags from a TOML file.", metavar="FILE", callback=_read_config, is_eager=True),
]
Models = Annotated[
    list[str],
    typer.Option(
        "--model",
        help="Model under test: a checkpoint folder or hub id, hf:ID, vllm:ID, openai:NAME, anthropic:NAME, "
        "http://HOST:PORT/v1#NAME, file:outputs.json or builtin:tiny. Given several times, or with a pattern such as "
        "'ckpt/step_*', each in turn.",
        metavar="M",
    ),
]
Tasks = Annotated[
    str | None, typer.Option(help="Tasks, comma separated: NAME[@VERSION][:KEY=VALUE,…].", metavar="T1,T2")
]
Out = Annotated[Path | None, typer.Option(help="Run folder. Default: runs/<model>/<time>-<hash>.", metavar="DIR")]
Limit = Annotated[int | None, typer.Option(help="Only the first N examples.", min=1, metavar="N")]
Ids = Annotated[Path | None, typer.Option(help="Only the examples whose ids stand in FILE.", metavar="FILE")]
Starter = Annotated[
    bool, typer.Option("--starter", help="The bundled starter set: works with nothing, comparable with nothing.")
]
Baseline = Annotated[
    str | None,
    typer.Option(
        help="Compare with a file of outputs, or with some of the benchmark's several baselines, by name.",
        metavar="FILE|NAME[,NAME]",
    ),
]
ModelArgs = Annotated[list[str], typer.Option(help="Setting of the model's backend.", metavar="K=V")]
LmEvalArgs = Annotated[
    str, typer.Option("--model-args", help="Comma-separated K=V pairs, as lm-eval spells --model-arg.", hidden=True)
]
ModelOutputs = Annotated[
    Path | None, typer.Option("--model-outputs", help="As alpaca_eval spells --model file:F.", hidden=True)
]
Preset = Annotated[
    str | None, typer.Option(help="A paper's sampling of the answers; a wrong name lists them.", metavar="NAME")
]
Refine = Annotated[
    list[Path],
    typer.Option(
        help="Prompt that each answer goes through before it counts, with {response} and {instruction} filled in; "
        "without {response} it goes on with the conversation. Given several times, one after the other; every step is "
        "a run of its own.",
        metavar="FILE",
    ),
]
Gen = Annotated[list[str], typer.Option(help="Sampling of the answers, such as temperature=0.7.", metavar="K=V")]
System = Annotated[str | None, typer.Option(help="System message before each conversation.", metavar="TEXT")]
ChatTemplate = Annotated[
    str | None, typer.Option(help="Chat template of a local model: auto, none or a file.", metavar="auto|none|FILE")
]
Thinking = Annotated[
    str,
    typer.Option(
        help="A thinking model: auto (the template decides, tagged thinking is cut off), on (asked to think; a reply "
        "that never closes its thinking is empty), off (asked not to; replies are taken whole).",
        metavar="auto|on|off",
    ),
]
Repeats = Annotated[
    int, typer.Option(help="Ask each example K times: maj@k and pass@k of a verified task.", min=1, metavar="K")
]
StopWhen = Annotated[
    str | None,
    typer.Option(
        help="Judge in random order and stop when enough is known: 'ci<1.5', or 'METRIC ci<1.5', for an interval "
        "narrower than plus or minus 1.5.",
        metavar="RULE",
    ),
]
Concurrency = Annotated[int | None, typer.Option(help="Most requests in flight to the model.", min=1, metavar="N")]
JudgeConcurrency = Annotated[int | None, typer.Option(help="Most requests in flight to the judge.", min=1, metavar="N")]
Replicas = Annotated[
    int, typer.Option(help="Engines of the model, each in a Ray actor with a device of its own.", min=1, metavar="N")
]
Cluster = Annotated[
    str | None, typer.Option(help="Ray cluster for the replicas, or auto. Default: this machine.", metavar="ADDRESS")
]
Rpm = Annotated[float | None, typer.Option(help="Most requests a minute to an endpoint.", min=0.001, metavar="N")]
Tpm = Annotated[float | None, typer.Option(help="Most tokens a minute to an endpoint.", min=1, metavar="N")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be asked and what it may cost; send nothing.")]


def evaluate(
    config: Config = None,
    model: Models = [],  # noqa: B006 - typer reads the default and copies it
    tasks: Tasks = None,
    judge: options.Judges = [],  # noqa: B006
    out: Out = None,
    limit: Limit = None,
    ids: Ids = None,
    starter: Starter = False,
    baseline: Baseline = None,
    model_arg: ModelArgs = [],  # noqa: B006
    judge_repeats: options.JudgeRepeats = 1,
    judge_arg: options.JudgeArgs = [],  # noqa: B006
    preset: Preset = None,
    gen: Gen = [],  # noqa: B006
    judge_gen: options.JudgeGen = [],  # noqa: B006
    system: System = None,
    chat_template: ChatTemplate = None,
    thinking: Thinking = "auto",
    think_tags: options.ThinkTags = [],  # noqa: B006
    repeats: Repeats = 1,
    refine: Refine = [],  # noqa: B006
    stop_when: StopWhen = None,
    labels: options.Labels = None,
    api_key_env: options.KeyEnv = None,
    concurrency: Concurrency = None,
    judge_concurrency: JudgeConcurrency = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    budget: options.Budget = None,
    replicas: Replicas = 1,
    cluster: Cluster = None,
    track: options.Track = [],  # noqa: B006
    mirror: options.Mirror = [],  # noqa: B006
    offline: options.Offline = False,
    dry_run: DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    model_args: LmEvalArgs = "",
    model_outputs: ModelOutputs = None,
) -> None:
    """Answer a benchmark's examples, have the answers judged, print the scores.

    Start the same command again after an interruption: it goes on where it was.
    """
    given = {
        key: value
        for key, value in locals().items()
        if key not in ("config", "dry_run", "json", "quiet", "track", "verbose")
    }
    plans = _plans(**given)
    if dry_run:
        from judgebench.cli.tables import print_estimate
        from judgebench.dry_run import estimate

        print_estimate([one for settings in plans for one in estimate(settings)], as_json=json)
        return
    _report(plans, json=json, quiet=quiet, verbose=verbose, track=track)


def generate(
    config: Config = None,
    model: Models = [],  # noqa: B006 - typer reads the default and copies it
    tasks: Tasks = None,
    out: Out = None,
    limit: Limit = None,
    ids: Ids = None,
    starter: Starter = False,
    model_arg: ModelArgs = [],  # noqa: B006
    preset: Preset = None,
    gen: Gen = [],  # noqa: B006
    system: System = None,
    chat_template: ChatTemplate = None,
    thinking: Thinking = "auto",
    think_tags: options.ThinkTags = [],  # noqa: B006
    repeats: Repeats = 1,
    refine: Refine = [],  # noqa: B006
    api_key_env: options.KeyEnv = None,
    concurrency: Concurrency = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    budget: options.Budget = None,
    replicas: Replicas = 1,
    cluster: Cluster = None,
    mirror: options.Mirror = [],  # noqa: B006
    offline: options.Offline = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    model_args: LmEvalArgs = "",
) -> None:
    """Answer a benchmark's examples into a run folder; `judgebench judge` goes on from there."""
    given = {key: value for key, value in locals().items() if key not in ("config", "json", "quiet", "verbose")}
    _report(_plans(**given), json=json, quiet=quiet, verbose=verbose, judge=False)


def judge(
    run: Annotated[Path, typer.Argument(help="Run folder with answers.")],
    judge: options.Judges = [],  # noqa: B006
    judge_repeats: options.JudgeRepeats = 1,
    judge_arg: options.JudgeArgs = [],  # noqa: B006
    judge_gen: options.JudgeGen = [],  # noqa: B006
    think_tags: options.ThinkTags = [],  # noqa: B006
    api_key_env: options.KeyEnv = None,
    judge_concurrency: JudgeConcurrency = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    budget: options.Budget = None,
    tasks: options.TaskFiles = "",
    mirror: options.Mirror = [],  # noqa: B006
    offline: options.Offline = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Have the answers of a run folder judged, as far as they are not yet."""
    given = {key: value for key, value in locals().items() if key not in ("run", "json", "quiet", "verbose")}
    settings = _settings(**given)
    from judgebench.cli.progress import Progress
    from judgebench.cli.tables import print_results
    from judgebench.errors import Interrupted
    from judgebench.runner import Runner
    from judgebench.store import RunFolder
    from judgebench.tasks import task_files

    task_files(tasks)
    with Progress(shown=not quiet) as progress:
        runner = Runner(settings, progress.update)
        try:
            results = runner.rejudge(RunFolder(run))
        except KeyboardInterrupt as error:
            raise Interrupted(runner.kept, error) from error
    print_results(results, RunFolder(run).require_manifest(), as_json=json, verbose=verbose)


def _plans(**given: Any) -> "list[Settings]":
    """The runs that the flags ask for: one for each model and each step of refinement."""
    import dataclasses

    from judgebench.display import slug
    from judgebench.errors import UsageError
    from judgebench.models.opening import expand
    from judgebench.store import RunFolder

    prompts = tuple(_prompt(path) for path in given.pop("refine"))
    models = [name for text in given.pop("model") for name in expand(text)]
    if (outputs := given.pop("model_outputs", None)) is not None:
        models.append(f"file:{outputs}")
    common = _settings(**given)
    if not models:
        raise UsageError("--model is missing; name the model under test")
    if len(models) == 1 and not prompts:
        return [dataclasses.replace(common, model=models[0])]
    if common.out is not None and RunFolder(common.out).manifest() is not None:
        raise UsageError(
            f"{common.out} holds a run itself; of several models or steps each gets a folder of its own in --out, so "
            "choose another"
        )
    plans = []
    for model in models:
        for steps in range(len(prompts) + 1):
            suffix = f"-refine{steps}" if steps else ""
            out = None if common.out is None else common.out / f"{slug(model)}{suffix}"
            plans.append(dataclasses.replace(common, model=model, refine=prompts[:steps], out=out))
    return plans


def _prompt(path: Path) -> str:
    from judgebench.errors import UsageError
    from judgebench.files import read_text

    try:
        return read_text(path)
    except OSError as error:
        raise UsageError(f"--refine {path} cannot be read: {error}") from error


def _settings(**given: Any) -> "Settings":
    from judgebench.errors import UsageError
    from judgebench.settings import Settings
    from judgebench.thinking import POLICIES, parse_tags

    given["mirrors"] = options.mirrors(given.pop("mirror"))
    lm_eval_args = [part for part in given.pop("model_args", "").split(",") if part]
    if "model_arg" in given:
        given["model_args"] = options.pairs([*given.pop("model_arg"), *lm_eval_args], "--model-arg")
    for name in ("judge_arg", "gen", "judge_gen"):
        if name in given:
            field = "judge_args" if name == "judge_arg" else name
            given[field] = options.pairs(given.pop(name), f"--{name.replace('_', '-')}")
    given["judges"] = tuple(given.pop("judge", ()))
    given["think_tags"] = parse_tags(given.pop("think_tags", ()))
    if given.get("thinking", "auto") not in POLICIES:
        raise UsageError(f"--thinking {given['thinking']!r} is not one of {', '.join(POLICIES)}")
    if given["tasks"] is None:
        raise UsageError("--tasks is missing; `judgebench tasks list` shows what there is")
    return Settings(argv=tuple(sys.argv), **given)


def _report(
    plans: "Sequence[Settings]",
    *,
    json: bool,
    quiet: bool,
    verbose: bool,
    judge: bool = True,
    track: Sequence[str] = (),
) -> None:
    """Make the runs one after the other. Of several, one that fails does not keep the next from being made."""
    from judgebench.cli.tables import print_json, print_notes, print_results
    from judgebench.errors import BudgetExceeded, JudgebenchError, SeveralFailed
    from judgebench.store import RunFolder
    from judgebench.tracking import require_trackers

    require_trackers(track)
    found: list[Results] = []
    failures: list[tuple[str, JudgebenchError]] = []
    left = plans[0].budget
    for settings in plans:
        results, spent, failure = _run(settings, left, quiet=quiet, judge=judge)
        left = None if left is None else max(0.0, left - spent)
        if results is not None:
            found.append(results)
            options.report_to(track, RunFolder(Path(results.run)))
            manifest = RunFolder(Path(results.run)).require_manifest()
            if json:
                print_notes(manifest)
            else:
                print_results(results, manifest, as_json=False, verbose=verbose)
        if failure is not None and (len(plans) == 1 or isinstance(failure, BudgetExceeded)):
            if json and found:
                print_json(found[0] if len(plans) == 1 else found)
            raise failure
        if failure is not None:
            failures.append((str(settings.model), failure))
    if json:
        print_json(found[0] if len(plans) == 1 else found)
    elif len(found) > 1:
        from judgebench.cli.leaderboard import print_tables
        from judgebench.ranking import in_one_table
        from judgebench.run_folders import read_runs
        from judgebench.tasks import files_among, named

        files = files_among(named(plans[0].tasks))
        print_tables(in_one_table(read_runs([Path(results.run) for results in found], files).readable), files=files)
    if failures:
        raise SeveralFailed(failures, of=len(plans))


def _run(
    settings: "Settings", budget: float | None, *, quiet: bool, judge: bool
) -> "tuple[Results | None, float, JudgebenchError | None]":
    """One run: what it found, the USD it paid, and what it failed of, if it did."""
    import dataclasses

    from judgebench.cli.progress import Progress
    from judgebench.errors import Incomplete, Interrupted, JudgebenchError
    from judgebench.runner import Runner

    with Progress(shown=not quiet) as progress:
        runner = Runner(dataclasses.replace(settings, budget=budget), progress.update)
        try:
            return runner.evaluate(judge=judge), runner.spent, None
        except KeyboardInterrupt as error:
            raise Interrupted(runner.kept, error) from error
        except Incomplete as error:
            return (runner.folder.results() if runner.folder else None), runner.spent, error
        except JudgebenchError as error:
            return None, runner.spent, error
