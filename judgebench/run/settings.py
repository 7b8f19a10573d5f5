"""Defines the settings of a run, each once: its type, default, flag and help.

The fields of :class:`Settings` become the flags of ``judgebench eval``, ``generate`` and ``judge``, the keys of a
``--config`` file and the keywords of :func:`judgebench.evaluate`. This module imports nothing heavy, because every
``--help`` reads it. It checks single values; what fits a task or a model is checked where those are loaded.
"""

import dataclasses
import math
import operator
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, get_origin

from judgebench.errors import UsageError, wanted

if TYPE_CHECKING:
    from judgebench.judges.own_judges import OwnJudge
    from judgebench.records import Sampling
    from judgebench.thinking import Thinking

T = TypeVar("T")

LONGEST_NAME = 200
MOST = 10**9
"""The largest value of a count."""
EVAL = ("eval",)
ANSWERING = ("eval", "generate")
JUDGING = ("eval", "judge")
ASKING = ("eval", "generate", "judge")
"""Groups of commands that make runs: ``eval`` alone, those that generate answers, those that judge, all."""
AUDITING, CALLING = (*JUDGING, "audit"), (*ASKING, "audit")
"""Those that ask a judge, and those that call a model: ``judges audit`` makes no run."""

PathLike = str | os.PathLike[str]
Tags = tuple[tuple[str, str], ...]
"""Pairs of an opening and a closing tag."""
Limit = int | float | None
"""A number of examples or, below 1, a share of them."""
Dear = str | int | None
"""A number of examples, or ``auto``; kept as a text."""


@dataclass(frozen=True)
class Flag:
    """How a setting is given on the command line."""

    help: str
    metavar: str | None
    """Placeholder for the value in the help; ``None`` for a flag without a value."""
    commands: tuple[str, ...]
    _: KW_ONLY
    name: str = ""
    """Name of the flag, with underscores, if it differs from that of the setting: ``judge`` sets ``judges``."""
    short: str = ""
    """The flag in one letter, if it has one."""
    minimum: float | None = None
    maximum: int = MOST
    typed: Any = None
    """Type of the value on the command line, if it does not follow from the type of the setting."""


