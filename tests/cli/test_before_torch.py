"""What is wrong with a command is told before an engine is imported: that takes seconds, on a busy machine a minute."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

CANDIDATE = "eval --model builtin:tiny --starter --offline"
JUDGED = f"{CANDIDATE} --judge builtin:tiny"
ALPACA, MTBENCH, GSM8K = (f"--tasks {name}" for name in ("alpacaeval", "mtbench", "gsm8k"))
SERVED = "http://127.0.0.1:9/v1#j"

WRONG = {
    # tasks
    f"{JUDGED} --tasks alpacaevil": "did you mean alpacaeval?",
    f"{JUDGED} --tasks alpacaeval@7": "it has 2, 1",
    f"{JUDGED} --tasks alpacaeval:color=1": "upstream_compat",
    f"{JUDGED} --tasks alpacaeval:order=up": "seeded, both",
    f"{JUDGED} --tasks gsm8k,gsm8k@5shot": "twice",
    f"{JUDGED} --tasks ./nowhere/task.py": "./nowhere/task.py",
    f"{JUDGED} --tasks hendrycks_math": "math@full",
    # the judge
    f"{CANDIDATE} {ALPACA} --judge ./nothing": "nothing",
    f"{CANDIDATE} {ALPACA} --judge no-such/judge": "no-such/judge",
    f"{CANDIDATE} {ALPACA} --judge builtin:huge": "builtin:tiny",
    f"{CANDIDATE} {ALPACA} --judge opnai:gpt-4.1": "openai:NAME",
    f"{CANDIDATE} {ALPACA} --judge telnet:there": "openai:NAME",
    f"{CANDIDATE} {ALPACA} --judge http://127.0.0.1:9/v1": "#NAME",
    f"{CANDIDATE} {ALPACA} --judge {SERVED}": "127.0.0.1:9",
    f"{CANDIDATE} {ALPACA} --judge openai:mine": "OPENAI_API_KEY",
    f"{CANDIDATE} {ALPACA} --judge gpt-4-of-mine": "OPENAI_API_KEY",
    f"{CANDIDATE} {MTBENCH} --judge anthropic:mine": "ANTHROPIC_API_KEY",
    f"{CANDIDATE} {ALPACA} --judge anthropic:mine": "log-probabilities",
    f"{CANDIDATE} {ALPACA} --judge file:verdicts.json": "not a judge",
    f"{CANDIDATE} {ALPACA}": "--judge builtin:tiny",
    f"{CANDIDATE} {ALPACA} --judge openai:mine --api-key-env NO_SUCH_KEY": "NO_SUCH_KEY",
    f"{JUDGED} {ALPACA} --judge-arg color=1": "it takes",
    f"{JUDGED} {ALPACA} --judge-arg batch_size=many": "batch_size=many",
    f"{CANDIDATE} {ALPACA} --judge {SERVED} --judge-arg timeout_seconds=soon": "timeout_seconds=soon",
    f"{CANDIDATE} {ALPACA} --judge {SERVED} --judge-arg colour=1": "colour",
    f"{CANDIDATE} {ALPACA} --judge {SERVED} --judge-arg replicas=0": "from 1 to 4,096",
    f"eval --model http://127.0.0.1:9/v1#m --starter {ALPACA} --judge {SERVED} --cluster auto": "replicas=N",
    f"{JUDGED} {ALPACA} --model-arg usd_per_million=1/1 --judge-gen warmth=1": "temperature",
    f"{JUDGED} {MTBENCH} --judge-gen temperature=hot": "temperature=hot",
    f"{JUDGED} {ALPACA} --judge-arg novalue": "KEY=VALUE",
    f"{JUDGED} {ALPACA} --judge-prompt none.j2": "none.j2",
    f"{JUDGED} {ALPACA} --judge-prompt broken.jinja": "broken.jinja",
    f"{CANDIDATE} {ALPACA} --judge none.toml": "none.toml",
    f"{CANDIDATE} {ALPACA} --judge wrong.toml": "modle",
    f"{JUDGED} --tasks alpacaeval:judge=nobody": "nobody",
    # the model
    f"eval --model ./nothing --starter --offline {GSM8K}": "nothing",
    f"eval --model hf:./empty --starter --offline {GSM8K}": "config.json",
    f"eval --model no-such/model --starter --offline {GSM8K}": "no-such/model",
    f"eval --model 'ckpt/step_*' --starter {GSM8K}": "config.json",
    f"eval --model gemini-2.5-pro --starter {GSM8K}": "GEMINI_API_KEY",
    f"eval --model openai:mine --judge builtin:tiny --starter {ALPACA}": "OPENAI_API_KEY",
    f"{JUDGED} {GSM8K} --model-arg colour=red": "it takes",
    f"{JUDGED} {GSM8K} --model-arg batch_size=many": "batch_size=many",
    f"{JUDGED} {GSM8K} --model-arg trust_remote_code=perhaps": "true or false",
    f"{JUDGED} {GSM8K} --model-arg dtype=float99": "float99",
    f"{JUDGED} {GSM8K} --model-arg usd_per_million=cheap": "INPUT/OUTPUT",
    f"{JUDGED} {ALPACA} --judge-arg usd_per_million=cheap": "INPUT/OUTPUT",
    f"eval --model openai:mine --starter {GSM8K} --replicas 2": "--replicas",
    # how it is asked
    f"{JUDGED} {GSM8K} --preset simpo": "the presets are",
    f"{JUDGED} {GSM8K} --preset simpo-llama3": "is for alpacaeval",
    f"{JUDGED} {GSM8K} --gen warmth=1": "temperature",
    f"{JUDGED} {GSM8K} --gen temperature=hot": "temperature=hot",
    f"{JUDGED} {GSM8K} --chat-template none.jinja": "readable file",
    f"{JUDGED} {GSM8K} --chat-template broken.jinja": "broken.jinja",
    f"{JUDGED} {GSM8K} --thinking perhaps": "auto, on, off",
    f"{JUDGED} {GSM8K} --think-tags '<a>'": "--think-tags",
    f"{JUDGED} {GSM8K} --refine none.txt": "--refine none.txt",
    f"{JUDGED} {GSM8K} --num_fewshot 3": "gsm8k@5shot",
    f"{JUDGED} {GSM8K} --repeats 4": "temperature",
    f"{JUDGED} {ALPACA} --repeats 4 --gen temperature=1": "--repeats",
    # what is asked and compared
    f"{JUDGED} {GSM8K} --ids none.txt": "--ids none.txt",
    f"{JUDGED} {GSM8K} --ids ids.txt": "names examples that do not exist",
    f"{JUDGED} {GSM8K} --limit 0": "--limit",
    f"{JUDGED} {GSM8K} --where colour=red": "colour",
    f"{JUDGED} {ALPACA} --baseline none.json": "starter_baseline",
    f"{JUDGED} {ALPACA} --baseline broken.json": "broken.json",
    f"{JUDGED} {ALPACA} --labels none.csv": "none.csv",
    f"{JUDGED} {ALPACA} --labels wrong.csv": "example_id",
    f"{JUDGED} {ALPACA} --stop-when 'win_rat ci<2'": "win_rate",
    f"{JUDGED} {ALPACA} --stop-when 'lc_win_rate ci<2'": "lc_win_rate",
    f"{JUDGED} {ALPACA} --stop-when soon": "ci<",
    f"{JUDGED} {ALPACA} --judge builtin:tiny": "given twice",
    f"{JUDGED} {ALPACA} --cascade builtin:tiny --dear 4": "too, and says nothing new about itself",
    f"{JUDGED} {ALPACA} --cascade builtin:smollm2 --dear 400": "16 examples",
    f"{JUDGED} {GSM8K} --bridge alpacaeval-alpaca_eval_cot_gpt4_turbo_fn-to-official": "is of alpacaeval@2",
    f"{JUDGED} {ALPACA} --bridge none.json": "none.json",
    f"{JUDGED} {GSM8K} --gen max_tokens=0": "max_tokens=0",
    f"{JUDGED} {GSM8K} --mirror /nowhere/at/all": "/nowhere/at/all is not a folder",
    # where it goes, and what it may cost
    f"{JUDGED} {GSM8K} --out taken": "not empty and not a run folder",
    f"{JUDGED} {GSM8K} --out ids.txt": "ids.txt",
    f"{JUDGED} {GSM8K} --track wnadb": "wandb",
    f"{JUDGED} {GSM8K} --budget -1": "--budget",
    f"{CANDIDATE} {ALPACA} --judge {SERVED} --budget 1": "price",
    f"{JUDGED} {GSM8K} --config none.toml": "--config none.toml",
    f"{JUDGED} {GSM8K} --config wrong.toml": "modle",
    f"{JUDGED} {GSM8K} --unheard-of": "--unheard-of",
    # other commands
    "judge runs/none --judge builtin:tiny": "runs/none",
    "gate --baseline runs/none --candidate runs/none --max-drop 2": "runs/none",
    "plan --task gsm8k --metric exact": "exact_match_strict",
    "leaderboard runs/none": "runs/none",
}
"""Commands that cannot work, and a part of what they say. Where a checkpoint is named, it would be opened."""

ALL = """
import importlib.machinery, json, os, shlex, sys

