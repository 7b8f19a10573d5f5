"""``eval --dry-run`` before, amid and after a real run against real servers: what it says is what the run then does."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from judgebench import UsageError, estimate
from tests.commands import judgebench
from tests.patience import wait_for
from tests.processes import kill, manifest_of, started
from tests.servers.launch import Server
from tests.shared_data import SharedData
from tests.terminal import in_terminal

StartServer = Callable[..., Server]
ITEMS = 12
"""Of Arena-Hard's starter set. Each is judged in both orders."""
ANSWER = "An answer of the length that a chat model likes. " * 32
VERDICT = "Both are fine, and the first is better in what matters. " * 20 + "[[A>B]]"
PRICES = ("--model-arg", "usd_per_million=1/4", "--judge-arg", "usd_per_million=2/8")
Files = Iterator[Path]


class Bench:
    """A candidate and a judge behind servers of their own."""

    def __init__(self, start: StartServer, delay_ms: int = 0) -> None:
        self.candidate, self.judge = start(text=ANSWER, delay_ms=delay_ms), start(text=VERDICT, delay_ms=delay_ms)

    @property
    def seen(self) -> tuple[int, int]:
        """Requests for answers and for verdicts so far."""
        return self.candidate.seen().total(), self.judge.seen().total()

    def eval(self, out: Path, *more: object) -> list[object]:
        """The command."""
        return [
            *("eval", "--model", f"{self.candidate.base_url}#it", "--judge", f"{self.judge.base_url}#judge"),
            *("--tasks", "arenahard", "--starter", *PRICES, "--out", out, *more),
        ]

    def forecast(self, out: Path, *more: object) -> dict[str, Any]:
        """What a dry run says; it asks nothing and leaves nothing behind."""
        before, there = self.seen, out.exists()
        found: dict[str, Any] = json.loads(judgebench([*self.eval(out, *more), "--dry-run", "--json"]).stdout)
        assert self.seen == before
        assert out.exists() == there
        return found