def flag(default: T, help: str, metavar: str | None, commands: tuple[str, ...], **more: Any) -> T:
    """Make a field of :class:`Settings` with its default and its :class:`Flag`."""
    about = {"flag": Flag(help, metavar, commands, **more)}
    if isinstance(default, Mapping):
        return field(default_factory=lambda: default, metadata=about)
    return field(default=default, metadata=about)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set for a run; the flags of ``judgebench eval``, in the order of its help."""

    model: str | None = flag(
        None,
        "Model under test: a checkpoint folder or hub id, hf:ID, vllm:ID, openai:NAME, anthropic:NAME, VENDOR:NAME "
        "(azure, bedrock, deepseek, fireworks, gemini, groq, mistral, openrouter, together, xai), "
        "http://HOST:PORT/v1#NAME, file:outputs.json, published:NAME, builtin:tiny or builtin:smollm2. Give it "
        "several times, or give a pattern such as 'ckpt/step_*', to evaluate several models in turn.",
        "M",
        ANSWERING,
        typed=list[str],
        short="-m",
    )
    tasks: str = field(
        metadata={"flag": Flag("Tasks, comma separated: NAME[@VERSION][:KEY=VALUE,…].", "T1,T2", ANSWERING, short="-t")}
    )
    judges: tuple[str, ...] = flag(
        (),
        "Judge model, in the same grammar as --model; a model that scores answers: reward:ID, pairrm:ID, "
        "ratio:hf:STRONG/hf:WEAK; or a judge file (judge.toml, an alpaca_eval annotators_config). Give several for a "
        "jury. Default: the official judge.",
        "J",
        JUDGING,
        name="judge",
    )
    judge_prompt: Path | None = flag(
        None,
        "Judge prompt of your own, a Jinja template. It makes another protocol; `judgebench judges info TASK` lists "
        "what it can show.",
        "FILE.j2",
        AUDITING,
    )
    own_judge: "OwnJudge | None" = None
    """The judge of the user's that ``judge_prompt``, or a file among ``judges``, holds."""
    judge_file_args: Mapping[str, str] = field(default_factory=dict)
    """Settings of the judges' backend in that file; ``judge_args`` overrides them."""
    judge_prompt_path: str = ""
    """Where the prompt of that file stands, for messages."""
    name: str | None = flag(
        None, "Name of the run in tables, instead of the model's. It changes no number.", "NAME", ANSWERING
    )
    out: Path | None = flag(None, "Run folder. Default: runs/<model>/<time>-<hash>.", "DIR", ANSWERING)
    runs: Path = Path("runs")
    """The folder for run folders that the user did not name."""
    limit: Limit = flag(
        None,
        "Evaluate only the first N examples or, below 1, this share of them, rounded up: 10, 0.1.",
        "N|SHARE",
        ANSWERING,
        typed=str | None,
    )
    where: tuple[str, ...] = flag(
        (),
        "Evaluate only the examples of a group, as scores name it: category=math,coding or mtbench:turn=2. Values are "
        "alternatives; several flags narrow. A wrong name lists what there is.",
        "[TASK:]KEY=VALUE",
        ANSWERING,
    )
    ids: Path | None = flag(
        None,
        "Evaluate only the examples whose ids are in FILE: one per line, or json, csv, … with a column id.",
        "FILE",
        ANSWERING,
    )
    starter: bool = flag(
        False, "Use the bundled starter set. It needs no downloads; its numbers compare with nothing.", None, ANSWERING
    )
    baseline: str | None = flag(
        None,
        "Compare with a file of outputs, or with some of the benchmark's baselines, by name. In a run of several tasks "
        "give TASK= in front, and the flag several times.",
        "[TASK=]FILE|NAME[,NAME]",
        EVAL,
        typed=list[str],
    )
    model_args: Mapping[str, str] = flag({}, "Setting of the model's backend.", "K=V", ANSWERING, name="model_arg")
    judge_repeats: int = flag(
        1, "Judge each case K times, to measure the judge's own variance.", "K", JUDGING, minimum=1
    )
    reask: int | None = flag(
        None,
        "Ask a judge again up to N times if its reply holds no verdict: with a reminder of the form or, if its prompt "
        "is a published one, with the same prompt. Default: 3 with a reminder, 0 without.",
        "N",
        AUDITING,
        minimum=0,
        maximum=10,
    )
    judge_args: Mapping[str, str] = flag({}, "Setting of the judge's backend.", "K=V", AUDITING, name="judge_arg")
    preset: str | None = flag(
        None, "Sample answers as a paper did. A wrong name lists the presets; --gen overrides them.", "NAME", ANSWERING
    )
    gen: Mapping[str, str] = flag({}, "Sampling of the answers, such as temperature=0.7.", "K=V", ANSWERING)
    judge_gen: Mapping[str, str] = flag({}, "Sampling of the judge.", "K=V", AUDITING)
    system: str | None = flag(None, "System message before each conversation.", "TEXT", ANSWERING)
    chat_template: str | None = flag(
        None, "Chat template of a local model: auto, none or a file.", "auto|none|FILE", ANSWERING
    )
    thinking: str = flag(
        "auto",
        "Whether the model thinks: auto (its template decides; tagged thinking is removed from the answer), on "
        "(the template asks it to think; a reply that never closes its thinking is an empty answer), off (the "
        "template asks it not to; the whole reply is the answer).",
        "auto|on|off",
        ANSWERING,
    )
    think_tags: Tags = flag(
        (), "Another pair of tags around the thinking of the model or a judge. Repeatable.", "OPEN,CLOSE", CALLING
    )
    fields: Mapping[str, str] = flag(
        {},
        "Names of our fields in a file of answers (--model file:F, --baseline F): id=key,output=response. Ours are id "
        "or instruction, output and generator.",
        "OURS=THEIRS,…",
        EVAL,
    )
    repeats: int = flag(
        1, "Ask each example K times, for maj@k and pass@k of a verified task.", "K", ANSWERING, minimum=1
    )
    select: str | None = flag(
        None,
        "With --repeats K: a model that scores answers (reward:ID, ratio:hf:STRONG/hf:WEAK) chooses among those of an "
        "item: best@k and worst@k, beside the mean and maj@k.",
        "SCORER",
        JUDGING,
    )
    refine: tuple[str, ...] = flag(
        (),
        "File with a prompt that refines each answer; {response} and {instruction} are filled in. Without {response} "
        "it continues the conversation. Repeat the flag for several steps; other steps make another run.",
        "FILE",
        ANSWERING,
        typed=list[Path],
    )
    """The prompts themselves."""
    stop_when: str | None = flag(
        None,
        "Judge in random order until the interval is narrow enough: 'ci<1.5' or 'METRIC ci<1.5' is plus or minus 1.5.",
        "RULE",
        EVAL,
    )
    controls: tuple[str, ...] = flag(
        (),
        "With --stop-when: stop earlier by what is known of the examples before: published (the mean over published "
        "models), or a run of another model. Repeatable.",
        "published|RUN",
        EVAL,
        name="control",
    )
    cascade: str | None = flag(
        None,
        "Estimate what a dear judge would say of all examples: --judge judges all of them, DEAR a random part, see "
        "--dear. It is a protocol of its own, for metrics that are plain means over examples.",
        "DEAR",
        JUDGING,
    )
    dear: Dear = flag(
        None,
        "How many examples the dear judge judges: N, or auto, until --stop-when 'ci<W' holds.",
        "N|auto",
        JUDGING,
        typed=str | None,
    )
    dear_share: float | None = flag(
        None, "The same as a share of the examples, rounded up: 0.2.", "SHARE", JUDGING, minimum=0
    )
    dear_args: Mapping[str, str] = flag(
        {}, "Setting of the dear judge's backend, beside those of --judge-arg.", "K=V", JUDGING, name="dear_arg"
    )
    labels: Path | None = flag(
        None,
        "Human verdicts on a random sample of the examples (CSV: example_id,label) to anchor win rates.",
        "FILE",
        EVAL,
    )
    bridge: tuple[str, ...] = flag(
        (),
        "Predict official numbers from this judge's by a judge bridge: its file, or the name of a ready one. "
        "Repeatable, one for each task.",
        "FILE",
        JUDGING,
    )
    level: float = flag(0.95, "Level of predicted intervals, such as 95.", "P", JUDGING)
    api_key_env: str | None = flag(
        None, "Environment variable that holds the API key; several, NAME1,NAME2, share the load.", "NAME", CALLING
    )
    endpoint: tuple[str, ...] = flag(
        (),
        "Address at which a served model is called: a further one of http://…#NAME, in place of its vendor's of "
        "VENDOR:NAME. Repeat it to share the load between several.",
        "URL",
        ANSWERING,
    )
    judge_endpoint: tuple[str, ...] = flag((), "The same for the judge.", "URL", AUDITING)
    concurrency: int | None = flag(
        None, "Maximum number of requests in flight to the model.", "N", ANSWERING, minimum=1
    )
    judge_concurrency: int | None = flag(
        None, "Maximum number of requests in flight to the judge.", "N", AUDITING, minimum=1
    )
    rpm: float | None = flag(None, "Maximum number of requests a minute to an endpoint.", "N", CALLING, minimum=0.001)
    tpm: float | None = flag(None, "Maximum number of tokens a minute to an endpoint.", "N", CALLING, minimum=1)
    budget: float | None = flag(None, "Limit for spending, in USD.", "USD", CALLING, minimum=0)
    batch_api: str = flag(
        "off",
        "Ask served models through their vendor's batch endpoint, slower and at its price for batches: off, on, or "
        "auto (where that is cheaper, from 100 examples on, and unless --stop-when needs answers as they come).",
        "off|on|auto",
        CALLING,
    )
    cache: Path | None = flag(
        None,
        "Folder of the call store, which processes and, on a shared disk, machines may have together. Default: "
        "JUDGEBENCH_CACHE, else the user's cache folder.",
        "DIR",
        CALLING,
    )
    replicas: int = flag(
        1, "Number of engines of the model, each in a Ray actor with its own device.", "N", ANSWERING, minimum=1
    )
    cluster: str | None = flag(
        None,
        "Ray cluster for the replicas (also those of --judge-arg replicas=N), or auto. Default: this machine.",
        "ADDRESS",
        CALLING,
    )
    mirrors: tuple[Path, ...] = flag(
        (), "Folder to search for official files, by content. Also JUDGEBENCH_MIRROR.", "DIR", CALLING, name="mirror"
    )
    judge_epoch: int = 0
    """Judge calls of another epoch are other calls: the call store's replies from before are not taken for them."""
    unsafe_local: bool = flag(
        False,
        "Where answers are run as programs: run them without a sandbox, with all that you may do yourself.",
        None,
        ASKING,
    )
    offline: bool = flag(False, "Never use the network for official files or checkpoints.", None, CALLING)
    argv: tuple[str, ...] = ()
    """The command as the user typed it."""

    def __post_init__(self) -> None:
        """Raise :class:`UsageError` for a value that makes no sense."""
        for name, setting in SETTINGS.items():
            value = getattr(self, name)
            most = setting.flag.maximum if setting.flag else MOST
            if type(value) is int and value > most:
                raise UsageError(f"{setting.spelling} is at most {most:,}")
            if type(value) is float and math.isnan(value):
                raise UsageError(f"{setting.spelling} nan is no number")
        for arguments in (self.model_args, self.judge_args):
            if "usd_per_million" in arguments:
                from judgebench.models.pricing import parse_price

                parse_price(arguments["usd_per_million"])
        if self.name is not None:
            require_name(self.name)
        self._check_batches()
        if self.judge_endpoint and len(self.judges) > 1:
            raise UsageError(
                f"--judge-endpoint {self.judge_endpoint[0]} is the address of one judge, and {len(self.judges)} are "
                "named; write the addresses of each into its spec, http://A|http://B/v1#NAME"
            )
        if self.controls and (self.stop_when is None or self.cascade is not None):
            raise UsageError(
                f"--control {self.controls[0]} narrows the interval by which --stop-when ends, and "
                + (
                    "a cascade's control is its cheap judge; leave it out"
                    if self.cascade is not None
                    else "there is no --stop-when; add one, such as --stop-when 'ci<1.5', or leave it out"
                )
            )
        self._check_cascade()
        sent = {"system": self.system or "", "gen": "".join(self.gen.values())}
        for name, text in {**sent, "judge_gen": "".join(self.judge_gen.values())}.items():
            try:
                text.encode()
            except UnicodeEncodeError as error:  # an argument that was not UTF-8
                raise UsageError(f"{SETTINGS[name].spelling} is not text that can be sent: {error}") from error

    def _check_batches(self) -> None:
        """Raise :class:`UsageError` for an unknown way to ask, and for batches whose answers a rule waits for."""
        if self.batch_api not in ("off", "on", "auto"):
            raise UsageError(f"--batch-api {self.batch_api!r:.40} is not one of off, on, auto")
        if self.batch_api == "on" and self.stop_when is not None:
            raise UsageError(
                f"--stop-when {self.stop_when!r} ends judging by answers as they come, and --batch-api on has them all "
                "at once, paid for; give --batch-api auto, or leave --stop-when out"
            )

    def _check_cascade(self) -> None:
        """Raise :class:`UsageError` for a cascade that does not say once how much its dear judge judges."""
        sizes = [f"--dear {self.dear}"] if self.dear is not None else []
        sizes += [f"--dear-share {self.dear_share:g}"] if self.dear_share is not None else []
        if self.cascade is None:
            if sizes or self.dear_args:
                raise UsageError(
                    f"{(sizes or ['--dear-arg'])[0]} is about the dear judge of a cascade, and none is named; name it "
                    "with --cascade, and the cheap judge with --judge"
                )
            return
        if self.select is not None:
            raise UsageError(
                f"--cascade {self.cascade} estimates what a dear judge would say, and --select chooses among answers; "
                "give one of the two"
            )
        if self.labels is not None or self.bridge:
            raise UsageError(
                f"{'--bridge' if self.bridge else '--labels'} starts from a judge's own verdicts on all examples, and "
                f"--cascade {self.cascade} only estimates what that judge would say; give one of the two"
            )
        if len(sizes) != 1:
            raise UsageError(
                f"--cascade {self.cascade} needs one size of the part that the dear judge judges, and was given "
                f"{' and '.join(sizes) or 'none'}; give --dear 100, --dear-share 0.2, or --dear auto with --stop-when "
                "'ci<1.5'"
            )
        size = str(self.dear)
        if size not in ("None", "auto") and not (size.isdecimal() and 3 <= int(size[:12]) <= MOST):
            raise UsageError(f"--dear {self.dear!r} is neither a number of examples, 3 or more, nor auto")
        if self.dear_share is not None and not 0 < self.dear_share <= 1:
            raise UsageError(f"--dear-share {self.dear_share:g} is no share of the examples: above 0, and at most 1")
        if self.dear == "auto" and self.stop_when is None:
            raise UsageError(
                "--dear auto asks the dear judge until the interval is narrow enough, and no width is given; add "
                "--stop-when 'ci<1.5' (which `judgebench eval` has), or give a number with --dear"
            )
        if self.dear != "auto" and self.stop_when is not None:
            raise UsageError(
                f"--stop-when {self.stop_when!r} ends judging by a rule, and {sizes[0]} fixes the size of the dear "
                "judge's part beforehand; give --dear auto for the rule, or leave --stop-when out"
            )

    @property
    def splitting(self) -> "Thinking":
        """How the candidate's replies are split into thinking and answer."""
        from judgebench.thinking import Thinking

        return Thinking(self.thinking, self.think_tags)


