"""What is said on stderr: one paragraph a remark, folded at spaces where a terminal shows it."""

import sys

NO_BREAK = "\N{NO-BREAK SPACE}"
"""Stands for a space at which no line may end."""


def remark(text: str) -> None:
    """Say something on stderr, without control characters and keys.

    A terminal gets it folded at spaces, so that words, paths and commands stay whole; a pipe or a log one line.
    """
    from judgebench.display import COMMAND, printable
    from judgebench.redaction import redacted

    said = f"judgebench: {printable(redacted(text))}"
    if sys.stderr.isatty():
        import shutil
        import textwrap

        width = shutil.get_terminal_size().columns
        whole = COMMAND.sub(lambda found: found[0].replace(" ", NO_BREAK), said)
        said = textwrap.fill(whole, max(20, width), break_long_words=False, break_on_hyphens=False)
        said = said.replace(NO_BREAK, " ")
    sys.stderr.write(f"{said}\n")
