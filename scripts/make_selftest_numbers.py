"""Makes ``leaderboards/selftest``: the numbers that ``judgebench selftest`` computes published scores from.

    python scripts/make_selftest_numbers.py DATA [FOLDER]

DATA is the folder of published data that ``JUDGEBENCH_TEST_DATA`` names; FOLDER is ``leaderboards/selftest`` unless
given. ``judgebench/exchange/selftest.py`` says what the fields mean. Equal data give equal bytes.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.make_published_fixtures import (  # noqa: E402 - the checkout's own
    as_csv,
    mtbench_expected,
    mtbench_ratings,
    read_csv,
    read_lines,
)
from scripts.make_published_verdicts import compact, number  # noqa: E402

FOLDER = ROOT / "leaderboards" / "selftest"
ALPACAEVAL_2 = (
    *("FuseChat-Gemma-2-9B-Instruct", "claude", "Qwen-14B-Chat", "vicuna-13b-v1.5"),
    "alpaca-7b_verbose",
)
"""The first three have the C that upstream's cross-validation picked, the fourth has another. The last was published
with the difficulties of other instructions, because its file lacks rows."""
ALPACAEVAL_1 = 4
"""Models of the older edition."""
MTBENCH_CATEGORIES = ("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")
IFEVAL = ("claude-3-haiku-20240307", "gpt-4o-mini-2024-07-18")
IFEVAL_RULES = {"prompt_level_strict_acc": "strict", "prompt_level_loose_acc": "loose"}
GSM8K = "rho-math-7b-v0.1"
GSM8K_RULES = {"exact_match_strict": "cot_strict", "exact_match_flexible": "flexible"}
MATH = "rho-math-7b-v0.1"
MATH_RULES = {"math_verify": "math_verify", "minerva": "minerva_v31", "hendrycks_boxed": "hendrycks_boxed"}
RHO = (
    "lm-eval 0.4.13's verdicts on the answers in "
    "microsoft/rho@32965907a2aa71192e8b760fe6391b7c5246d4dc:rho-1/outputs.zip"
)
CHOSEN_C = (
    "upstream chooses C by cross-validation losses that differ by less than its solver's tolerance, over folds from an "
    "unstable sort; with any such C its number is within 0.15 of ours"
)
Numbers = dict[str, Any]


def alpacaeval_2(data: Path) -> Numbers:
    """Lengths of the baseline's answers and the instructions' difficulties; the verdicts are in ``../verdicts``."""
    rows = pyarrow.parquet.read_table(data / "alpacaeval" / "ae2_annotations.parquet").to_pylist()
    lengths = {row["index"]: row["len_1"] for row in rows if row["model"] == ALPACAEVAL_2[0]}
    difficulty: dict[int, float] = {}
    for row in read_csv(data / "alpacaeval" / "glm" / "df_gamed_reconstructed.csv"):
        difficulty.setdefault(int(float(row["index"])), float(row["instruction_difficulty"]))
    return {
        "task": "alpacaeval@2",
        "of_table": ALPACAEVAL_2,
        "compared": ["lc_win_rate", "win_rate"],
        "known": {
            "baseline_length": [lengths[index] for index in range(805)],
            "difficulty": [difficulty[index] for index in range(805)],
            "dataset": None,
            "against_itself": 0,
        },
        "explained": {"lc_win_rate": {"within": 0.15, "why": CHOSEN_C}},
    }


def alpacaeval_1(data: Path) -> Numbers:
    """Nothing but which models: the verdicts are in ``../verdicts``."""
    verdicts = json.loads((ROOT / "leaderboards" / "verdicts" / "alpacaeval@1.json").read_text())
    nothing = {"length": None, "baseline_length": None, "difficulty": None, "dataset": None, "against_itself": 0}
    return {
        "task": "alpacaeval@1",
        "of_table": list(verdicts["models"])[:: len(verdicts["models"]) // ALPACAEVAL_1 + 1],
        "compared": ["win_rate"],
        "known": nothing,
    }


def mtbench(data: Path) -> Numbers:
    """Mean and number of GPT-4's ratings of each answer, and what FastChat's ``show_result.py`` prints of them."""
    header, *ratings = mtbench_ratings(data)
    assert header == ("file", "model", "question", "turn", "score")
    read: dict[str, dict[tuple[int, int], list[float]]] = {}
    for _, model, question, turn, score in ratings:
        if score != -1:
            read.setdefault(str(model), {}).setdefault((int(str(turn)), int(str(question))), []).append(
                float(str(score))
            )
    cells = [(turn, question) for turn in (1, 2) for question in range(81, 161)]
    models = {}
    for model, average, _, source in list(mtbench_expected(data))[1:]:
        own = [read[str(model)].get(cell, []) for cell in cells]
        models[str(model)] = {
            "published": {"score": average},
            "source": source,
            "values": [number(sum(found) / len(found)) if found else None for found in own],
            "weights": [max(len(found), 1) for found in own],
        }
    return {
        "task": "mtbench@1:upstream_compat=true",
        "about": "every record of GPT-4's ratings; published is what FastChat's show_result.py prints of them",
        "metrics": ["rating#turn-1", "rating#turn-2"],
        "items": [str(question) for question in range(81, 161)],
        "known": {
            "turn": [turn for turn, _ in cells],
            "category": [MTBENCH_CATEGORIES[(question - 81) // 10] for _, question in cells],
            **dict.fromkeys(("failed", "unread", "further_missing", "off_scale"), 0),
        },
        "models": models,
    }


def wildbench(data: Path) -> Numbers:
    """Nothing but which models."""
    models = json.loads((ROOT / "leaderboards" / "verdicts" / "wildbench@v2.0625.json").read_text())["models"]
    return {"task": "wildbench@v2.0625:metrics=score", "of_table": list(models), "compared": ["wb_score_micro"]}


def arenahard(data: Path) -> Numbers:
    """Nothing but which models, and that every game was read."""
    styles = ("token_len", "header_count", "list_count", "bold_count")
    sides = {side + name: None for side in ("", "baseline_") for name in styles}
    return {
        "task": "arenahard@v0.1",
        "table": "arenahard@v0.1:date=2024-07-31",
        "of_table": ["gpt-4-0613", "gpt-3.5-turbo-0125"],
        "compared": ["win_rate"],
        "meta": {"category": "arena-hard-v0.1"},
        "known": {
            **dict.fromkeys(("unread", "failed", "unjudged", "dropped"), 0),
            "unknown_labels": None,
            "category": "arena-hard-v0.1",
            "subcategory": None,
            **sides,
        },
    }


def ifeval(data: Path) -> Numbers:
    """Which prompts were followed, by M-IFEval's stored verdicts, and the accuracies that M-IFEval published."""
    metrics = json.loads((data / "ifeval" / "expected_metrics.json").read_text())
    rows = {model: read_lines(data / "ifeval" / "expected" / f"{model}.jsonl.gz") for model in IFEVAL}
    source = "shisa-ai/M-IFEval@06f08ff3b2681a7e875124aa6946bcc93739aced:evaluations/en_input_response_data_%s"
    return {
        "task": "ifeval@1",
        "about": "published is what M-IFEval published of its verdicts",
        "metrics": list(IFEVAL_RULES),
        "items": [str(row["key"]) for row in rows[IFEVAL[0]]],
        "known": {"label": None},
        "models": {
            model: {
                "published": {name: 100 * metrics[model]["published_m_ifeval"][name] for name in IFEVAL_RULES},
                "source": source % model,
                "values": [int(all(row[rule])) for rule in IFEVAL_RULES.values() for row in rows[model]],
            }
            for model in IFEVAL
        },
    }