class Keywords(TypedDict, total=False):
    """The settings as keywords of :func:`judgebench.evaluate`, for editors and type checkers: see :class:`Settings`."""

    judge_prompt: PathLike | None
    name: str | None
    out: PathLike | None
    runs: PathLike
    limit: int | float | None
    where: str | Iterable[str]
    ids: PathLike | None
    starter: bool
    baseline: PathLike | Iterable[PathLike] | None
    model_args: Mapping[str, object]
    judge_repeats: int
    reask: int | None
    judge_args: Mapping[str, object]
    preset: str | None
    gen: Mapping[str, object]
    judge_gen: Mapping[str, object]
    system: str | None
    chat_template: PathLike | None
    thinking: str
    think_tags: Iterable[tuple[str, str]]
    fields: Mapping[str, object]
    repeats: int
    select: str | None
    refine: str | Iterable[str]
    stop_when: str | None
    controls: str | Iterable[str]
    cascade: str | None
    dear: str | int | None
    dear_share: float | None
    dear_args: Mapping[str, object]
    labels: PathLike | None
    bridge: PathLike | Iterable[PathLike]
    level: float
    api_key_env: str | None
    endpoint: str | Iterable[str]
    judge_endpoint: str | Iterable[str]
    concurrency: int | None
    judge_concurrency: int | None
    rpm: float | None
    tpm: float | None
    budget: float | None
    batch_api: str
    cache: PathLike | None
    replicas: int
    cluster: str | None
    mirrors: PathLike | Iterable[PathLike]
    unsafe_local: bool
    offline: bool