class Imported(BaseException):
    pass

class Poisoned:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "vllm", "ray"):
            return importlib.machinery.ModuleSpec(name, self)
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        raise Imported(module.__name__)

sys.meta_path.insert(0, Poisoned())
from tests.commands import judgebench
found = {}
for text in json.load(sys.stdin):
    try:
        ended = judgebench(shlex.split(text), code=None)
        found[text] = [ended.returncode, ended.stdout, ended.stderr]
    except Imported as error:
        found[text] = [None, "", f"imported {error}"]
json.dump(found, open("found.json", "w"))
"""


@dataclass(frozen=True)
class Told:
    """How a command ended; ``code`` is ``None`` if it began to import an engine."""

    code: int | None
    out: str
    err: str


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """How each command ends, in one process of its own where engines are installed, but must not be imported."""
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "empty").mkdir()
    (folder / "taken").mkdir()
    (folder / "taken" / "file").write_text("")
    (folder / "ids.txt").write_text("no-such-id\n")
    (folder / "wrong.csv").write_text("item,verdict\n1,win\n")
    (folder / "broken.json").write_text("[{")
    (folder / "broken.jinja").write_text("{% for message in messages %}")
    (folder / "wrong.toml").write_text('modle = "m"\n')
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    environment = {name: value for name, value in environment.items() if not name.endswith("_API_KEY")}
    subprocess.run(
        [sys.executable, "-c", ALL], cwd=folder, env=environment, input=json.dumps([*WRONG]), text=True, check=True
    )
    return {text: Told(*ended) for text, ended in json.loads((folder / "found.json").read_text()).items()}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_before_an_engine_is_imported(told: dict[str, Told], text: str) -> None:
    """One paragraph that names what is wrong, and an exit code that is no gate's."""
    ended = told[text]
    assert ended.code in (2, 6), ended.err
    assert WRONG[text] in ended.err
    said = [line for line in ended.err.splitlines() if not line.endswith(" here")]
    assert len(said) == 1, ended.err
    assert ended.out == ""
