"""What people type who come from other harnesses: names of tasks, models, commands and flags."""

import shlex
import shutil
from pathlib import Path

import pytest

import judgebench
from judgebench import tasks
from judgebench.cli import COMMANDS, loaded
from judgebench.cli.aliases import say, translated
from judgebench.data.aliases import aliases, key_of
from judgebench.errors import UsageError
from judgebench.models.opening import own_spec, parse_model
from judgebench.run.folder import RunFolder
from tests.commands import Command
from tests.commands import judgebench as run_command

KNOWN = {
    "alpaca_eval": "alpacaeval",
    "alpaca-eval": "alpacaeval",
    "AlpacaEval": "alpacaeval",
    "alpaca_eval_2": "alpacaeval@2",
    "alpacaeval2": "alpacaeval@2",
    "alpaca_eval@1": "alpacaeval@1",
    "alpaca_eval:order=both,seed=1": "alpacaeval:order=both,seed=1",
    "mt_bench": "mtbench",
    "mt-bench": "mtbench",
    "MT-Bench:mode=pairwise": "mtbench:mode=pairwise",
    "vicuna_bench": "mtbench@vicuna",
    "arena-hard": "arenahard",
    "arena_hard_v2": "arenahard@v2.0",
    "arena-hard-v0.1": "arenahard@v0.1",
    "arena-hard-auto": "arenahard",
    "wild_bench": "wildbench",
    "math500": "math@500",
    "MATH-500": "math@500",
    "minerva_math": "math@full:prompt=minerva4",
    "minerva_math500:prompt=chat": "math@500:prompt=chat",
    "gsm8k_cot": "gsm8k@cot8",
    "gsm8k_cot_llama": "gsm8k@cot-llama",
    "GSM8K": "gsm8k",
    "IFEval": "ifeval",
    "ifbench": "ifeval@ifbench",
    "ifeval": "ifeval",
}


@pytest.mark.parametrize("typed", KNOWN)
def test_a_task_is_known_by_the_names_of_other_harnesses(typed: str) -> None:
    """Version and options stand after it as after ours, and the user's own option wins."""
    assert tasks.own_names(typed) == {typed: KNOWN[typed]}
    assert tasks.parse_specs(typed) == tasks.parse_specs(KNOWN[typed])


def test_the_tables_lead_to_what_there_is() -> None:
    """Every row of tasks makes a task, every row of commands names a command, every flag is one of ours."""
    for typed, own in aliases().tasks.items():
        (spec,) = tasks.parse_specs(typed)
        assert spec.text == own
        assert typed == key_of(typed)
        assert typed not in tasks.names()
        tasks.load(spec, starter=True)
    for typed in aliases().near_tasks:
        with pytest.raises(UsageError, match="no task is called"):
            tasks.parse_specs(typed)
    flags = {name for command in COMMANDS for parameter in loaded(command).params for name in parameter.opts}
    templates = [*aliases().flags.values(), *aliases().switches.values()]
    assert {template.split()[0] for template in templates} <= flags
    for spec_text in aliases().shots:
        tasks.load(tasks.parse_one_spec(spec_text), starter=True)


def test_no_alias_hides_a_flag_of_ours() -> None:
    """A row for a flag that a command has would never be read there, and mislead whoever reads the table."""
    ours = {name for parameter in loaded("eval").params for name in parameter.opts}
    table = aliases()
    for rows in (table.flags, table.switches, table.task_options, table.always, table.instead):
        for key in rows:
            assert (key if key.startswith("-") else f"--{key.replace('_', '-')}") not in ours


def test_two_versions_in_one_name_are_refused() -> None:
    """The name that is understood says which version it is."""
    with pytest.raises(UsageError, match=r"alpaca_eval_2 is alpacaeval@2 here, .* write alpacaeval@1"):
        tasks.parse_specs("alpaca_eval_2@1")


def test_a_folder_of_the_users_own_is_no_alias(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies there is meant, for models as for tasks."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gpt-4o").mkdir()
    (tmp_path / "openai" / "o3").mkdir(parents=True)
    assert own_spec("gpt-4o") == "gpt-4o"
    assert own_spec("openai/o3") == "openai/o3"
    assert own_spec("x" * 5000) == "x" * 5000  # longer than a file's name can be
    (tmp_path / "inspect_evals" / "ifeval").mkdir(parents=True)
    (tmp_path / "inspect_evals" / "ifeval" / "task.py").write_text("")
    assert tasks.own_names("inspect_evals/ifeval") == {"inspect_evals/ifeval": "inspect_evals/ifeval"}