@dataclass(frozen=True)
class Setting:
    """What a field of :class:`Settings` says."""

    name: str
    kind: Any
    """Type of its value."""
    default: Any
    flag: Flag | None
    """``None`` if the setting has no flag."""

    @property
    def spelling(self) -> str:
        """The flag as the user types it."""
        return f"--{self.parameter.replace('_', '-')}"

    @property
    def parameter(self) -> str:
        """Name of the flag as a parameter of a command, and as a key of a ``--config`` file."""
        return (self.flag and self.flag.name) or self.name

    @property
    def typed(self) -> Any:
        """Type of the value on the command line: a list of texts if the setting holds several values."""
        if self.flag and self.flag.typed:
            return self.flag.typed
        if not self.holds_several:
            return self.kind if self.default is not dataclasses.MISSING else self.kind | None
        return list[Path] if self.kind == tuple[Path, ...] else list[str]

    @property
    def holds_several(self) -> bool:
        """Whether the flag can be given several times."""
        return get_origin(self.kind) in (tuple, Mapping)

    def parsed(self, given: Any) -> Any:
        """Parse the value of a command line."""
        if self.kind == Tags:
            from judgebench.thinking import parse_tags

            return parse_tags(given)
        if self.name == "fields":
            given = [pair for text in given for pair in text.split(",") if pair]
        if get_origin(self.kind) is Mapping:
            return pairs(given, self.spelling)
        if self.kind == Limit:
            return None if given is None else limit_of(given, f"{self.spelling} {given}")
        if self.name == "baseline":
            return "\n".join(given or ()) or None
        return tuple(given) if self.holds_several else given

    def converted(self, given: Any) -> Any:
        """Convert a value from Python: a path may be a text, a number of any type, one value stand for several."""
        if given is None or self.kind is bool:
            return given
        if self.kind in (Path, Path | None):
            return Path(given)
        if self.kind == Tags:
            return tuple((opening, closing) for opening, closing in given)
        if get_origin(self.kind) is Mapping:
            return {key: str(value) for key, value in given.items()}
        if self.kind == Dear:
            return given if isinstance(given, str) else str(operator.index(given))
        if self.kind == Limit:
            return limit_of(operator.index(given) if isinstance(given, int) else float(given), f"{self.name}={given!r}")
        if self.holds_several:
            return tuple(map(Path, several(given))) if self.kind == tuple[Path, ...] else several(given)
        if self.kind in (str, str | None):
            return ("\n" if self.name == "baseline" else ",").join(several(given))
        return float(given) if self.kind in (float, float | None) else operator.index(given)


