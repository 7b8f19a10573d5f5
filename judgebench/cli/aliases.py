"""Flags and names as other harnesses spell them, turned into ours before a command is parsed.

The tables are in ``templates/aliases.toml``. What was understood is said on stderr, each thing in a line; a flag
without an exact equivalent is an error that names ours.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from judgebench.data.aliases import TASK_FLAGS, aliases, key_of
from judgebench.errors import UsageError

ASKING = ("eval", "generate", "judge")
"""Commands that take what other harnesses' one command takes."""
NEEDLESS = "leave it out: "
"""How the advice begins that no flag takes the place of another harness's."""
YES, NO = ("true", "yes", "1"), ("false", "no", "0")
MODELS = ("--model", "-m")
LISTS = TASK_FLAGS
"""Flags after which lm-eval takes several words."""


def translated(command: Any, args: Sequence[str], notes: list[str]) -> list[str]:
    """The arguments of a command, with flags that it does not know replaced by its own; ``notes`` says which."""
    words = _Words(command, args)
    while words.left:
        _take(words)
    _require_equivalents(words)
    if words.joins_tasks and len(named := words.given(*LISTS)) > 1:
        _rewrite_tasks(words, ",".join(dict.fromkeys(named)))
    _require_task(words, args)
    if words.notes:
        # What is another thing here than there comes first: a translation is only news.
        notes += [*_same_names(words), *_unlike(words, args), *words.notes]
    return words.done


def _require_equivalents(words: "_Words") -> None:
    """Raise :class:`UsageError`, which names all flags that have no equivalent, if there are any."""
    alike: dict[str, list[str]] = {}
    for flag, instead in words.refused.items():
        alike.setdefault(instead, []).append(flag)
    if alike:
        said = "; and no ".join(f"{' or '.join(flags)}: {instead}" for instead, flags in alike.items())
        raise UsageError(f"`judgebench {words.name}` has no flag {said}")


def _require_task(words: "_Words", args: Sequence[str]) -> None:
    """Raise :class:`UsageError` if no task is named, but a flag of a harness that has one alone: it may be meant."""
    if words.name not in ASKING[:2] or words.given(*LISTS, "--config"):
        return
    typed = (word.partition("=")[0] for word in args if word.startswith("-"))
    table = aliases().task_of_flag
    if flag := next((flag for flag in typed if _key(flag) in table), None):
        task = table[_key(flag)]
        raise UsageError(
            f"--tasks is missing: {flag} is a flag of a harness with one benchmark, and here are many; add --tasks "
            f"{task}, or name another (`judgebench tasks list`)"
        )


def _same_names(words: "_Words") -> list[str]:
    """What to say of tasks whose name means another benchmark to somebody who uses another harness's flags."""
    named = {name for text in words.given(*LISTS) for name in text.split(",")}
    return [said for name, said in aliases().same_names.items() if name in named]


def _unlike(words: "_Words", args: Sequence[str]) -> list[str]:
    """What to say of a checkpoint that lm-eval would ask in another way, to whoever uses flags of lm-eval alone."""
    from judgebench.models.opening import runs_here

    table, typed = aliases().unlike_lm_eval, {_key(word.partition("=")[0]) for word in args if word.startswith("-")}
    models = words.given(*MODELS)
    no_matter = not typed & set(table["flags"].split()) or not any(map(runs_here, models))
    if no_matter or words.name == "judge":
        return []
    settings = dict(text.partition("=")[::2] for text in words.given("--model-arg"))
    settled = {"flags", *typed, *(key for key, value in settings.items() if value != "auto")}
    settled |= {"apply_chat_template"} if words.given("--chat-template") else set()
    return [said for key, said in table.items() if key not in settled]


def _key(flag: str) -> str:
    """How a flag stands in the tables."""
    return flag if flag[1:2] != "-" else key_of(flag[2:])


def say(notes: Iterable[str]) -> None:
    """Say on stderr how something was understood, each thing once and in a line of its own."""
    from judgebench.cli.remarks import remark

    for note in dict.fromkeys(notes):
        remark(note)