MODELS = {
    "gpt-4o": "openai:gpt-4o",
    "gpt-4o-mini-2024-07-18": "openai:gpt-4o-mini-2024-07-18",
    "gpt-4.1": "openai:gpt-4.1",
    "gpt-4-1106-preview": "openai:gpt-4-1106-preview",
    "gpt-5-mini": "openai:gpt-5-mini",
    "o3": "openai:o3",
    "o1-preview": "openai:o1-preview",
    "chatgpt-4o-latest": "openai:chatgpt-4o-latest",
    "openai/gpt-4o": "openai:gpt-4o",
    "claude-sonnet-4-5": "anthropic:claude-sonnet-4-5",
    "anthropic/claude-3-haiku-20240307": "anthropic:claude-3-haiku-20240307",
    "hf/meta-llama/Llama-3.1-8B": "hf:meta-llama/Llama-3.1-8B",
    "vllm/Qwen/Qwen3-0.6B": "vllm:Qwen/Qwen3-0.6B",
    "openai/gpt-oss-20b": "openai/gpt-oss-20b",
    "openai-community/gpt2": "openai-community/gpt2",
    "gpt2": "gpt2",
    "gpt2-xl": "gpt2-xl",
    "gpt-j-6b": "gpt-j-6b",
    "google/gemma-2-9b-it": "google/gemma-2-9b-it",
    "mistralai/Mistral-7B-Instruct-v0.3": "mistralai/Mistral-7B-Instruct-v0.3",
    "deepseek-ai/DeepSeek-V3": "deepseek-ai/DeepSeek-V3",
    "gemini-2.5-pro": "gemini:gemini-2.5-pro",
    "google/gemini-2.5-flash": "gemini:gemini-2.5-flash",
    "deepseek-chat": "deepseek:deepseek-chat",
    "grok-4": "xai:grok-4",
    "mistral-large-latest": "mistral:mistral-large-latest",
    "builtin:tiny": "builtin:tiny",
    "http://localhost:8000/v1#gpt-4o": "http://localhost:8000/v1#gpt-4o",
}


@pytest.mark.parametrize("typed", MODELS)
def test_a_model_that_only_a_vendor_serves_needs_no_prefix(typed: str) -> None:
    """A hub id stays one: only names that no checkpoint has are a vendor's."""
    assert own_spec(typed) == MODELS[typed]
    assert parse_model(typed)[0] == parse_model(MODELS[typed])[0]


def test_an_evaluator_is_not_taken_for_a_checkpoint() -> None:
    """Its name chooses a prompt and a rule of the task; a dry run would call a checkpoint free."""
    with pytest.raises(UsageError, match=r"--tasks alpacaeval:judge=weighted_alpaca_eval_gpt4\.1"):
        own_spec("weighted_alpaca_eval_gpt4.1")


def test_backends_of_lm_eval_find_their_model_among_the_arguments() -> None:
    """``--model openai-chat-completions --model_args model=gpt-4o``, and a server with its ``base_url``."""
    spec, rest = parse_model("openai-chat-completions", {"model": "gpt-4o", "max_attempts": "3"})
    assert (spec.text, rest) == ("openai:gpt-4o", {"max_attempts": "3"})
    address = "http://localhost:8000/v1/chat/completions"
    spec, rest = parse_model("local-chat-completions", {"model": "mine", "base_url": address})
    assert (spec.text, rest) == ("http://localhost:8000/v1#mine", {})


# -- flags