def calls(dry_run: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    """Calls to make, in the store and in the run folder, by stage."""
    return {stage["stage"]: (stage["calls"], stage["cached"], stage["kept"]) for stage in dry_run["stages"]}


@pytest.fixture
def bench(start_chat_server: StartServer) -> Bench:
    """Both servers."""
    return Bench(start_chat_server)


@pytest.fixture
def slow_bench(start_chat_server: StartServer) -> Bench:
    """Both servers, slow enough to be killed on the way."""
    return Bench(start_chat_server, delay_ms=300)


def test_what_it_says_is_what_the_run_does(bench: Bench, tmp_path: Path) -> None:
    """Before the run it knows the number of calls exactly, and what they cost within low and high; of a part of the
    run, the rest; after it, that nothing is left, whether in the same folder or in another.
    """
    whole = bench.forecast(tmp_path / "run")
    assert calls(whole) == {"generate": (ITEMS, 0, 0), "judge": (2 * ITEMS, 0, 0)}
    total = whole["total"]
    assert total["calls"] == 3 * ITEMS
    assert total["usd_low"] < total["usd_likely"] < total["usd_high"]
    assert total["usd_complete"]

    judgebench(bench.eval(tmp_path / "part", "--limit", "5"))
    rest = bench.forecast(tmp_path / "run")
    assert calls(rest) == {"generate": (ITEMS - 5, 5, 0), "judge": (2 * (ITEMS - 5), 10, 0)}
    part = manifest_of(tmp_path / "part").spending
    assert part is not None

    judgebench(bench.eval(tmp_path / "run"))
    assert bench.seen == (ITEMS, 2 * ITEMS)
    run = manifest_of(tmp_path / "run").spending
    assert run is not None
    assert total["usd_low"] <= part.usd + run.usd <= total["usd_high"]
    assert rest["total"]["usd_low"] <= run.usd <= rest["total"]["usd_high"]

    same, another = bench.forecast(tmp_path / "run"), bench.forecast(tmp_path / "another")
    assert calls(same) == {"generate": (0, 0, ITEMS), "judge": (0, 0, 2 * ITEMS)}
    assert same["continued"] == [str(tmp_path / "run")]
    assert calls(another) == {"generate": (0, ITEMS, 0), "judge": (0, 2 * ITEMS, 0)}
    for done in (same, another):
        assert (done["total"]["usd_high"], done["total"]["seconds_high"]) == (0, 0)


def test_of_a_killed_run_it_says_the_rest(slow_bench: Bench, tmp_path: Path) -> None:
    """What it says after ``kill -9`` is what the same command then asks; with what is kept and stored, that is all."""
    out = tmp_path / "run"
    with started([str(part) for part in slow_bench.eval(out, "--concurrency", "1")]) as process:
        wait_for(lambda: slow_bench.judge.counts()["finish"] >= 3)
        kill(process)
    found = slow_bench.forecast(out)
    before = slow_bench.seen
    generate, judge = calls(found)["generate"], calls(found)["judge"]
    assert (sum(generate), sum(judge)) == (ITEMS, 2 * ITEMS)
    assert generate[0] > 0
    assert judge[0] > 0
    assert generate[2] > 0
    judgebench(slow_bench.eval(out))
    after = slow_bench.seen
    assert (after[0] - before[0], after[1] - before[1]) == (generate[0], judge[0])


def test_an_unfinished_run_among_the_runs_is_continued(
    slow_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without ``--out`` a run goes on with the unfinished one of the same settings, and the dry run finds that one. A
    run of other settings has what the store has.
    """
    monkeypatch.chdir(tmp_path)
    command = slow_bench.eval(Path("?"))[:-2]
    with started([str(part) for part in [*command, "--concurrency", "1"]]) as process:
        wait_for(lambda: slow_bench.judge.counts()["finish"] >= 2)
        kill(process)
    (run,) = (tmp_path / "runs").glob("*/*")
    found = json.loads(judgebench([*command, "--dry-run", "--json"]).stdout)
    assert found["continued"] == [str(run.relative_to(tmp_path))]
    assert calls(found)["generate"][2] > 0
    others = json.loads(judgebench([*command, "--judge-repeats", "2", "--dry-run", "--json"]).stdout)
    assert others["continued"] == []
    assert calls(others)["generate"][1:] == (ITEMS - calls(found)["generate"][0], 0)


def test_later_turns_and_refinements_go_through_stored_replies(start_chat_server: StartServer, tmp_path: Path) -> None:
    """Two turns, each refined once: 4 calls an item, and 2 ratings; after the run all of them are found."""
    server = start_chat_server(ratings=1)
    (tmp_path / "refine.txt").write_text("Improve this: {response}")
    command = [
        *("eval", "--model", f"{server.base_url}#it", "--judge", f"{server.base_url}#judge", "--tasks", "mtbench"),
        *("--starter", "--limit", "3", "--refine", tmp_path / "refine.txt", "--json"),
    ]

    def stages(*more: object) -> list[tuple[str, int, int]]:
        found = json.loads(judgebench([*command, "--dry-run", *more]).stdout)["stages"]
        return [(stage["stage"], stage["calls"], stage["cached"]) for stage in found]

    # The first of the two runs answers without the refinement; the second finds those answers to the first turn.
    assert stages("--out", tmp_path / "new") == [
        *(("generate", 6, 0), ("judge", 6, 0)),
        *(("generate", 9, 3), ("judge", 6, 0)),
    ]
    judgebench([*command, "--out", tmp_path / "made"])
    assert [(calls, stage) for stage, calls, _ in stages("--out", tmp_path / "new")] == [
        *((0, "generate"), (0, "judge")),
        *((0, "generate"), (0, "judge")),
    ]


def test_a_checkpoint_s_answers_are_found(start_chat_server: StartServer, tmp_path: Path) -> None:
    """A local checkpoint is not loaded; the newest run that used it says under which name its answers are stored."""
    server = start_chat_server(ratings=1)
    command = [
        *("eval", "--model", "builtin:tiny", "--judge", f"{server.base_url}#judge", "--tasks", "mtbench"),
        *("--starter", "--limit", "2", "--json"),
    ]
    judgebench([*command, "--out", tmp_path / "runs" / "tiny" / "made"], cwd=tmp_path)
    found = json.loads(judgebench([*command, "--dry-run"], cwd=tmp_path).stdout)
    assert calls(found) == {"generate": (0, 4, 0), "judge": (0, 4, 0)}


def test_python_says_the_same(bench: Bench, tmp_path: Path) -> None:
    """``judgebench.estimate`` takes the arguments of ``evaluate``, and refuses the same."""
    spec, judge = f"{bench.candidate.base_url}#it", f"{bench.judge.base_url}#judge"
    price = {"model_args": {"usd_per_million": "1/4"}, "judge_args": {"usd_per_million": "2/8"}}
    found = estimate(spec, "arenahard", judge=judge, starter=True, out=tmp_path / "run", **price)
    assert json.loads(msgspec.json.encode(found)) == bench.forecast(tmp_path / "run")
    with pytest.raises(UsageError, match=r"estimate\(\) has no setting 'limits'"):
        estimate(spec, "arenahard", limits=3)  # type: ignore[call-arg]


def test_another_run_in_the_folder_is_refused_as_the_run_would(bench: Bench, tmp_path: Path) -> None:
    """With what differs."""
    judgebench(bench.eval(tmp_path / "run", "--limit", "2"))
    ended = judgebench([*bench.eval(tmp_path / "run"), "--dry-run"], code=2)
    assert "holds another run, which differs in arenahard.examples.ids, arenahard.examples.n" in ended.stderr


def test_limits_make_the_time(bench: Bench, tmp_path: Path) -> None:
    """30 requests a minute: 12 answers and 24 verdicts come from two endpoints at the same time, so 48 seconds, at
    least and at most.
    """
    total = bench.forecast(tmp_path / "run", "--rpm", "30")["total"]
    assert (total["seconds_low"], total["seconds_likely"], total["seconds_high"]) == (48, 48, 48)
    one_at_a_time = bench.forecast(tmp_path / "run", "--concurrency", "1", "--judge-concurrency", "1")["total"]
    at_once = bench.forecast(tmp_path / "run")["total"]
    assert one_at_a_time["seconds_likely"] > 10 * at_once["seconds_likely"]


def test_speed_is_measured_where_it_can_be(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After twenty calls of a model, its own pace counts instead of an assumption (but not that of a short burst)."""
    new = bench.forecast(tmp_path / "new")
    assert [model["calls_per_second"] for model in new["models"]] == [None, None]
    judgebench(bench.eval(tmp_path / "run"))
    burst = bench.forecast(tmp_path / "new")
    assert [model["calls_per_second"] for model in burst["models"]] == [None, None]
    monkeypatch.setattr("judgebench.models.call_store.SHORTEST_FOR_PACE", 0.0)
    known = bench.forecast(tmp_path / "new", "--gen", "temperature=0.7")
    judge = next(model for model in known["models"] if model["roles"] == ["judge"])
    assert judge["calls_per_second"] > 0
    stage = next(stage for stage in known["stages"] if stage["stage"] == "judge")
    assert stage["seconds_likely"] == pytest.approx(stage["calls"] / judge["calls_per_second"])


def models_file(path: Path, *rows: dict[str, Any]) -> Path:
    """A list of models as an endpoint gives it."""
    path.write_text(json.dumps({"object": "list", "data": rows}))
    return path


def test_an_unknown_name_is_looked_up_in_the_endpoint_s_list(start_chat_server: StartServer, tmp_path: Path) -> None:
    """The likeliest names are offered; --offline asks nobody; a server without a list changes nothing."""
    listed = models_file(
        tmp_path / "models.json",
        {"id": "Qwen3-32B-Instruct-FP8"},
        {"id": "qwen3-32b-instruct\x1b[31m"},
        {"id": "other"},
    )
    server = start_chat_server(models=listed)

    def said(url: str, *more: object) -> str:
        command = ["eval", "--model", f"{url}#qwen3-32b-instruct", "--tasks", "gsm8k", "--starter", "--dry-run"]
        return " ".join(judgebench([*command, *more], COLUMNS="200").stdout.split())

    assert (
        "its endpoint lists no model of this name (did you mean Qwen3-32B-Instruct-FP8 or qwen3-32b-instruct\\x1b[31m?)"
        in said(server.base_url)
    )
    assert server.counts() == {"models": 1}
    assert "endpoint lists its models at http://127.0.0.1" in said(server.base_url, "--offline")
    assert server.counts() == {"models": 1}
    without = start_chat_server()
    assert f"its endpoint lists its models at {without.base_url}/models" in said(without.base_url)


@pytest.mark.parametrize(
    "pricing", [{"prompt": "0.000002", "completion": "0.000008"}, {"input": 2, "output": 8, "hourly": 0}]
)
def test_a_price_on_the_endpoint_s_list_counts(
    pricing: dict[str, Any], start_chat_server: StartServer, tmp_path: Path
) -> None:
    """As OpenRouter lists it, in USD for a token, and as Together does, for a million."""
    listed = models_file(tmp_path / "models.json", {"id": "it", "pricing": pricing})
    server = start_chat_server(models=listed)
    command = ["eval", "--model", f"{server.base_url}#it", "--tasks", "gsm8k", "--starter", "--dry-run", "--json"]
    found = json.loads(judgebench(command).stdout)
    (model,) = found["models"]
    assert (model["usd_per_million"], model["price_source"], model["listed"]) == (
        [2, 8],
        "listed by the endpoint",
        True,
    )
    assert found["total"]["usd_likely"] > 0


@pytest.mark.parametrize(
    "listed",
    [
        "",
        "[[",
        '{"data": 7}',
        '{"data": [7, {"id": 8}]}',
        '{"data": [{"id": "it", "pricing": {"prompt": "nan"}}]}',
        "1",
    ],
)
def test_a_list_that_is_none_changes_nothing(listed: str, start_chat_server: StartServer, tmp_path: Path) -> None:
    """Whatever a server says when it is asked for its models, the dry run goes on; the price stays unknown."""
    (tmp_path / "models.json").write_text(listed)
    server = start_chat_server(models=tmp_path / "models.json")
    command = ["eval", "--model", f"{server.base_url}#it", "--tasks", "gsm8k", "--starter", "--dry-run", "--json"]
    (model,) = json.loads(judgebench(command).stdout)["models"]
    assert model["usd_per_million"] is None


def test_an_unknown_price_makes_the_sum_a_lower_bound(bench: Bench, tmp_path: Path) -> None:
    """Marked in the table, and in JSON."""
    command = [part for part in bench.eval(tmp_path / "run") if part not in PRICES[:2]]
    found = json.loads(judgebench([*command, "--dry-run", "--json"]).stdout)
    assert [stage["usd_likely"] is None for stage in found["stages"]] == [True, False]
    assert not found["total"]["usd_complete"]
    table = judgebench([*command, "--dry-run"], COLUMNS="120").stdout
    (last,) = [line for line in table.splitlines() if line.startswith("│ total")]
    assert last.count("≥") == 3
    assert "price unknown; give it with --model-arg usd_per_million=IN/OUT" in " ".join(table.split())


def test_a_budget_is_held_against_the_sum(bench: Bench, tmp_path: Path) -> None:
    """One that the run will reach is named, and one that cannot be kept for want of a price."""
    likely = bench.forecast(tmp_path / "run")["total"]["usd_likely"]

    def alerts(*more: object, leave_out: tuple[str, ...] = ()) -> str:
        command = [part for part in bench.eval(tmp_path / "run", *more) if part not in leave_out]
        return " ".join(judgebench([*command, "--dry-run"], COLUMNS="200").stdout.split())

    assert "--budget 0.001 will be reached before the end" in alerts("--budget", 0.001)
    assert "--budget" not in alerts("--budget", 100 * likely)
    assert "--budget 5 cannot be kept without the price of " in alerts("--budget", 5, leave_out=PRICES[:2])


def said(*arguments: object, day: str = "2026-11-30") -> str:
    """The dry run of one judged task by a judge that nobody asks, in one line."""
    command = ["eval", "--model", "builtin:tiny", "--tasks", "mtbench", "--starter", "--dry-run", *arguments]
    return " ".join(judgebench(command, COLUMNS="200", JUDGEBENCH_TODAY=day).stdout.split())


def test_the_end_of_a_judge_is_said() -> None:
    """What comes, what has come, and which key is missing. An old price list is doubted after 90 days."""
    coming = said("--judge", "openai:gpt-4.1-2025-04-14")
    assert "$2 in, $8 out per million tokens (developers.openai.com on 2026-11-01)" in coming
    assert "served until 2027-01-14, then gpt-6-luna" in coming
    assert "OPENAI_API_KEY is not set" in coming
    assert "may have changed" not in coming
    gone = said("--judge", "openai:gpt-4-0613")
    assert "openai:gpt-4-0613: its vendor has not served it since 2026-10-23; the run would refuse it" in gone
    old = said("--judge", "openai:gpt-5.2", day="2027-02-01")
    assert "openai:gpt-5.2: its price was read 92 days ago and may have changed" in old


def test_a_mistaken_price_is_told_before_anything_is_loaded() -> None:
    """The task is not even looked for."""
    command = ["eval", "--model", "builtin:tiny", "--tasks", "no-such-task", "--judge-arg", "usd_per_million=3"]
    ended = judgebench(command, code=2)
    assert ended.stderr.startswith("judgebench: usd_per_million=3 is not a price: it is INPUT/OUTPUT, ")


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_fits_a_terminal(columns: int, tmp_path: Path) -> None:
    """No line of the table is wrapped or cut; calls, all three sums and the time are there."""
    command = [
        *("eval", "--model", "openai:gpt-6-luna", "--judge", "openai:gpt-4.1", "--judge", "anthropic:claude-opus-5-5"),
        *("--tasks", "mtbench,gsm8k", "--starter", "--dry-run"),
    ]
    with in_terminal([str(part) for part in command], columns=columns, rows=50, cwd=tmp_path) as terminal:
        assert terminal.wait() == 0
    table = [line for line in terminal.lines if line.startswith(("┃", "│"))]
    assert len({len(line) for line in table}) == 1
    assert all(line.endswith(("┃", "│")) and len(line) <= columns for line in table)
    for heading in ("calls", "USD low", "USD likely", "USD high", "time"):
        assert heading.split()[-1] in " ".join(table[:3])
    assert terminal.screen.wrapped == 0


def test_several_candidates_have_a_row_for_each_task(start_chat_server: StartServer, tmp_path: Path) -> None:
    """Their stages are in the JSON. Judges of a jury are numbered in the table of one candidate."""
    url = start_chat_server().base_url
    judges = ("--judge", f"{url}#one", "--judge", f"{url}#two")
    common = ("--tasks", "mtbench,gsm8k", "--starter", "--dry-run")
    several = judgebench(["eval", "--model", f"{url}#a", "--model", f"{url}#b", *judges, *common], COLUMNS="160").stdout
    rows = [[cell.strip() for cell in line.split("│")[1:4]] for line in several.splitlines() if line.startswith("│")]
    assert rows == [
        *([f"{url}#a", "mtbench@1", "72"], [f"{url}#a", "gsm8k@cot8", "16"]),
        *([f"{url}#b", "mtbench@1", "72"], [f"{url}#b", "gsm8k@cot8", "16"]),
        ["total", "", "176"],
    ]
    one = judgebench(["eval", "--model", f"{url}#a", *judges, *common], COLUMNS="160").stdout
    stages = [line.split("│")[2].strip() for line in one.splitlines() if line.startswith("│")]
    assert stages == ["generate", "judge 1", "judge 2", "sum", "generate", ""]
    assert f"judge 2 {url}#two: price unknown" in " ".join(one.split())


def test_every_field_of_the_json_is_documented(bench: Bench, tmp_path: Path) -> None:
    """``docs/dry-run.md`` names each, and no other."""
    document = (Path(__file__).parents[2] / "docs" / "dry-run.md").read_text().partition("## JSON")[2]
    named = {
        name
        for line in document.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([a-z_]+)`", line.split("|")[1])
    }
    found = bench.forecast(tmp_path / "run")
    records = (found, found["total"], *found["tasks"], *found["stages"], *found["models"])
    assert named == {name for record in records for name in record}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--model", "path/to/ckpt"), "There is no checkpoint folder path/to/ckpt"),
        (("--model", "builtin:tiny", "--judge", "hf:./nowhere"), "There is no checkpoint folder ./nowhere"),
        (("--model", "builtin:tiny", "--model-arg", "dtyp=float16"), "takes no argument 'dtyp'"),
    ],
)
def test_what_the_run_would_refuse_of_a_checkpoint_is_refused(arguments: tuple[str, ...], why: str) -> None:
    """A folder that is not there, of a candidate or a judge, and a setting that its engine does not have."""
    command = ["eval", *arguments, "--tasks", "alpacaeval", "--starter", "--judge", "builtin:tiny"]
    texts = [judgebench([*command, *more], code=2).stderr for more in ((), ("--dry-run",))]
    assert texts[0] == texts[1]
    assert why in texts[0]


def test_an_id_of_the_hub_is_believed() -> None:
    """Nobody is asked about it, so a run that will be made on another machine can be planned here."""
    assert "org/name" in said("--model", "org/name", "--judge", "builtin:tiny", "--limit", "2")


def test_what_a_judge_must_do_and_makes_of_the_numbers_is_said(shared_data: SharedData) -> None:
    """Another judge is another protocol; whether it returns log-probabilities is not known; limits are not counted;
    what is paid is told from what is free.
    """
    command = ["eval", "--model", "builtin:tiny", "--tasks", "alpacaeval", "--mirror", shared_data / "alpacaeval"]
    command += ["--offline", "--limit", "5", "--dry-run", "--judge"]
    other = " ".join(judgebench([*command, "openai:gpt-4.1"], COLUMNS="200").stdout.split())
    assert "not the official judge: another protocol, with a table of its own" in other
    assert "it must return logprobs, and whether it does is not known before its first reply" in other
    assert "a vendor's rate limits are not known and may take longer: give yours with --rpm, --tpm" in other
    assert "5 of the 10 calls are paid for; 5 go to models that are free" in other
    assert "time ?: builtin:tiny has not made enough calls here to know its speed" in other
    limited = judgebench([*command, "openai:gpt-4.1", "--rpm", "60"], COLUMNS="200").stdout
    assert "rate limits" not in limited
    official = judgebench([*command, "openai:gpt-4-1106-preview"], COLUMNS="200").stdout
    assert "not the official judge" not in official
    assert "logprobs" not in official