SETTINGS = {
    setting.name: Setting(setting.name, setting.type, setting.default, setting.metadata.get("flag"))
    for setting in dataclasses.fields(Settings)
}
"""By name, in the order of the help."""
FLAGS = {setting.parameter: setting for setting in SETTINGS.values() if setting.flag}
"""Settings with a flag, by its name."""


def settings_from_flags(given: Mapping[str, Any], argv: Sequence[str] = ()) -> Settings:
    """Make the settings of a command line, given by flag names; ``JUDGEBENCH_MIRROR`` adds to the mirrors."""
    from judgebench.thinking import POLICIES

    values = {FLAGS[name].name: FLAGS[name].parsed(value) for name, value in given.items()}
    values["mirrors"] = mirror_folders(values.get("mirrors", ()))
    if values.get("thinking", "auto") not in POLICIES:
        raise UsageError(f"--thinking {values['thinking']!r} is not one of {', '.join(POLICIES)}")
    if values["tasks"] is None:
        raise UsageError(
            "--tasks is missing: say what to evaluate on, such as --tasks alpacaeval; `judgebench tasks list` shows "
            "what there is"
        )
    own = _own_judge(values)
    return Settings(argv=tuple(argv), **values, **own)


def settings_from_python(function: str, given: Mapping[str, Any]) -> Settings:
    """Make settings from the keywords of one of judgebench's functions; ``JUDGEBENCH_MIRROR`` adds to the mirrors."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        setting = SETTINGS[name]
        try:
            values[name] = setting.converted(value)
        except (AttributeError, TypeError, ValueError) as error:
            raise UsageError(f"{function}() cannot use {name}={value!r}: {error}") from error
        minimum = setting.flag.minimum if setting.flag else None
        if minimum is not None and values[name] is not None and values[name] < minimum:
            raise UsageError(f"{function}() was given {name}={value!r}; it is {minimum:g} or more")
    values["mirrors"] = mirror_folders(values.get("mirrors", ()))
    own = _own_judge(values)
    return Settings(argv=(f"judgebench.{function}",), **values, **own)


def _own_judge(values: dict[str, Any]) -> dict[str, Any]:
    """Read the judge prompt or the judge file among the settings, and put the file's models in its place."""
    prompt, judges = values.get("judge_prompt"), values.get("judges", ())
    if prompt is None and not any(text.endswith((".toml", ".yaml", ".yml")) or os.path.isdir(text) for text in judges):
        return {}
    from judgebench.judges import judge_files

    files = [text for text in judges if judge_files.is_judge_file(text)]
    if prompt is not None and files:
        raise UsageError(
            f"--judge-prompt {prompt} and the judge file {files[0]} both say how to judge; give one of them"
        )
    if len(files) > 1:
        raise UsageError(
            f"{files[0]} and {files[1]} both say how to judge; make a run with each, and compare the two. A jury of "
            "several models that judge alike has one judge file, whose key model lists them"
        )
    if prompt is not None:
        return {"own_judge": judge_files.read_prompt(prompt)}
    if not files:
        return {}
    file = judge_files.read_judge_file(Path(files[0]))
    named = [model for text in judges for model in (file.models if text == files[0] else (text,))]
    if not named and file.without_model.endswith("here"):
        raise UsageError(f"{file.without_model}; name the model that judges by another --judge")
    values["judges"] = tuple(dict.fromkeys(named))
    return {
        "own_judge": file.judge,
        "judge_file_args": dict(file.model_args),
        "judge_prompt_path": file.prompt_path,
    }


