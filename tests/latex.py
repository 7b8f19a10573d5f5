"""A small reader of LaTeX tables, for machines without LaTeX: it refuses what pdflatex would stop at."""

import re
from collections.abc import Iterator

COMMANDS = {
    *("begin", "end", "caption", "label", "centering", "toprule", "midrule", "bottomrule", "par", "footnotesize"),
    *("textbf", "mathbf", "texttt", "textsuperscript", "emph", "quad", "pm", "geq", "leq", "times", "div", "cdot"),
    *("textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar", "ldots", "infty"),
    *("alpha", "beta", "gamma", "delta", "lambda", "mu", "sigma", "omega", "Delta", "Sigma", "Omega", "rightarrow"),
    *("textbullet", "textdegree", "textmu", "texteuro", "pounds", "S", "P", "i", "l", "L", "oe", "OE", "v", "c", "H"),
    *("u", "d", "b", "r", "approx", "neq", "phi", "varphi", "pi", "epsilon", "varepsilon"),
}
"""Every command that a table of ours may hold."""
MATH_ONLY = {"pm", "geq", "leq", "times", "div", "cdot", "mathbf", "infty", "alpha", "beta", "gamma", "Delta", "approx"}
TOKEN = re.compile(r"\\([A-Za-z]+|.)|%[^\n]*\n?|[{}$&#_^~]|[^\\{}$&#_^~%]+", re.DOTALL)


class NotLatex(AssertionError):
    """What LaTeX would stop at."""


def tables(text: str) -> list[list[list[str]]]:
    """The rows of each table, as cells of LaTeX. Raises :class:`NotLatex` for text that would not compile."""
    _require_compiles(text)
    found = []
    for places, body in re.findall(r"\\begin\{tabular\}\{([lr]+)\}\n(.*?)\\end\{tabular\}", text, re.DOTALL):
        lines = [line for line in body.splitlines() if line not in (r"\toprule", r"\midrule", r"\bottomrule")]
        rows = [re.split(r"(?<!\\) & ", line.removesuffix(r" \\")) for line in lines]
        for line, row in zip(lines, rows, strict=True):
            if not line.endswith(r" \\") or len(row) != len(places):
                raise NotLatex(f"{len(places)} columns, and the row {line!r}")
        found.append(rows)
    return found


def _tokens(text: str) -> Iterator[str]:
    place = 0
    for match in TOKEN.finditer(text):
        if match.start() != place:
            raise NotLatex(f"a lone backslash at {text[place : place + 20]!r}")
        place = match.end()
        if not match[0].startswith("%"):
            yield match[0]
    if place != len(text):
        raise NotLatex(f"what is {text[place:]!r}?")


def _require_compiles(text: str) -> None:
    opened, depth, math, tabular = [], 0, False, False
    tokens = list(_tokens(text))
    for place, token in enumerate(tokens):
        name = token[1:]
        if token in "{}":
            depth += 1 if token == "{" else -1
        elif token == "$":
            math = not math
        elif (token in ("_", "^") and not math) or token == "#" or (token == "&" and (not tabular or depth or math)):
            raise NotLatex(f"{token} stands bare in {''.join(tokens[max(0, place - 3) : place + 3])!r}")
        elif token.startswith("\\") and name.isalpha():
            if name not in COMMANDS:
                raise NotLatex(f"what is {token}?")
            if name in MATH_ONLY and not math:
                raise NotLatex(f"{token} outside a formula")
            if name in ("begin", "end"):
                kind = tokens[place + 2]
                if name == "begin":
                    opened.append(kind)
                elif not opened or opened.pop() != kind:
                    raise NotLatex(f"{kind} is ended and was not begun")
                tabular = "tabular" in opened
        elif not token.isascii() and any(not 0xC0 <= ord(c) < 256 or c in "ÐðÞþ" for c in token if ord(c) > 127):
            raise NotLatex(f"pdflatex does not know a character of {token!r}")
        if depth < 0:
            raise NotLatex("a brace is closed that was not opened")
    if depth or math or opened:
        raise NotLatex(f"left open: {depth} braces, formula {math}, {opened}")