class _Words:
    """The arguments of a command while they are read."""

    def __init__(self, command: Any, args: Sequence[str]) -> None:
        self.name: str = command.name
        self.left = list(args)
        self.done: list[str] = []
        self.notes: list[str] = []
        self.refused: dict[str, str] = {}
        """Flags without an equivalent, and what to do instead."""
        self.joins_tasks = not any(parameter.opts[0] in LISTS and parameter.multiple for parameter in command.params)
        self.takes_value = {
            name: not getattr(parameter, "is_flag", False)
            for parameter in command.params
            if parameter.param_type_name == "option"
            for name in (*parameter.opts, *parameter.secondary_opts)
        }

    def knows(self, flag: str) -> bool:
        """Whether the command has this flag, or a short flag with its value attached."""
        own = flag.replace("_", "-")
        return own in self.takes_value or own in ("--help", "-h") or (flag[1] != "-" and flag[:2] in self.takes_value)

    def value(self, flag: str) -> str:
        """Take the value after a flag."""
        if not self.left:
            raise UsageError(f"{flag} needs a value; `judgebench {self.name} --help` lists the flags")
        return self.left.pop(0)

    def values(self) -> Iterator[str]:
        """Take the words up to the next flag."""
        while self.left and not self.left[0].startswith("-"):
            yield self.left.pop(0)

    def switched_on(self) -> bool:
        """Take the word that may stand after a flag without a value, as in ``--log_samples True``."""
        word = self.left[0].lower() if self.left else ""
        if word in (*YES, *NO):
            self.left.pop(0)
        return word not in NO

    def given(self, *flags: str) -> list[str]:
        """The values of one of our flags, read or still to be read."""
        words = [*self.done, *self.left]
        after = [word for before, word in pairwise(words) if before in flags]
        return after + [word.partition("=")[2] for word in words if word.partition("=")[0] in flags and "=" in word]

    def understood(self, typed: str, ours: str) -> None:
        """Note what a flag was understood as."""
        self.notes.append(f"{typed} is {ours} here")


def _take(words: _Words) -> None:
    """Read the next argument, with its value."""
    word = words.left.pop(0)
    flag, equals, value = word.partition("=")
    if word == "--":
        words.done += [word, *words.left]
        words.left.clear()
    elif not re.match(r"--?[A-Za-z]", word):
        words.done.append(word)
    elif words.knows(flag):
        words.done.append(word)
        if words.takes_value.get(flag.replace("_", "-")) and not equals and words.left:
            words.done.append(words.left.pop(0))
            if flag in LISTS and words.name in ASKING[:2]:
                words.done[-1] = ",".join([words.done[-1], *words.values()])
    else:
        _take_foreign(words, flag, value if equals else None)


def _take_foreign(words: _Words, flag: str, value: str | None) -> None:
    """Replace a flag that the command does not have."""
    table, key = aliases(), _key(flag)
    asks = words.name in ASKING
    if value is not None:
        words.left.insert(0, value)
    if special := _SPECIAL.get(key) if asks else None:
        special(words, flag)
    elif key in table.flags and words.knows(table.flags[key].split()[0]):
        _replace(words, flag, table.flags[key])
    elif key in table.switches and words.knows(table.switches[key].split()[0]):
        if words.switched_on():
            words.done += table.switches[key].split()
            words.understood(flag, table.switches[key])
    elif key in table.task_options and asks:
        task, _, option = table.task_options[key].partition(":")
        _set_task_option(words, flag, task, option, " ".join([words.value(flag), *words.values()]))
    elif key in table.always and asks:
        if not words.switched_on():
            raise UsageError(f"{flag} cannot be switched off: {table.always[key]}")
        words.notes.append(f"{flag} is not needed: {table.always[key]}")
    elif key in table.instead and asks:
        _leave_out(words, flag, table.instead[key], attached=value is not None)
    else:
        words.done.append(flag)
        if value is not None:
            words.done[-1] += f"={words.left.pop(0)}"


def _leave_out(words: _Words, flag: str, instead: str, *, attached: bool) -> None:
    """Leave out a flag without an equivalent, with its value: with a note if nothing takes its place.

    After a flag of ``judge`` the next word may be its value or the run.
    """
    clear = attached or words.name != "judge"
    if attached or (clear and words.left and not words.left[0].startswith("-")):
        words.left.pop(0)
    if instead.startswith(NEEDLESS) and clear:
        words.notes.append(f"{flag} is not needed: {instead.removeprefix(NEEDLESS)}")
    else:
        words.refused[flag] = instead


def _replace(words: _Words, flag: str, template: str) -> None:
    """Replace a flag and its value by ours."""
    ours, _, form = template.partition(" ")
    first = words.value(flag)
    typed = [first, *words.values()] if form == "{pair}" else [first]
    replaced = [ours, form.replace("{value}", first)]
    if form == "{pair}":
        pairs = [pair for text in typed for pair in _pairs(text, flag)]
        replaced = _sampling(pairs, flag) if ours == "--gen" else _backend_settings(pairs)
        if ours == "--model-arg" and (joined := _joined_with_its_model(words, replaced)):
            typed, replaced = [*typed, "with --model", joined[0]], joined[1:]
    words.done += replaced
    words.understood(" ".join([flag, *typed]), " ".join(replaced) or "nothing")


