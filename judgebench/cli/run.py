"""``eval``, ``generate`` and ``judge``: the commands that ask models."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judgebench.cli import options

if TYPE_CHECKING:
    from judgebench.settings import Settings


def _read_config(context: typer.Context, path: Path | None) -> Path | None:
    """``--config run.toml``: its keys are the long flags, and flags on the command line win."""
    if path is None:
        return None
    import tomllib

    from judgebench.errors import UsageError

    try:
        found = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"--config {path} cannot be read: {error}") from error
    known = {parameter.name: parameter for parameter in context.command.params}
    settings: dict[str, Any] = {}
    for key, value in found.items():
        name = key.replace("-", "_")
        if name not in known or name == "config":
            raise UsageError(f"--config {path}: there is no flag --{key.replace('_', '-')}")
        if isinstance(value, dict):
            value = [f"{k}={v}" for k, v in value.items()]
        repeated = getattr(known[name], "multiple", False)
        settings[name] = [value] if repeated and not isinstance(value, list) else value
    context.default_map = {**(context.default_map or {}), **settings}
    return path


Config = Annotated[
    Path | None,
    typer.Option(help="Flags from a TOML file.", metavar="FILE", callback=_read_config, is_eager=True),
]
Model = Annotated[
    str | None,
    typer.Option(
        help="Model under test: a checkpoint folder or hub id, hf:ID, openai:NAME, http://HOST:PORT/v1#NAME, "
        "file:outputs.json or builtin:tiny.",
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
    str | None, typer.Option(help="Compare with another baseline: a file of outputs.", metavar="NAME|FILE")
]
ModelArgs = Annotated[list[str], typer.Option(help="Setting of the model's backend.", metavar="K=V")]
LmEvalArgs = Annotated[
    str, typer.Option("--model-args", help="Comma-separated K=V pairs, as lm-eval spells --model-arg.", hidden=True)
]
ModelOutputs = Annotated[
    Path | None, typer.Option("--model-outputs", help="As alpaca_eval spells --model file:F.", hidden=True)
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
KeyEnv = Annotated[str | None, typer.Option(help="Environment variable that holds the API key.", metavar="NAME")]
Concurrency = Annotated[int | None, typer.Option(help="Most requests in flight to the model.", min=1, metavar="N")]
JudgeConcurrency = Annotated[int | None, typer.Option(help="Most requests in flight to the judge.", min=1, metavar="N")]
Rpm = Annotated[float | None, typer.Option(help="Most requests a minute to an endpoint.", min=0.001, metavar="N")]
Tpm = Annotated[float | None, typer.Option(help="Most tokens a minute to an endpoint.", min=1, metavar="N")]
Budget = Annotated[float | None, typer.Option(help="Hard ceiling on spending, in USD.", min=0, metavar="USD")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be asked and what it may cost; send nothing.")]


def evaluate(
    config: Config = None,
    model: Model = None,
    tasks: Tasks = None,
    judge: options.Judges = [],  # noqa: B006
    out: Out = None,
    limit: Limit = None,
    ids: Ids = None,
    starter: Starter = False,
    baseline: Baseline = None,
    model_arg: ModelArgs = [],  # noqa: B006 - typer reads the default and copies it
    judge_repeats: options.JudgeRepeats = 1,
    judge_arg: options.JudgeArgs = [],  # noqa: B006
    gen: Gen = [],  # noqa: B006
    judge_gen: options.JudgeGen = [],  # noqa: B006
    system: System = None,
    chat_template: ChatTemplate = None,
    thinking: Thinking = "auto",
    repeats: Repeats = 1,
    api_key_env: KeyEnv = None,
    concurrency: Concurrency = None,
    judge_concurrency: JudgeConcurrency = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    budget: Budget = None,
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
    settings = _settings(**given)
    if dry_run:
        from judgebench.cli.tables import print_estimate
        from judgebench.dry_run import estimate

        print_estimate(estimate(settings), as_json=json)
        return
    _report(settings, json=json, quiet=quiet, verbose=verbose, track=track)


def generate(
    config: Config = None,
    model: Model = None,
    tasks: Tasks = None,
    out: Out = None,
    limit: Limit = None,
    ids: Ids = None,
    starter: Starter = False,
    model_arg: ModelArgs = [],  # noqa: B006
    gen: Gen = [],  # noqa: B006
    system: System = None,
    chat_template: ChatTemplate = None,
    thinking: Thinking = "auto",
    repeats: Repeats = 1,
    api_key_env: KeyEnv = None,
    concurrency: Concurrency = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    budget: Budget = None,
    mirror: options.Mirror = [],  # noqa: B006
    offline: options.Offline = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    model_args: LmEvalArgs = "",
) -> None:
    """Answer a benchmark's examples into a run folder; `judgebench judge` goes on from there."""
    given = {key: value for key, value in locals().items() if key not in ("config", "json", "quiet", "verbose")}
    _report(_settings(**given), json=json, quiet=quiet, verbose=verbose, judge=False)