UNDERSTOOD = {
    # lm-eval
    "--model hf --model_args pretrained=gpt2,dtype=float32 --tasks gsm8k": (
        "--model hf:gpt2 --model-arg dtype=float32 --tasks gsm8k"
    ),
    "--model_args pretrained=gpt2 dtype=float32 peft=me/lora": (
        "--model-arg pretrained=gpt2 --model-arg dtype=float32 --model-arg lora=me/lora"
    ),
    '--model_args \'{"pretrained": "gpt2", "trust_remote_code": true}\'': (
        "--model-arg pretrained=gpt2 --model-arg trust_remote_code=true"
    ),
    "--model_args model=m,base_url=http://h:1/v1,num_concurrent=8": (
        "--model-arg model=m --model-arg base_url=http://h:1/v1 --concurrency 8"
    ),
    "--tasks gsm8k ifeval --limit 5": "--tasks gsm8k,ifeval --limit 5",
    "-t gsm8k ifeval,math": "-t gsm8k,ifeval,math",
    "--tasks gsm8k --num_fewshot 5": "--tasks gsm8k@5shot",
    "--num_fewshot=5 --tasks=gsm8k": "--tasks gsm8k@5shot",
    "--tasks gsm8k_cot -f 8": "--tasks gsm8k_cot",
    "--tasks minerva_math --num_fewshot 4": "--tasks minerva_math",
    "--tasks math@500 --num_fewshot 4": "--tasks math@500:prompt=minerva4",
    "--tasks ifeval,mtbench --num_fewshot 0": "--tasks ifeval,mtbench",
    "--model m --batch_size auto:4": "--model m",
    "--model org/m --batch_size 8": "--model org/m --model-arg batch_size=8",
    "--model vllm:org/m -b 8": "--model vllm:org/m --model-arg max_num_seqs=8",
    "-m gpt-4o --batch_size 8": "-m gpt-4o --concurrency 8",
    "--device cuda:0": "--model-arg device=cuda:0",
    "--seed 42": "--gen seed=42",
    "--gen_kwargs temperature=0.7,top_p=0.9,max_gen_toks=512": (
        "--gen temperature=0.7 --gen top_p=0.9 --gen max_tokens=512"
    ),
    "--gen_kwargs do_sample=False 'until=[\"Q:\"]'": "--gen stop=Q: --gen temperature=0",
    "--gen_kwargs temperature=0.8,do_sample=True": "--gen temperature=0.8",
    "--output_path out --log_samples": "--out out",
    "--apply_chat_template --system_instruction 'Be brief.'": "--system 'Be brief.'",
    "--trust_remote_code -L 3": "--model-arg trust_remote_code=true --limit 3",
    "--trust_remote_code=False --log_samples True --limit 3": "--limit 3",
    "--apply_chat_template False": "--chat-template none",
    "--model openai-chat-completions --batch_size 4": "--model openai-chat-completions --concurrency 4",
    # alpaca_eval
    "--model_outputs o.json --reference_outputs r.json -t alpaca_eval": (
        "--model file:o.json --baseline r.json -t alpaca_eval"
    ),
    "--annotators_config weighted_alpaca_eval_gpt4_turbo": ("--tasks alpacaeval:judge=weighted_alpaca_eval_gpt4_turbo"),
    "--tasks alpacaeval@1,gsm8k --annotators_config alpaca_eval_gpt4": (
        "--tasks alpacaeval@1:judge=alpaca_eval_gpt4,gsm8k"
    ),
    "--annotators_config builtin:tiny --starter": "--judge builtin:tiny --starter",
    "--max_instances 10": "--limit 10",
    # FastChat and arena-hard
    "--model-path lmsys/vicuna-7b-v1.5 --bench-name mt_bench": "--model lmsys/vicuna-7b-v1.5 --tasks mt_bench",
    "--judge-model gpt-4 --first-n 2": "--judge gpt-4 --limit 2",
    "--tasks mtbench --mode pairwise-all --baseline-model gpt-3.5-turbo": (
        "--tasks mtbench:mode=pairwise-all --baseline gpt-3.5-turbo"
    ),
    "--max-new-token 1024 --force-temperature 0.5": "--gen max_tokens=1024 --gen temperature=0.5",
    "--benchmark arena-hard-v2.0 --control-features length": "--tasks arenahard@v2.0:style=length",
    "--tasks mtbench --mode pairwise-baseline": "--tasks mtbench:mode=pairwise",
    "--tasks arenahard --control-features markdown length": "--tasks arenahard:style=both",
    "-j gpt-4.1": "--judge gpt-4.1",
    # inspect
    "--model openai/gpt-4o --max-connections 20 --epochs 4": "--model openai/gpt-4o --concurrency 20 --repeats 4",
    "-M device=cuda:0 --temperature 0.6 --top-p 0.95 --max-tokens 99": (
        "--model-arg device=cuda:0 --gen temperature=0.6 --gen top_p=0.95 --gen max_tokens=99"
    ),
    "--timeout 60 --reasoning-effort low --system-message Hi": (
        "--model-arg timeout_seconds=60 --model-arg reasoning_effort=low --system Hi"
    ),
    # ours, and what only looks like a flag
    "--system --device --model m": "--system --device --model m",
    "--model m -qv -- --device": "--model m -qv -- --device",
    "--unheard-of --un_heard=1": "--unheard-of --un_heard=1",
}