def _joined_with_its_model(words: _Words, replaced: Sequence[str]) -> list[str]:
    """The backend that ``--model`` names, then our words for it and the model that is among its settings.

    The backend is taken out of the words. Nothing if the settings name no model of it.
    """
    from judgebench.models.opening import with_its_model

    pairs = list(_flags_and_values(replaced))
    settings = dict(word.split("=", 1) for flag, word in pairs if flag == "--model-arg")
    models, left = words.given(*MODELS), dict(settings)
    spec = with_its_model(models[0], left) if len(models) == 1 else ""
    if not models or spec in ("", models[0]):
        return []
    _take_out(words, MODELS)
    gone = {f"{key}={settings[key]}" for key in settings.keys() - left.keys()}
    rest = [word for pair in pairs if pair[1] not in gone for word in pair]
    return [models[0], "--model", spec, *rest]


def _flags_and_values(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """A list of flags and values, as pairs."""
    return zip(words[::2], words[1::2], strict=True)


def _pairs(text: str, flag: str) -> Iterator[tuple[str, str]]:
    """The settings of ``a=1,b=[2,3]``, or of a JSON object."""
    if not text.startswith("{"):
        for piece in re.findall(r"""(?:\[[^\]]*\]|"[^"]*"|'[^']*'|[^,\["'])+""", text):
            key, _, value = piece.partition("=")
            yield key.strip(), value.strip()
        return
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{flag} {text!r} is neither K=V,K=V nor a JSON object: {error}") from error
    yield from ((key, value if isinstance(value, str) else json.dumps(value)) for key, value in found.items())


def _sampling(pairs: Iterable[tuple[str, str]], flag: str) -> list[str]:
    """Settings of generation as ``--gen`` takes them. A temperature says here what ``do_sample`` says there."""
    settings = {aliases().sampling.get(key, key): value for key, value in pairs}
    if "stop" in settings:
        settings["stop"] = _single(settings["stop"], flag)
    sampled = settings.pop("do_sample", "").lower()
    if sampled == "false":
        settings["temperature"] = "0"
    elif sampled and "temperature" not in settings:
        raise UsageError(f"{flag} do_sample={sampled}: a temperature says so here, as in --gen temperature=0.7")
    return [word for key, value in settings.items() for word in ("--gen", f"{key}={value}")]


def _backend_settings(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Settings of a backend as ``--model-arg`` takes them, and those that have a flag of their own."""
    words: list[str] = []
    for key, value in pairs:
        own = aliases().backend_settings.get(key, key)
        words += (
            own.replace("{value}", value).split(" ", 1) if own.startswith("--") else ["--model-arg", f"{own}={value}"]
        )
    return words


def _single(text: str, flag: str) -> str:
    """The one stop string of a list."""
    try:
        listed = json.loads(text.replace("'", '"')) if text.startswith("[") else [text.strip("\"'")]
    except ValueError as error:
        raise UsageError(f"{flag}: the stop strings {text} are not a list of texts: {error}") from error
    if len(listed) != 1:
        raise UsageError(f"{flag}: --gen stop=TEXT takes one stop string, and {text} are {len(listed)}")
    return str(listed[0])


def _take_batch_size(words: _Words, flag: str) -> None:
    """``--batch_size N``: what it is depends on the engine."""
    size = words.value(flag)
    if size.startswith("auto"):
        words.notes.append(f"{flag} {size} is not needed: batches are fitted to the memory")
        return
    from judgebench.models.opening import own_spec

    table = aliases()
    model = next(iter(words.given(*MODELS)), "")
    backend = own_spec(model).partition(":")[0]
    if (
        backend in ("http", "https", "openai", "anthropic", "local-chat-completions")
        or key_of(model) in table.endpoints
    ):
        ours = ["--concurrency", size]
    else:
        ours = ["--model-arg", f"{'max_num_seqs' if backend == 'vllm' else 'batch_size'}={size}"]
    words.done += ours
    words.understood(f"{flag} {size}", " ".join(ours))


def _take_seed(words: _Words, flag: str) -> None:
    """``--seed N``: of sampling. lm-eval takes four."""
    seed = words.value(flag)
    if not seed.isdecimal():
        raise UsageError(
            f"{flag} {seed}: the seed of sampling is one whole number, --gen seed=N; the examples in prompts are fixed"
        )
    words.done += ["--gen", f"seed={seed}"]
    words.understood(f"{flag} {seed}", f"--gen seed={seed}")


def _take_chat_template(words: _Words, flag: str) -> None:
    """``--apply_chat_template [NAME]``."""
    if not words.switched_on():
        words.done += ["--chat-template", "none"]
        words.understood(f"{flag} false", "--chat-template none")
        return
    if name := next(words.values(), None):
        raise UsageError(
            f"{flag} {name}: a template is chosen by its file, --chat-template FILE; the model's own is the default"
        )
    words.notes.append(f"{flag} is not needed: {aliases().always['apply_chat_template']}")


def _take_model_argument(words: _Words, flag: str) -> None:
    """``-M``: the model of lm-eval, or a setting of it as inspect gives it."""
    value = words.value(flag)
    ours = ["--model-arg" if "=" in value else "--model", value]
    words.done += ours
    words.understood(f"{flag} {value}", " ".join(ours))


def _take_shots(words: _Words, flag: str) -> None:
    """``--num_fewshot N``: accepted if the task shows so many examples, or has a version that does."""
    from judgebench import tasks

    count, given = words.value(flag), ",".join(words.given(*LISTS))
    if not count.isdecimal():
        raise UsageError(f"{flag} {count} is no whole number")
    if not given:
        raise UsageError(f"{flag} {count} needs --tasks, because each benchmark shows examples of its own")
    specs = tasks.parse_specs(given)
    own = [_with_shots(spec, int(count), flag) for spec in specs]
    text = ",".join(spec.text for spec in own)
    if own != specs:
        _rewrite_tasks(words, text)
    words.understood(f"{flag} {count}", f"--tasks {text}")


def _with_shots(spec: Any, count: int, flag: str) -> Any:
    """The spec of a task whose prompts show this number of examples."""
    from judgebench import tasks

    rows = [(tasks.parse_one_spec(text), number) for text, number in aliases().shots.items()]
    rows = [(row, number) for row, number in rows if row.name == spec.name]
    if not rows and count == 0 and spec.name in tasks.names():
        return spec
    fitting = [row for row, number in rows if number == count and _fits(row, spec, count)]
    if len(fitting) == 1:
        found = fitting[0]
        return (
            spec
            if count == 0
            else tasks.TaskSpec(spec.name, found.version or spec.version, {**spec.options, **found.options})
        )
    shown = ", ".join(f"{row.text} shows {number}" for row, number in rows)
    raise UsageError(
        f"{flag} {count} of {spec.text}: the worked examples in a prompt belong to the task here"
        f"{f', and {shown}. Leave {flag} out and name one of these' if shown else f'; leave {flag} out'}"
    )


def _fits(row: Any, spec: Any, count: int) -> bool:
    """Whether a version of a task is the one that was named, or one that the name without a version may mean."""
    named = row.version in (None, spec.version) or (spec.version is None and count > 0)
    return named and all(spec.options.get(key, value) == value for key, value in row.options.items())


def _set_task_option(words: _Words, flag: str, task: str, option: str, value: str) -> None:
    """Put an option of one task into ``--tasks``, or the task itself if none is named."""
    from judgebench import tasks

    if option == "judge" and (":" in value or Path(value).exists()):
        words.done += ["--judge", value]
        words.understood(f"{flag} {value}", f"--judge {value}")
        return
    given, value_here = ",".join(words.given(*LISTS)), aliases().task_values.get(value, value)
    specs = tasks.parse_specs(given) if given else [tasks.TaskSpec(task)]
    if task not in [spec.name for spec in specs]:
        raise UsageError(f"{flag} {value} is an option of the task {task}, which --tasks {given} does not name")
    own = [
        tasks.TaskSpec(spec.name, spec.version, {**spec.options, option: value_here}) if spec.name == task else spec
        for spec in specs
    ]
    text = ",".join(spec.text for spec in own)
    _rewrite_tasks(words, text)
    words.understood(f"{flag} {value}", f"--tasks {text}")


def _rewrite_tasks(words: _Words, text: str) -> None:
    """Replace every ``--tasks`` by one."""
    _take_out(words, LISTS)
    words.done += ["--tasks", text]


def _take_out(words: _Words, flags: Sequence[str]) -> None:
    """Take a flag and its values out of the words, wherever it stands."""
    for part in (words.done, words.left):
        kept: list[str] = []
        skip = False
        for word in part:
            skip_next = not skip and word in flags
            if not skip and not skip_next and word.partition("=")[0] not in flags:
                kept.append(word)
            skip = skip_next
        part[:] = kept


_SPECIAL = {
    "num_fewshot": _take_shots,
    "-f": _take_shots,
    "batch_size": _take_batch_size,
    "-b": _take_batch_size,
    "seed": _take_seed,
    "apply_chat_template": _take_chat_template,
    "-M": _take_model_argument,
}


# -- names


def own_tasks(text: str, notes: list[str]) -> str:
    """A text of specs, with the tasks called as judgebench calls them; ``notes`` says which."""
    from judgebench import tasks

    found = tasks.own_names(text)
    notes += [f"{typed} is {own} here" for typed, own in found.items() if typed != own]
    return ",".join(found.values())


def own_model(text: str, notes: list[str]) -> str:
    """A model spec as judgebench writes it; ``notes`` says if that is not how it was typed."""
    from judgebench.models.opening import own_spec

    own = own_spec(text)
    if own != text:
        notes.append(f"{text} is {own} here")
    return own
