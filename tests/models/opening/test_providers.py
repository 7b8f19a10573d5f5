"""The table of vendors, each called by its name; several addresses and keys; and the page that says so."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from judgebench.errors import UsageError
from judgebench.models import OpenSettings
from judgebench.models.http import addresses_of
from judgebench.models.http.endpoint import Endpoint
from judgebench.models.opening import open_model, parse_model, price_of, vendor_of
from judgebench.models.opening.backends import HTTP, VENDORS, without_credentials
from judgebench.models.vendors import vendors
from judgebench.records import Message, Request, Sampling
from judgebench.run.folder import RunFolder
from tests.commands import judgebench
from tests.patience import wait_for
from tests.processes import kill, manifest_of, started
from tests.servers.launch import chat_server

PAGE = Path(__file__).parents[3] / "docs" / "providers.md"
KEYS = [name for vendor in vendors().values() for name in vendor.keys]
ASKED = Request(
    messages=(Message(role="user", content="hi"),), sampling=Sampling(temperature=0.0, max_tokens=5, seed=1)
)


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's keys, addresses or regions are set."""
    for name in (*KEYS, "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "AZURE_OPENAI_ENDPOINT", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)


def opened(spec: str, **settings: Any) -> Endpoint:
    """The model of a spec."""
    parsed, arguments = parse_model(spec, settings.pop("arguments", {}))
    model = open_model(parsed, OpenSettings(arguments=arguments, **settings))
    assert isinstance(model, Endpoint)
    return model


@pytest.mark.parametrize("name", VENDORS)
def test_a_vendor_is_called_as_its_row_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At its address, with its key, whose variable is named if it is not set."""
    vendor = vendors()[name]
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com/")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    with pytest.raises(UsageError, match=f"the environment variable {vendor.keys[0]} is not set"):
        opened(f"{vendor.prefix}:some/model")
    monkeypatch.setenv(vendor.keys[-1], "k-1234567")
    for prefix in vendor.prefixes:
        model = opened(f"{prefix}:some/model")
        assert model.headers["Authorization"] == "Bearer k-1234567"
        assert model.identity == f"http:{vendor.place('some/model')}#some/model"
        assert str(model.url).endswith("/chat/completions")
        assert str(model.url).startswith("https://")
        sent = json.loads(model.body(ASKED))
        assert ("max_completion_tokens" in sent) == vendor.max_completion_tokens
        assert not set(vendor.refuses) & set(sent)
    spec, arguments = parse_model(f"{vendor.prefix}:some/model")
    assert spec.backend.gives_logprobs == (vendor.logprobs != "no")
    if vendor.hosts:
        assert vendor_of(spec, arguments) is vendor


def test_the_same_model_by_name_and_by_address_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """So replies that were paid for under the address count for the name."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", "k-1234567")
    assert opened("deepseek:deepseek-flash").identity == opened("https://api.deepseek.com/v1#deepseek-flash").identity
    assert price_of(parse_model("deepseek:deepseek-flash")[0], {}) is not None


def test_azure_is_called_by_deployment_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the resource that the variable names; a dated version is part of the address, and no secret. Both headers hold
    the key.
    """
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k-1234567")
    with pytest.raises(UsageError, match="AZURE_OPENAI_ENDPOINT is not set"):
        opened("azure:mine")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://res.openai.azure.com")
    current = opened("azure:mine")
    assert str(current.url) == "https://res.openai.azure.com/openai/v1/chat/completions"
    assert current.headers["api-key"] == "k-1234567"
    dated = opened("azure:mine", arguments={"api_version": "2024-10-21"})
    assert str(dated.url) == (
        "https://res.openai.azure.com/openai/deployments/mine/chat/completions?api-version=2024-10-21"
    )
    assert dated.redacted("since 2024-10-21 with k-1234567") == "since 2024-10-21 with [key]"


def test_bedrock_is_called_in_a_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which a variable names."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "k-1234567")
    with pytest.raises(UsageError, match="AWS_REGION is not set"):
        opened("bedrock:openai.gpt-oss-20b")
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert opened("bedrock:openai.gpt-oss-20b").address == "https://bedrock-runtime.eu-north-1.amazonaws.com/openai/v1"


def test_a_switch_of_thinking_is_the_vendor_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """DeepSeek's and OpenRouter's have fields of their own; who has none is told of reasoning_effort."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", "k-1234567")
    monkeypatch.setenv("GROQ_API_KEY", "k-1234567")
    sent = json.loads(opened("deepseek:deepseek-flash", thinking="off").body(ASKED))
    assert sent["thinking"] == {"type": "disabled"}
    with pytest.raises(UsageError, match=r"Groq has no such switch.*reasoning_effort"):
        opened("groq:some", thinking="on")