@pytest.mark.parametrize("typed", UNDERSTOOD)
def test_flags_of_other_harnesses_are_understood(typed: str) -> None:
    """Each becomes ours, values kept; what is ours, or a value, is left alone."""
    assert translated(loaded("eval"), shlex.split(typed), []) == shlex.split(UNDERSTOOD[typed])


REFUSED = {
    "--tasks gsm8k --num_fewshot 3": "gsm8k@5shot shows 5, gsm8k@cot8 shows 8",
    "--tasks gsm8k --num_fewshot 8": "Leave --num_fewshot out and name one of these",
    "--tasks gsm8k --num_fewshot 0": "gsm8k@chat shows 0",
    "--tasks gsm8k_cot,ifeval --num_fewshot 0": "--num_fewshot 0 of gsm8k@cot8",
    "--tasks ifeval --num_fewshot 3": "leave --num_fewshot out",
    "--num_fewshot 3": "needs --tasks",
    "--model_outputs o.json": "add --tasks alpacaeval",
    "--reference_outputs=r.json": "add --tasks alpacaeval",
    "--seed 0,1234,1234,1234": "--gen seed=N",
    "--apply_chat_template chatml": "--chat-template FILE",
    "--gen_kwargs do_sample=True": "--gen temperature=0.7",
    '--gen_kwargs \'until=["a","b"]\'': "takes one stop string",
    "--gen_kwargs '{broken'": "JSON object",
    "--include_path my/tasks": "--tasks ./mine/task.py",
    "--samples '{}'": "--ids FILE",
    "--sample-id 3": "--ids FILE",
    "--log_samples=False": "cannot be switched off",
    "--parallel 4": "--judge-concurrency N",
    "--max-samples 4": "--limit N",
    "--model-base-url http://x": "http://HOST:PORT/v1#NAME",
    "--wandb_args project=x": "--track wandb",
    "--predict_only": "`judgebench generate`",
    "--no-score": "`judgebench generate`",
    "--precomputed_leaderboard x.csv": "--published",
    "--model-list a b": "repeat --model",
    "--openai-api-base http://x": "http://HOST:PORT/v1#NAME",
    "--api_key sk-123": "--api-key-env",
    "--num-gpus-total 8": "--replicas N",
    "--fewshot_as_multiturn": "gsm8k@cot-llama",
    "--log-dir logs": "--out DIR",
    "-T subject=algebra": "--tasks T:KEY=VALUE",
    "--tasks gsm8k --annotators_config alpaca_eval_gpt4": "which --tasks gsm8k does not name",
    "--device": "--device needs a value",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_flags_without_an_equivalent_name_ours(command: Command, typed: str) -> None:
    """One paragraph, exit 2, and nothing is run."""
    said = command("eval", "--model", "builtin:tiny", "--starter", *shlex.split(typed)).paragraph
    assert REFUSED[typed] in said


def test_all_flags_without_an_equivalent_are_named_at_once(command: Command) -> None:
    """Those that nothing takes the place of are left out with their values, and a note."""
    typed = "--is_overwrite_leaderboard True --precomputed_leaderboard x.csv --caching_path=y --sort_by k"
    said = command("eval", "--model", "builtin:tiny", "--tasks", "alpacaeval", *shlex.split(typed)).paragraph
    assert "no flag --precomputed_leaderboard: " in said
    assert "; and no --sort_by: `judgebench leaderboard RUN --sort KEY`" in said
    assert "--caching_path" not in said
    notes: list[str] = []
    left = "--tasks alpacaeval --is_overwrite_leaderboard --caching_path y --use_cache DIR --limit 3"
    assert translated(loaded("eval"), shlex.split(left), notes) == shlex.split("--tasks alpacaeval --limit 3")
    for flag in ("--is_overwrite_leaderboard", "--caching_path", "--use_cache"):
        assert any(note.startswith(f"{flag} is not needed: ") for note in notes)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('output_path = "x"', "did you mean out?"),
        ('gen-kwargs = "temperature=1"', "did you mean gen?"),
        ("limt = 3", "did you mean limit?"),
        ('include_path = "x"', "--tasks ./mine/task.py"),
    ],
)
def test_keys_of_a_config_file_are_looked_up_too(command: Command, tmp_path: Path, line: str, said: str) -> None:
    """They are not translated: a file is written once."""
    (tmp_path / "run.toml").write_text(line)
    assert said in command("eval", "--config", tmp_path / "run.toml").paragraph


