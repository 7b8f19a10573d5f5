"""The published table that the length-controlled fit needs in addition to a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from judgebench.data.csv_cells import read_csv_table
from judgebench.stats.length_control import AnchorRows


@dataclass(frozen=True)
class LengthTable:
    """The gamed rows, and the difficulty of each official instruction."""

    anchors: AnchorRows
    difficulty: np.ndarray[Any, np.dtype[np.float64]]


def length_table(text: bytes) -> LengthTable:
    """Read ``df_gamed.csv``: 805 rows for each of two length-gamed baselines; the first 805 hold every difficulty.

    Upstream takes the difficulties from this file too (metrics/glm_winrate.py ``_get_featurized_data``).
    """
    rows = read_csv_table(Path("df_gamed.csv"), text.decode())
    column = {
        name: np.array([float(row[name]) for row in rows])
        for name in ("preference", "index", "std_delta_len", "instruction_difficulty")
    }
    _, first = np.unique(column["index"], return_index=True)
    return LengthTable(
        anchors=AnchorRows(
            preference=column["preference"],
            std_delta_len=column["std_delta_len"],
            difficulty=column["instruction_difficulty"],
        ),
        difficulty=column["instruction_difficulty"][first],
    )