def gsm8k(data: Path) -> Numbers:
    """Which answers lm-eval's two filters find right, and the accuracies that it prints."""
    rows = read_lines(data / "gsm8k" / "expected" / f"{GSM8K}.jsonl.gz")
    metrics = json.loads((data / "gsm8k" / "expected_metrics.json").read_text())[GSM8K]
    return verified("gsm8k@cot8", [str(row["idx"]) for row in rows], GSM8K, GSM8K_RULES, metrics, rows, lambda v: v[1])


def math(data: Path) -> Numbers:
    """Which answers each of lm-eval's graders finds right, and the accuracies that it prints."""
    rows = read_lines(data / "math" / "expected" / f"{MATH}.jsonl.gz")
    metrics = json.loads((data / "math" / "expected_metrics.json").read_text())[MATH]
    made = verified("math@500", [row["id"] for row in rows], MATH, MATH_RULES, metrics, rows, bool)
    about = {row["unique_id"]: row for row in read_lines(data / "math" / "math500.jsonl.gz")}
    return made | {"meta": {name: [about[item][name] for item in made["items"]] for name in ("subject", "level")}}


def verified(
    task: str,
    items: Sequence[str],
    model: str,
    rules: Mapping[str, str],
    means: Mapping[str, float],
    rows: Sequence[Mapping[str, Any]],
    right: Callable[[Any], bool],
) -> Numbers:
    """Verdicts by metric, of one model."""
    return {
        "task": task,
        "about": "published is what lm-eval 0.4.13 prints of the same published answers",
        "metrics": list(rules),
        "items": items,
        "models": {
            model: {
                "published": {name: 100 * means[column] for name, column in rules.items()},
                "source": RHO,
                "values": [int(right(row.get(column, False))) for column in rules.values() for row in rows],
            }
        },
    }


def gamed(data: Path) -> Iterable[Sequence[object]]:
    """What the length-controlled fit is held in place by, with every instruction's difficulty."""
    columns = ("preference", "index", "std_delta_len", "instruction_difficulty", "not_gamed_baseline", "model")
    yield columns
    for row in read_csv(data / "alpacaeval" / "glm" / "df_gamed_reconstructed.csv"):
        yield [row[name] for name in columns]


MAKERS: dict[str, Callable[[Path], Numbers]] = {
    "alpacaeval@2": alpacaeval_2,
    "alpacaeval@1": alpacaeval_1,
    "mtbench@1": mtbench,
    "wildbench@v2.0625": wildbench,
    "arenahard@v0.1": arenahard,
    "ifeval@1": ifeval,
    "gsm8k@cot8": gsm8k,
    "math@500": math,
}


def files(data: Path) -> dict[str, str]:
    """Each file's text by its name."""
    texts = {f"{name}.json": compact(make(data)) + "\n" for name, make in MAKERS.items()}
    return {**texts, "alpacaeval.gamed.csv": as_csv(gamed(data))}


def main() -> None:
    """Write every file."""
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    folder = Path(sys.argv[2]) if len(sys.argv) == 3 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files(Path(sys.argv[1])).items():
        (folder / name).write_text(text, newline="")


if __name__ == "__main__":
    main()