def test_a_key_on_the_command_line_is_not_repeated(command: Command) -> None:
    """The message would land in a log."""
    assert "sk-123" not in command("eval", "--api_key", "sk-123", "--tasks", "gsm8k").paragraph


def test_a_name_that_means_something_else_there_is_explained() -> None:
    """lm-eval's ``gsm8k`` shows five drawn examples; whoever uses only our flags means ours."""
    said = "lm-eval's gsm8k is gsm8k@5shot"
    explained = {"--tasks gsm8k --log_samples": True, "--tasks gsm8k": False, "--tasks gsm8k --num_fewshot 5": False}
    for typed, wanted in explained.items():
        notes: list[str] = []
        translated(loaded("eval"), shlex.split(typed), notes)
        assert any(said in note for note in notes) is wanted


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("--model hf --model_args pretrained=me/m --tasks gsm8k", True),
        ("--model vllm:me/m --tasks ifeval --gen_kwargs temperature=0", True),
        ("--model hf --model_args pretrained=me/m --tasks gsm8k --apply_chat_template", False),
        ("--model hf --model_args pretrained=me/m --tasks gsm8k --apply_chat_template false", False),
        ("--model hf --model_args pretrained=me/m --tasks gsm8k --chat-template none", False),
        ("--model openai-chat-completions --model_args model=gpt-4o --tasks gsm8k", False),
        ("--model-path me/m --bench-name mt_bench", False),
        ("--model hf:me/m --tasks gsm8k", False),
    ],
)
def test_a_chat_template_that_lm_eval_leaves_out_is_told(typed: str, wanted: bool) -> None:
    """lm-eval sends a checkpoint raw prompts unless it is told otherwise; an endpoint applies its own template."""
    notes: list[str] = []
    translated(loaded("eval"), shlex.split(typed), notes)
    assert any("--chat-template none does as lm-eval" in note for note in notes) is wanted


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("--model hf --model_args pretrained=me/m --tasks gsm8k", True),
        ("--model hf --model_args pretrained=me/m,dtype=auto --tasks gsm8k --apply_chat_template", True),
        ("--model hf --model_args pretrained=me/m,dtype=bfloat16 --tasks gsm8k", False),
        ("--model hf:me/m --model-arg dtype=float32 --tasks gsm8k_cot --num_fewshot 8", False),
        ("--model openai-chat-completions --model_args model=gpt-4o --tasks gsm8k", False),
        ("--model hf:me/m --tasks gsm8k", False),
    ],
)
def test_the_precision_that_lm_eval_would_take_is_told(typed: str, wanted: bool) -> None:
    """Its dtype=auto is the checkpoint's own on a CPU, too; what a run took is in the manifest."""
    notes: list[str] = []
    translated(loaded("eval"), shlex.split(typed), notes)
    assert any("computed in float32 here" in note for note in notes) is wanted


def test_what_differs_is_said_before_what_is_the_same() -> None:
    """A benchmark that is another one there, then the chat template, then the translations, a line for each."""
    notes: list[str] = []
    words = shlex.split("--model hf --model_args pretrained=me/m,dtype=float32 --tasks gsm8k --batch_size 4")
    assert translated(loaded("eval"), words, notes) == shlex.split(
        "--model hf:me/m --model-arg dtype=float32 --tasks gsm8k --model-arg batch_size=4"
    )
    assert [note.split()[0] for note in notes] == ["gsm8k", "without", "--model_args", "--batch_size"]
    assert "--model hf:me/m --model-arg dtype=float32" in notes[2]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("--model hf", "--model_args pretrained=ORG/NAME"),
        ("--model vllm", "give vllm:ORG/NAME"),
        ("--model openai-chat-completions", "give openai:NAME"),
        ("--model local-chat-completions", "give http://HOST:PORT/v1#NAME"),
        ("--model hf --model_args pretrained=me/m,parallelize=True", "takes no argument 'parallelize'"),
    ],
)
def test_what_no_engine_could_open_is_refused_before_any_file_is_looked_for(
    command: Command, typed: str, said: str
) -> None:
    """GSM8K's official questions are not here, which would be the next complaint."""
    refused = command("eval", "--tasks", "gsm8k", "--offline", *shlex.split(typed))
    assert (refused.code, refused.out) == (2, "")
    assert said in refused.err.splitlines()[-1]