def baseline_of(settings: Settings, task: str) -> str | None:
    """What ``--baseline`` says for a task: its own ``TASK=VALUE``, else a value without a task's name, if there is one.

    >>> several_baselines = Settings(tasks="a,b,c", baseline="b=x,y\\nsft.jsonl")
    >>> baseline_of(several_baselines, "a"), baseline_of(several_baselines, "b")
    ('sft.jsonl', 'x,y')
    """
    names = {spec.partition(":")[0].partition("@")[0].strip() for spec in settings.tasks.split(",")}
    names |= {task, *(Path(name).stem for name in names), *(Path(name).parent.name for name in names)}
    own, common = [], []
    for line in (settings.baseline or "").split("\n"):
        name, equals, value = line.partition("=")
        if equals and name.strip() == task:
            own.append(value)
        elif line and not (equals and name.strip() in names):
            common.append(line)
    return ",".join(own or common) or None


def mirror_folders(given: Iterable[Path]) -> tuple[Path, ...]:
    """Add the folders in ``JUDGEBENCH_MIRROR``, which is separated like ``PATH``, to the given mirror folders."""
    return (*given, *(Path(part) for part in os.environ.get("JUDGEBENCH_MIRROR", "").split(os.pathsep) if part))


def limit_of(given: str | float, about: str) -> int | float:
    """Read a number of examples, or a share of them; ``about`` is what the user wrote.

    As in lm-eval, a number below 1 is a share, and 1.0 is one example.
    """
    plain = not isinstance(given, str) or re.fullmatch(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", given)
    value = float(given) if plain else math.nan
    if 0 < value < 1:
        return value
    if value >= 1 and value.is_integer():
        return int(value)
    raise UsageError(f"{about} is neither a number of examples (1 or more) nor a share of them (between 0 and 1)")


def require_name(name: str) -> str:
    """Return a name that can stand in a table; raise :class:`UsageError` for any other."""
    from judgebench.display import shortened

    if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise UsageError(
            f"--name wants a name for tables, a line of 1 to {LONGEST_NAME} printable characters, and was given "
            f"{shortened(name, 60)!r}"
        )
    return name


def several(given: PathLike | Iterable[PathLike]) -> tuple[str, ...]:
    """Convert a path or text, or an iterable of them, to texts."""
    listed = (given,) if isinstance(given, str | os.PathLike) else tuple(given)
    return tuple(os.fspath(one) for one in listed)


def pairs(given: Iterable[str], flag: str) -> dict[str, str]:
    """Parse ``k=v`` texts into a mapping."""
    found = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"{flag} {text!r} is not of the form KEY=VALUE")
        found[key.strip().replace("-", "_")] = value
    return found


