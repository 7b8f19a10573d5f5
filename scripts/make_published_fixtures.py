"""Makes ``tests/fixtures/published``: the numbers behind published scores, without any text.

    python scripts/make_published_fixtures.py DATA [FOLDER]

DATA is the folder of published data that ``JUDGEBENCH_TEST_DATA`` names; FOLDER is ``tests/fixtures/published`` unless
given. Preferences, verdicts, ratings and lengths are copied as they are, in the order of their files; an example is
named by its place in the official order (MT-Bench: by its question number). Equal data give equal bytes.
"""

import csv
import gzip
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "fixtures" / "published"
Rows = Iterable[Sequence[object]]

ALPACAEVAL = ("FuseChat-Gemma-2-9B-Instruct", "claude", "Qwen-14B-Chat", "vicuna-13b-v1.5")
MTBENCH = ("claude", "llama3_griffin", "mistral_orpo")
WILDBENCH = ("Qwen1.5-72B-Chat-greedy", "gpt-3.5-turbo-0125", "gemma-2b-it")
ARENAHARD_BATTLES = "official_gpt4turbo_2models"
ARENAHARD_JUDGE, ARENAHARD_BASELINE = "gpt-4-1106-preview", "gpt-4-0314"
ARENAHARD = (
    "Llama-3-Base-8B-TR_KTO-Alpha_0.6-UltraFeedback",
    "Llama-3-Base-8B-TR_KTO-Tau_256-UltraFeedback",
    "Meta-Llama-3.1-8B-Instruct",
)
ENDINGS = ("win_much", "win", "tie", "lose", "lose_much")
GROUPS = (
    "Creative Tasks",
    "Planning & Reasoning",
    "Math & Data Analysis",
    "Information/Advice seeking",
    "Coding & Debugging",
)


def alpacaeval_judgements(data: Path) -> Iterator[Sequence[object]]:
    """The judge's preference (1 the baseline, 2 the model) and both lengths."""
    yield "model", "index", "preference", "length", "baseline_length"
    table = pyarrow.parquet.read_table(data / "alpacaeval" / "ae2_annotations.parquet").to_pylist()
    for row in sorted(table, key=lambda row: row["row"]):
        if row["model"] in ALPACAEVAL:
            yield row["model"], row["index"], row["preference"], row["len_2"], row["len_1"]


def mtbench_ratings(data: Path) -> Iterator[Sequence[object]]:
    """Every record of GPT-4's ratings, in the order of its file; -1 is none."""
    yield "file", "model", "question", "turn", "score"
    for name in MTBENCH:
        for row in read_lines(data / "mt_bench" / "judgments" / f"{name}_gpt-4_single.jsonl.gz"):
            yield name, row["model"], row["question_id"], row["turn"], row["score"]


def mtbench_expected(data: Path) -> Iterator[Sequence[object]]:
    """What FastChat prints for those files: the mean over all records, and over the last one of each turn."""
    yield "model", "average", "average_of_last", "source"
    expected = json.loads((data / "mt_bench" / "expected_single_and_pair.json").read_text())
    for own in (expected[name] for name in MTBENCH):
        for model, average in own["average"].items():
            yield model, average, own["average_dedup_last"][model], own["source"]


def wildbench_scores(data: Path) -> Iterator[Sequence[object]]:
    """gpt-4o's scores of the current table, with the length of each answer and whether it was empty or cut off."""
    yield "model", "task", "score", "length", "flag"
    place = {
        session: number for number, session in enumerate((data / "wildbench" / "session_ids.txt").read_text().split())
    }
    for model in WILDBENCH:
        for row in read_lines(data / "wildbench" / "score_records" / f"v0625-gpt4o__{model}.jsonl.gz"):
            flag = "truncated" if row["truncated"] else "empty" if row["empty"] else ""
            yield model, place[row["session_id"]], row["score"], row["len"], flag


def wildbench_endings(data: Path) -> Iterator[Sequence[object]]:
    """How often the used pairs of a task group (or of all) ended how, after the length rule; published counts."""
    yield "model", "baseline", "k", "group", *ENDINGS, "pairs"
    for row in read_csv(data / "wildbench" / "published" / "pairwise.csv"):
        if row["model"] in WILDBENCH:
            for group in ("", *GROUPS):
                counts = [row[f"{group}.{name}" if group else name] for name in ENDINGS]
                yield row["model"], row["baseline"], row["K"], group, *counts, row["total"]