def test_a_key_among_the_settings_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    """The line that says what was understood hides what looks like a key."""
    notes: list[str] = []
    translated(loaded("eval"), ["--model_args", "api_key=sk-" + "a1" * 20], notes)
    say(notes)
    assert "--model_args" in (said := capsys.readouterr().err)
    assert "a1a1" not in said


def test_what_was_understood_is_said_once_and_the_run_is_in_our_words(example_runs: Path, tmp_path: Path) -> None:
    """Flags, tasks and models, each in a line on stderr; labels and protocol have our names only."""
    shutil.copy(example_runs / "answers.jsonl", tmp_path)
    typed = (
        "--model_outputs answers.jsonl --tasks gsm8k_cot --starter --max_instances 4 --log_samples --num_fewshot 8 -q"
    )
    ended = run_command(["eval", *shlex.split(typed), "--output_path", "one"], cwd=tmp_path)
    said = [line for line in ended.stderr.splitlines() if " here" in line]
    assert said == [
        "judgebench: --model_outputs answers.jsonl is --model file:answers.jsonl here",
        "judgebench: --max_instances 4 is --limit 4 here",
        "judgebench: --num_fewshot 8 is --tasks gsm8k@cot8 here",
        "judgebench: --output_path one is --out one here",
        "judgebench: gsm8k_cot is gsm8k@cot8 here",
    ]
    assert "judgebench: --log_samples is not needed: every answer and verdict is kept" in ended.stderr
    ours = "eval --model file:answers.jsonl --tasks gsm8k@cot8 --starter --limit 4 -q --out two"
    assert " here" not in run_command(shlex.split(ours), cwd=tmp_path).stderr
    one, two = (RunFolder(tmp_path / name).require_manifest() for name in ("one", "two"))
    assert one.protocol_hash == two.protocol_hash
    assert list(one.tasks) == ["gsm8k"]
    assert "gsm8k_cot" not in (tmp_path / "one" / "results.json").read_text()


ELSEWHERE = [
    "tasks info gsm8k_cot",
    "data list mt_bench",
    "data verify alpaca_eval",
    "plan --task gsm8k_cot",
    "leaderboard runs --task gsm8k_cot",
    "compare runs/base runs/mine --task gsm8k_cot",
    "explain runs/mine --task gsm8k_cot",
    "score runs/mine --tasks GSM8K",
]