def test_several_addresses_stand_between_bars() -> None:
    """Those without a path have that of the last; credentials are shown of none; all must be on this machine if a run
    folder names them.
    """
    text = "http://me:secret@a:1|http://you:hidden@b:2/v1?key=third#m"
    assert addresses_of(text.partition("#")[0]) == ["http://me:secret@a:1/v1", "http://you:hidden@b:2/v1?key=third"]
    assert without_credentials(text) == "http://a:1|http://b:2/v1#m"
    model = opened(text)
    assert [route.address for route in model.gate.routes] == ["http://a:1/v1", "http://b:2/v1"]
    assert model.identity == "http:#m"
    assert model.name == "m"
    assert HTTP.trusts("http://127.0.0.1:1|http://localhost:2/v1#m")
    assert not HTTP.trusts("http://127.0.0.1:1|http://elsewhere/v1#m")
    for wrong in ("http://a||http://b/v1#m", "http://a|#m", "|".join(["http://a/v1"] * 33) + "#m"):
        with pytest.raises(UsageError, match="several addresses"):
            parse_model(wrong)


def test_keys_belong_to_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for all, or one for each; several at one address take turns; any other number is refused."""
    for name in "ABC":
        monkeypatch.setenv(f"KEY_{name}", f"key-of-{name}")
    two = "http://a|http://b/v1#m"

    def keys(spec: str, names: str) -> list[str]:
        routes = opened(spec, api_key_env=names).gate.routes
        return [f"{route.target.base.host} {route.target.headers['Authorization'][-1]}" for route in routes]

    assert keys(two, "KEY_A") == ["a A", "b A"]
    assert keys(two, "KEY_A,KEY_B") == ["a A", "b B"]
    assert keys("http://a/v1#m", "KEY_A,KEY_B,KEY_C") == ["a A", "a B", "a C"]
    with pytest.raises(UsageError, match="3 variables for 2 addresses"):
        opened(two, api_key_env="KEY_A,KEY_B,KEY_C")
    with pytest.raises(UsageError, match="KEY_D is not set"):
        opened(two, api_key_env="KEY_A,KEY_D")


def test_an_endpoint_adds_to_an_address_and_replaces_a_vendor_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """As --endpoint and --judge-endpoint give it."""
    monkeypatch.setenv("TOGETHER_API_KEY", "k-1234567")
    monkeypatch.setenv("OPENAI_API_KEY", "k-1234567")
    more = {"endpoint": "http://x/v1|http://y/v1"}

    def addresses(spec: str) -> list[str]:
        return [route.address for route in opened(spec, arguments=more).gate.routes]

    assert addresses("http://a/v1#m") == ["http://a/v1", "http://x/v1", "http://y/v1"]
    for spec in ("together:m", "openai:m"):
        assert addresses(spec) == ["http://x/v1", "http://y/v1"]


SUMS = 'kind = "rating"\nname = "sums"\nprompts = "prompts.jsonl"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a reader stands: a benchmark of 30 items that a judge rates, and answers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path / "cache"))
    Path("sums.toml").write_text(SUMS)
    items = [{"id": str(number), "instruction": f"What is {number} + 1?"} for number in range(30)]
    Path("prompts.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    answers = [{"instruction": item["instruction"], "output": "one more", "generator": "me"} for item in items]
    Path("answers.json").write_text(json.dumps(answers))
    return tmp_path


def test_a_run_is_the_same_at_one_server_and_at_two(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verdicts, scores and the protocol's hash; and what two servers answered is asked of neither again, nor if only
    one of them is left.
    """
    words = ["eval", "--model", "file:answers.json", "--tasks", "sums.toml", "-q", "--judge"]
    with chat_server(ratings=1) as one, chat_server(ratings=1) as other:
        judgebench([*words, f"{one.base_url}#judge", "--out", "single"])
        asked = one.counts()["start"]
        both = f"http://127.0.0.1:{one.port}|{other.base_url}#judge"
        judgebench([*words, both, "--out", "double"])
        assert one.counts()["start"] + other.counts()["start"] == 2 * asked == 60
        assert other.counts()["start"] > 0
        monkeypatch.setenv("TOGETHER_API_KEY", "k-1234567")
        given = ["together:judge", "--judge-endpoint", other.base_url, "--judge-endpoint", one.base_url]
        judgebench([*words, *given, "--out", "named"])
        assert one.counts()["start"] + other.counts()["start"] == 60
    runs = [Path(name) for name in ("single", "double", "named")]
    assert len({manifest_of(run).protocol_hash for run in runs}) == 1
    results = [json.loads((run / "results.json").read_text())["scores"] for run in runs]
    assert results[0] == results[1] == results[2]
    verdicts = [
        {
            row.case_id: (row.verdict, [reply.text for reply in row.replies])
            for row in RunFolder(run).task("sums").judgements()
        }
        for run in runs
    ]
    assert verdicts[0] == verdicts[1] == verdicts[2]
    assert len(verdicts[0]) == 30


