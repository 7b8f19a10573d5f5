"""Language of a text, by langdetect with a fixed seed.

langdetect draws n-grams at random, and the last bits of its sums depend on the order in which it read its profiles.
Here it is given a seed for every text and its profiles in the order of their names, where its own ``detect`` takes no
seed and the order of the file system: a label depends on nothing but the text.
"""

from functools import cache
from pathlib import Path
from typing import Any

SEED = 0


def language_of(text: str) -> str | None:
    """The label (ISO 639-1, but ``zh-cn`` and ``zh-tw``) of the likeliest language; ``unknown`` if none exceeds 0.1.

    ``None`` for a text that has nothing any profile knows, such as digits alone: its language cannot be told.
    """
    from langdetect import LangDetectException

    detector = _factory().create()
    detector.append(text)
    try:
        return str(detector.detect())
    except LangDetectException:
        return None


@cache
def _factory() -> Any:
    """The profiles, read once in a process."""
    from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory

    factory = DetectorFactory()
    factory.set_seed(SEED)
    files = sorted(path for path in Path(PROFILES_DIRECTORY).iterdir() if path.is_file())
    factory.load_json_profile([path.read_text(encoding="utf-8") for path in files])
    return factory