def wildbench_groups(data: Path) -> Iterator[Sequence[object]]:
    """Published mean scores of the five task groups, rescaled to -8 to 10."""
    yield "model", *GROUPS
    for row in read_csv(data / "wildbench" / "published" / "score.csv"):
        if row["model"] in WILDBENCH and row["judge"] == "gpt-4o-2024-05-13":
            yield row["model"], *(row[group] for group in GROUPS)


def arenahard_battles(data: Path) -> Iterator[Sequence[object]]:
    """The battles of the officially released judgements: won, tied and lost by the model, per question."""
    yield "model", "question", "won", "tied", "lost"
    place = arenahard_questions(data)
    counts: dict[tuple[str, int], list[int]] = {}
    for row in read_csv(data / "arena_hard" / "battles" / f"{ARENAHARD_BATTLES}.csv.gz"):
        own = counts.setdefault((row["model_b"], place[row["question_id"]]), [0, 0, 0])
        own[("model_b", "tie", "model_a").index(row["winner"])] += 1
    for (model, question), own in counts.items():
        yield model, question, *own


def arenahard_verdicts(data: Path) -> Iterator[Sequence[object]]:
    """The judge's label in both games of a question; empty where a game has none."""
    yield "model", "question", "game_1", "game_2"
    place = arenahard_questions(data)
    for model in ARENAHARD:
        for row in read_lines(data / "arena_hard" / "judgments_v0.1" / ARENAHARD_JUDGE / f"{model}.jsonl.gz"):
            if row.get("baseline", ARENAHARD_BASELINE) == ARENAHARD_BASELINE:
                labels = [(game or {}).get("score") or "" for game in row["games"]]
                yield model, place[row["uid"]], *labels, *[""] * (2 - len(labels))


def arenahard_styles(data: Path) -> Iterator[Sequence[object]]:
    """How each answer is written: tokens of two encodings, headers, list items and bold passages."""
    yield "model", "question", "tokens_o200k", "tokens_cl100k", "headers", "lists", "bold"
    place = arenahard_questions(data)
    for model in (ARENAHARD_BASELINE, *ARENAHARD):
        for row in read_lines(data / "arena_hard" / "answers_v0.1" / f"{model}.jsonl.gz"):
            style = row["metadata"]
            counts = (sum(style[name].values()) for name in ("header_count", "list_count", "bold_count"))
            yield model, place[row["uid"]], style["token_len"], row["token_len_cl100k"], *counts


def arenahard_expected(data: Path) -> Iterator[Sequence[object]]:
    """Win rates that upstream's own program prints of the verdicts, plain and with style control, three models in one
    table.
    """
    yield "model", "win_rate", "win_rate_style_controlled"
    expected = json.loads((data / "arena_hard" / "expected_legacy_pipeline.json").read_text())
    plain, styled = (expected[name]["models"] for name in (ARENAHARD_JUDGE, f"{ARENAHARD_JUDGE}|style"))
    for model in ARENAHARD:
        yield model, plain[model]["win_rate"], styled[model]["win_rate"]


MAKERS: tuple[Callable[[Path], Rows], ...] = (
    alpacaeval_judgements,
    mtbench_ratings,
    mtbench_expected,
    wildbench_scores,
    wildbench_endings,
    wildbench_groups,
    arenahard_battles,
    arenahard_verdicts,
    arenahard_styles,
    arenahard_expected,
)


def fixtures(data: Path) -> dict[str, str]:
    """Each file's text by its name."""
    return {f"{maker.__name__}.csv": as_csv(maker(data)) for maker in MAKERS}


def as_csv(rows: Rows) -> str:
    """Rows as the text of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def arenahard_questions(data: Path) -> dict[str, int]:
    """The place of each question in the official file, by its id."""
    return {row["uid"]: number for number, row in enumerate(read_lines(data / "arena_hard" / "question_v0.1.jsonl.gz"))}


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Records of a ``.jsonl.gz`` file."""
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file, ``.gz`` or not."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return list(csv.DictReader(io.StringIO(text)))


def main() -> None:
    """Write every file."""
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    folder = Path(sys.argv[2]) if len(sys.argv) == 3 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in fixtures(Path(sys.argv[1])).items():
        (folder / name).write_text(text, newline="")


if __name__ == "__main__":
    main()