def judge(
    run: Annotated[Path, typer.Argument(help="Run folder with answers.")],
    judge: options.Judges = [],  # noqa: B006
    judge_repeats: options.JudgeRepeats = 1,
    judge_arg: options.JudgeArgs = [],  # noqa: B006
    judge_gen: options.JudgeGen = [],  # noqa: B006
    api_key_env: KeyEnv = None,
    judge_concurrency: JudgeConcurrency = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    budget: Budget = None,
    mirror: options.Mirror = [],  # noqa: B006
    offline: options.Offline = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Have the answers of a run folder judged, as far as they are not yet."""
    given = {key: value for key, value in locals().items() if key not in ("run", "json", "quiet", "verbose")}
    settings = _settings(tasks="", **given)
    from judgebench.cli.progress import Progress
    from judgebench.cli.tables import print_results
    from judgebench.runner import Runner
    from judgebench.store import RunFolder

    with Progress(shown=not quiet) as progress:
        results = Runner(settings, progress.update).rejudge(RunFolder(run))
    print_results(results, RunFolder(run).require_manifest(), as_json=json, verbose=verbose)


def _settings(**given: Any) -> "Settings":
    from judgebench.errors import UsageError
    from judgebench.settings import Settings
    from judgebench.thinking import POLICIES

    given["mirrors"] = options.mirrors(given.pop("mirror"))
    lm_eval_args = [part for part in given.pop("model_args", "").split(",") if part]
    if "model_arg" in given:
        given["model_args"] = options.pairs([*given.pop("model_arg"), *lm_eval_args], "--model-arg")
    if (outputs := given.pop("model_outputs", None)) is not None:
        given["model"] = f"file:{outputs}"
    for name in ("judge_arg", "gen", "judge_gen"):
        if name in given:
            field = "judge_args" if name == "judge_arg" else name
            given[field] = options.pairs(given.pop(name), f"--{name.replace('_', '-')}")
    given["judges"] = tuple(given.pop("judge", ()))
    if given.get("thinking", "auto") not in POLICIES:
        raise UsageError(f"--thinking {given['thinking']!r} is not one of {', '.join(POLICIES)}")
    if given["tasks"] is None:
        raise UsageError("--tasks is missing; `judgebench tasks list` shows what there is")
    return Settings(argv=tuple(sys.argv), **given)


def _report(
    settings: "Settings", *, json: bool, quiet: bool, verbose: bool, judge: bool = True, track: Sequence[str] = ()
) -> None:
    from judgebench.cli.progress import Progress
    from judgebench.cli.tables import print_results
    from judgebench.errors import Incomplete
    from judgebench.runner import Runner
    from judgebench.store import RunFolder
    from judgebench.tracking import require_trackers

    require_trackers(track)
    with Progress(shown=not quiet) as progress:
        runner = Runner(settings, progress.update)
        try:
            results = runner.evaluate(judge=judge)
        except Incomplete:
            if runner.folder is not None:
                print_results(runner.folder.results(), runner.folder.require_manifest(), as_json=json, verbose=verbose)
                options.report_to(track, runner.folder)
            raise
    print_results(results, RunFolder(Path(results.run)).require_manifest(), as_json=json, verbose=verbose)
    options.report_to(track, RunFolder(Path(results.run)))