@pytest.mark.parametrize("typed", ELSEWHERE)
def test_every_command_knows_the_names(
    example_runs: Path, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, typed: str
) -> None:
    """A task is called the same in each."""
    shutil.copytree(example_runs, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    ended = command(*shlex.split(typed))
    assert ended.code == 0, ended.err
    assert " is " in ended.err
    assert ended.err.splitlines()[0].endswith(" here")


# -- commands

GROUPS = {name: set(group.commands) for name in COMMANDS if hasattr(group := loaded(name), "commands")}
GUESSES = {
    typed: meant
    for typed, meant in aliases().commands.items()
    if typed.replace("_", "-") not in COMMANDS
    and (" " not in typed or typed.split()[1] not in GROUPS[typed.split()[0]])
}
"""What is typed and meant, without the commands that have come to be."""


def test_enough_commands_can_be_guessed() -> None:
    """People guess at least these 36 words."""
    text = """run evaluate ls list list_tasks results init report diff rank login download validate fetch setup status
    version resume test bench annotate predict infer grade convert dump load power cost summary table ranking config
    clean metrics gen_judgment show_result"""
    words = set(text.split())
    assert len(words) >= 36
    assert words <= {*aliases().commands, *(name.replace("-", "_") for name in COMMANDS)}


@pytest.mark.parametrize("typed", GUESSES)
def test_a_guessed_command_gets_the_right_one_named_once(command: Command, typed: str) -> None:
    """The one named exists, and the message is one paragraph; a command of that name is no guess."""
    words = typed.split()
    group = words[0] if len(words) > 1 else ""
    meant = f"{group} {GUESSES[typed]}".split()
    for spelling in (words, [word.replace("_", "-") for word in words]):
        said = command(*spelling).paragraph
        assert said.count("did you mean") == 1
        assert f"did you mean `judgebench {' '.join(meant)}`?" in said
    if meant[0] in GROUPS:
        assert meant[1] in GROUPS[meant[0]]
    else:
        assert meant[0] in COMMANDS or meant == ["--version"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("evl", "judgebench eval"),
        ("leaderbord", "judgebench leaderboard"),
        ("tasks lst", "judgebench tasks list"),
        ("data ftech", "judgebench data fetch"),
        ("help expor", "judgebench export"),
        ("mt_bench", "judgebench eval --tasks mtbench"),
        ("gsm8k", "judgebench eval --tasks gsm8k"),
        ("eval --modle x", "--model"),
        ("eval --out-dir x", "--out"),
        ("eval --task_s x", "--tasks"),
        ("compare a b --flipp 3", "--flips"),
        ("tasks info gsm8k --jsn", "--json"),
    ],
)
def test_a_misspelt_word_gets_the_nearest_named_once(command: Command, typed: str, meant: str) -> None:
    """Commands, also within groups, and flags."""
    said = command(*shlex.split(typed)).paragraph
    assert said.count("did you mean") == 1
    assert f"did you mean {meant}?" in said.replace("`", "")


@pytest.mark.parametrize("flag", ["--yes", "--num", "--zebra"])
def test_a_flag_that_is_like_none_gets_none_named(command: Command, flag: str) -> None:
    """A far one would only mislead."""
    said = command("eval", flag).paragraph
    assert "did you mean" not in said
    assert f"`judgebench eval` has no flag {flag}. `judgebench eval --help` lists the flags." in said


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("eval gsm8k --model builtin:tiny", "--tasks gsm8k"),
        ("eval inspect_evals/ifeval --model openai/gpt-4o", "--tasks ifeval"),
        ("generate some words", "--tasks T --model M"),
        ("eval -m opnai:gpt-4.1 -t gsm8k --starter", "openai:gpt-4.1"),
        ("eval -m openai:gpt-4.1 -t gsm8k --starter --model-arg max_atempts=3", "max_attempts"),
        ("eval -m builtin:tiny -t gsm8k --starter --gen temprature=1", "temperature"),
        ("eval -m builtin:tiny -t gsm8k --starter --preset simpo-llama", "simpo-llama3"),
        ("tasks info mtbnch", "mtbench"),
    ],
)
def test_a_misspelt_value_gets_the_nearest_named_once(command: Command, typed: str, meant: str) -> None:
    """Tasks, kinds of model, settings and presets; and a task that stands where inspect has it."""
    ended = command(*shlex.split(typed))
    assert ended.code == 2
    assert ended.err.count("did you mean") == 1
    assert f"did you mean {meant}?" in ended.err


def test_flags_before_a_command_are_explained(command: Command) -> None:
    """As lm-eval and alpaca_eval take them."""
    assert "as in `judgebench eval --model …`" in command("--model", "x", "--tasks", "gsm8k").paragraph


def test_python_knows_the_names_too(example_runs: Path) -> None:
    """As tasks of a run to make, and of runs that are there."""
    runs = example_runs / "runs"
    (group,) = judgebench.leaderboard(runs, task="gsm8k_cot").groups
    assert {row.task for row in group.rows} == {"gsm8k@cot8"}
    assert judgebench.compare(runs / "base", runs / "mine", task="GSM8K").record.tasks[0].task == "gsm8k@cot8"
    run = judgebench.load_run(runs / "mine")
    assert run.answers("gsm8k_cot").equals(run.answers("gsm8k"))
    assert judgebench.plan("gsm8k_cot", n=100).record.task == "gsm8k@cot8"
    assert judgebench.tasks.info("minerva_math500")["task"].startswith("math@500")
    with pytest.raises(UsageError, match="holds no task 'mtbench'"):
        run.answers("mt_bench")
