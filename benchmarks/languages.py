"""Whether IFEval's languages are langdetect's, and in what time: ``python benchmarks/languages.py --texts 1000000``.

Texts are made of pieces of the languages that langdetect knows (``tests/tasks/langdetect_beside.py``), a thousand from
each seed, so that several processes can share the work (``--first``). Compared are labels and all probabilities, to the
last bit. ``--answers FOLDER`` also compares a folder of files of ``{"response"}`` lines, each answer once. Printed are
CPU-seconds of both sides and how many texts differ; with any, it ends with 1. ``--ngrams`` compares only the n-grams
that both sides draw from, which is what differs most from langdetect's program and takes a fiftieth of the time.
"""

import argparse
import gzip
import json
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from judgebench import tasks  # noqa: E402 - the checkout's own, wherever the program is started from
from tests.tasks.langdetect_beside import found_by_langdetect, mixed_texts, ngrams_of_langdetect  # noqa: E402

AT_ONCE = 1000
"""Texts of one seed."""


def answers(folder: Path) -> Iterator[str]:
    """The responses in a folder's files."""
    for path in sorted(folder.iterdir()):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        yield from (json.loads(line)["response"] or "" for line in data.splitlines())


def main() -> None:
    """Compare, and print how it went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first thousand texts")
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--ngrams", action="store_true", help="compare n-grams only")
    options = parser.parse_args()
    tasks.folder("ifeval")
    from judgebench.tasks.ifeval.language import _detector, language_of, probabilities_of

    known = _detector()
    seeds = range(options.first, options.first + options.texts // AT_ONCE)
    made = chain.from_iterable(mixed_texts(AT_ONCE, seed) for seed in seeds)
    compared = differing = 0
    theirs = ours = 0.0
    for text in chain(answers(options.answers) if options.answers else (), made):
        begun = time.process_time()
        wanted = ngrams_of_langdetect(text) if options.ngrams else found_by_langdetect(text)
        middle = time.process_time()
        found = known.grams(text) if options.ngrams else language_of(text)
        theirs, ours = theirs + middle - begun, ours + time.process_time() - middle
        compared += 1
        if options.ngrams:
            differing += found != [known.rows[gram] for gram in wanted]
        else:
            differing += (found, probabilities_of(text)) != wanted
    print(f"{compared} texts from seed {options.first}: {differing} differ")
    print(f"CPU-seconds   langdetect {theirs:.1f}, judgebench {ours:.1f}, ratio {theirs / ours:.1f}")
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