def test_nothing_is_lost_or_paid_twice_at_two_servers(folder: Path) -> None:
    """After kill -9, the next start asks for what no server had answered, and for nothing else but the calls that were
    in flight.
    """
    words = ["eval", "--model", "file:answers.json", "--tasks", "sums.toml", "-q", "--judge-concurrency", "4"]
    with chat_server(ratings=1, delay_ms=150) as one, chat_server(ratings=1, delay_ms=150) as other:
        judge = ["--judge", f"http://127.0.0.1:{one.port}|{other.base_url}#judge", "--out", "run"]

        def finished() -> int:
            return one.counts()["finish"] + other.counts()["finish"]

        with started([*words, *judge]) as process:
            wait_for(lambda: finished() >= 10)
            kill(process)
        judgebench([*words, *judge])
        seen = one.seen() + other.seen()
    assert len(seen) == 30
    assert sum(seen.values()) <= 30 + 4
    assert len(list(RunFolder(Path("run")).task("sums").judgements())) == 30


def test_the_page_lists_every_vendor() -> None:
    """With its key and what it can do, as docs/providers.md says."""
    rows = {
        row[0].strip("` "): [cell.strip() for cell in row[1:]]
        for line in PAGE.read_text().splitlines()
        if ":NAME" in line.partition(" | ")[0] and len(row := line.strip("| ").split(" | ")) == 6
    }
    assert set(rows) == {f"{vendor.prefix}:NAME" for vendor in vendors().values()}
    for vendor in vendors().values():
        title, keys, logprobs, batches, thinking = rows[f"{vendor.prefix}:NAME"]
        switch = bool(vendor.thinking) or vendor.protocol == "messages"
        assert title == vendor.title
        assert keys == ", ".join(f"`{name}`" for name in vendor.keys)
        assert (logprobs, batches, thinking) == (
            vendor.logprobs,
            "yes" if vendor.batch_api else "no",
            "yes" if switch else "no",
        )


def test_the_page_s_commands_are_understood(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is played through with --dry-run, which needs the keys and asks nobody."""
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    commands = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    assert len(commands) == 4
    for name in ("TOGETHER_API_KEY", "GROQ_A", "GROQ_B", "EAST_KEY", "WEST_KEY"):
        monkeypatch.setenv(name, "k-1234567")
    for command in commands:
        shown = judgebench([*shlex.split(command)[1:], "--dry-run", "--offline", "--json"])
        assert json.loads(shown.stdout)["models"]
