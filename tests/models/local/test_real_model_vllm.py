"""A real small instruct model in vLLM and behind vLLM's server: it answers as in bare transformers, and it judges."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from judgebench.models import OpenSettings
from judgebench.models.http.model import served_chat
from judgebench.models.opening import open_model, parse_model
from judgebench.records import Judgement
from judgebench.run.folder import RunFolder
from tests.commands import judgebench
from tests.models.llama import answers, ask
from tests.models.real_model import MAX_TOKENS, Plain, ifeval_prompts, plain, share_checkpoint, smollm2, starter_prompts
from tests.servers.vllm_server import vllm_server
from tests.shared_data import SharedData

pytestmark = [pytest.mark.vllm, pytest.mark.real_model, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
__all__ = ["plain", "smollm2"]

KEY = "vk-right-0123456789"
CONTEXT = 2048
EACH = 3


@pytest.fixture(scope="module")
def prompts() -> list[str]:
    """Of two starter sets, and of IFEval itself where its data are."""
    official = ifeval_prompts(EACH) if SharedData("ifeval").is_here else []
    return [*starter_prompts("alpacaeval", EACH), *starter_prompts("ifeval", EACH), *official]


@pytest.fixture(scope="module")
def expected(plain: Plain, prompts: list[str]) -> list[str]:
    """What bare transformers answers, greedy, in float32, in one padded batch."""
    return plain.answers(prompts)


@pytest.fixture(scope="module")
def address(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the checkpoint is served, as ``smollm2``."""
    log = tmp_path_factory.mktemp("served") / "log"
    with vllm_server(smollm2, name="smollm2", key=KEY, context=CONTEXT, log=log) as url:
        yield f"{url}/v1"


def test_the_engine_answers_as_plain_transformers(own_folders: Path, prompts: list[str], expected: list[str]) -> None:
    """``vllm:builtin:smollm2``, text for text."""
    share_checkpoint(own_folders / "cache")
    arguments = {"max_model_len": str(CONTEXT), "max_num_seqs": "16", "enforce_eager": "true"}
    model = open_model(parse_model("vllm:builtin:smollm2")[0], OpenSettings(arguments=arguments))
    ours = answers(model, [ask(prompt, max_tokens=MAX_TOKENS) for prompt in prompts])
    model.close()
    assert model.name == "builtin:smollm2"
    assert [reply.text for reply in ours] == expected
    assert len(set(expected)) == len(prompts)


def test_the_server_answers_as_plain_transformers(
    address: str, prompts: list[str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over chat completions, text for text."""
    monkeypatch.setenv("KEY", KEY)
    model = served_chat("smollm2", address, api_key_env="KEY")
    ours = answers(model, [ask(prompt, max_tokens=MAX_TOKENS, temperature=0.0) for prompt in prompts])
    model.close()
    assert [reply.text for reply in ours] == expected


def test_it_judges_behind_the_server_as_in_this_process(address: str, own_folders: Path, tmp_path: Path) -> None:
    """AlpacaEval's starter set: every verdict is read from the server's log-probabilities. Labels among the likeliest
    tokens have the likelihoods that the hf backend computes.
    """
    share_checkpoint(own_folders / "cache")
    limit = EACH + 1
    rows = [{"instruction": text, "output": text[::-1]} for text in starter_prompts("alpacaeval", limit)]
    (tmp_path / "answers.json").write_text(json.dumps(rows))
    evaluate = ["eval", "--model", "file:answers.json", "--tasks", "alpacaeval", "--starter", "--limit", limit]

    def verdicts(judge: str) -> dict[str, Judgement]:
        out = judge.partition(":")[0]
        judgebench([*evaluate, "--judge", judge, "--api-key-env", "KEY", "--out", out], cwd=tmp_path, KEY=KEY)
        return {row.example_id: row for row in RunFolder(tmp_path / out).task("alpacaeval").judgements()}

    served, here = verdicts(f"{address}#smollm2"), verdicts("builtin:smollm2")
    assert len(served) == len(here) == limit
    for example, row in served.items():
        assert row.verdict.value is not None
        likely, both = labels(row), labels(here[example])
        assert likely
        assert both.keys() == {"A", "B"}
        assert likely == pytest.approx({label: both[label] for label in likely}, abs=1e-3)


def labels(row: Judgement) -> dict[str, float]:
    """The log-probabilities of the judge's labels, as far as its reply has them."""
    assert row.reply is not None
    assert row.reply.top_logprobs is not None
    return {label: value for label, value in row.reply.top_logprobs[0] if label in ("A", "B")}