def _count(text: str) -> int:
    if not text.strip().isdecimal() or not int(text):
        raise ValueError("expected a whole number, 1 or more")
    return int(text)


_SAMPLING: Mapping[str, Callable[[str], Any]] = {"stop": lambda text: (text,), "max_tokens": _count, "seed": int}
"""How the text of a sampling setting is converted, if it is not a plain number."""


UNSETTABLE = ("choices", "continuations", "raw", "top_logprobs", "json_schema")
"""Fields of a sampling that a task sets, and no user."""


def override_sampling(sampling: "Sampling", given: Mapping[str, str], flag: str) -> "Sampling":
    """Change the sampling by ``k=v`` settings. Raises :class:`UsageError`, which names the valid ones, for another."""
    import msgspec

    from judgebench.display import did_you_mean

    names = [name for name in sampling.__struct_fields__ if name not in UNSETTABLE]
    changes: dict[str, Any] = {}
    for key, text in given.items():
        if key not in names:
            unknown = f"there is no such setting{did_you_mean(key, names)}"
            raise UsageError(f"{flag} {key}={text}: {unknown}; the settings are {', '.join(names)}")
        convert: Callable[[str], Any] = _SAMPLING.get(key, float)
        try:
            changes[key] = convert(text)
        except ValueError as error:
            raise UsageError(f"{flag} {key}={text} is not valid: {wanted(convert, error)}") from error
    return msgspec.structs.replace(sampling, **changes)
