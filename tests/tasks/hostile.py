r"""Answers that want to hang, exhaust, crash or fool what verifies them: 2,000 of them, the same each time.

Each kind is a function from a random generator to a text. What makes a text bad is its shape, so the sizes are drawn:
some are such as a parser takes and then computes with for ever, some are such as it should never be given.
"""

import random
from collections.abc import Callable, Iterator

COUNT = 2_000
MEGABYTE = 1_000_000
MEGABYTES = 6
"""How many answers have a million characters."""

Kind = Callable[[random.Random], str]
KINDS: dict[str, Kind] = {}


def kind(function: Kind) -> Kind:
    """Adds a kind under its function's name."""
    KINDS[function.__name__] = function
    return function


def hostile_answers(count: int = COUNT, seed: int = 4) -> Iterator[tuple[str, str]]:
    """Kind and text, kinds in turn; every so often one of a million characters."""
    generator = random.Random(seed)
    makers = list(KINDS.items())
    long = {round((number + 0.5) * count / MEGABYTES) for number in range(MEGABYTES)} if count >= COUNT else set()
    for number in range(count):
        name, maker = makers[number % len(makers)]
        text = dressed(maker(generator), generator)
        if number in long:
            name, text = f"{name}, long", (text * (MEGABYTE // len(text) + 1))[:MEGABYTE]
        yield name, text


def dressed(text: str, generator: random.Random) -> str:
    """Often said as an answer is said, so that what extracts answers finds it."""
    forms = (
        "{}",
        "\\boxed{{{}}}",
        "So we get $\\boxed{{{}}}$.",
        "The answer is {}.",
        "Final Answer: The final answer is ${}$. I hope it is correct.",
        "The final answer is {}",
        "Work it out.\n#### {}",
        "$${}$$",
        "\\[ {} \\]",
    )
    return generator.choice(forms).format(text)


def size(generator: random.Random, most: int = 20_000) -> int:
    """Small ones as often as large ones."""
    return int(10 ** generator.uniform(1, len(str(most)) - 1)) + 1


def number(generator: random.Random, digits: int) -> str:
    """Digits, the first no zero."""
    return generator.choice("123456789") + "".join(generator.choices("0123456789", k=digits - 1))


# -- depth


@kind
def nested_brackets(generator: random.Random) -> str:
    """Of one sort or of all, closed, half closed or wrongly closed."""
    depth = size(generator)
    pairs = generator.choice((["()"], ["[]"], ["{}"], ["()", "[]", "{}"]))
    used = [generator.choice(pairs) for _ in range(depth)]
    closing = [pair[1] for pair in reversed(used)][: generator.choice((depth, depth // 2, 0))]
    return "".join(pair[0] for pair in used) + "1" + "".join(closing)


@kind
def nested_commands(generator: random.Random) -> str:
    """LaTeX in LaTeX."""
    command = generator.choice(
        ("\\sqrt{", "\\frac{1}{", "\\text{", "\\left(", "x^{", "x_{", "\\log_{2}{", "\\overline{")
    )
    depth = size(generator, 2_000)
    closing = "\\right)" if command.endswith("(") else "}"
    return command * depth + "2" + closing * generator.choice((depth, depth - 1))


@kind
def nested_json(generator: random.Random) -> str:
    """Deeper than a parser's stack."""
    depth = size(generator)
    opening, closing = generator.choice((("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")))
    return "```json\n" + opening * depth + "0" + closing * depth + "\n```"


@kind
def nested_functions(generator: random.Random) -> str:
    """Sines of sines."""
    depth = generator.randint(2, 60)
    return "".join(generator.choices(("\\sin(", "\\cos(", "\\ln(", "\\tan("), k=depth)) + "x" + ")" * depth


# -- size of numbers


@kind
def digits(generator: random.Random) -> str:
    """More than a number is converted from."""
    return number(generator, size(generator, 100_000))


@kind
def digits_in_groups(generator: random.Random) -> str:
    """With commas, points, signs and currency among them."""
    return "".join(generator.choice(("1,000", ".", ",", "$", "-", "999", ",,", "..")) for _ in range(size(generator)))


@kind
def exponents(generator: random.Random) -> str:
    """As floats, which overflow or vanish."""
    return f"{number(generator, 3)}e{generator.choice(('', '-'))}{number(generator, generator.randint(2, 12))}"


@kind
def towers(generator: random.Random) -> str:
    """Powers of powers."""
    height = generator.randint(2, 12)
    base = str(generator.randint(2, 99))
    form = generator.choice(("{}^{{", "{}**(", "({})^{{"))
    closing = ")" if form.endswith("(") else "}"
    return "".join(form.format(base) for _ in range(height)) + base + closing * height


@kind
def large_powers(generator: random.Random) -> str:
    """One power is enough, of a number, sum, matrix or root."""
    exponent = number(generator, generator.randint(4, 30))
    bases = (
        "7",
        "-1",
        "(x+y+z)",
        "\\sqrt{2}",
        "(1+i)",
        "\\frac{1}{3}",
        "0.5",
        "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}",
    )
    return f"{generator.choice(bases)}^{{{generator.choice(('', '-'))}{exponent}}}"


@kind
def factorials(generator: random.Random) -> str:
    """Of much, or of factorials."""
    return number(generator, generator.randint(1, 12)) + "!" * generator.randint(1, 40)


@kind
def binomials(generator: random.Random) -> str:
    """Of large numbers."""
    many = number(generator, generator.randint(3, 12))
    return f"\\binom{{{many}}}{{{generator.choice((many[:-1], str(int(many) // 2)))}}}"


@kind
def large_fractions(generator: random.Random) -> str:
    """Long ones, by zero, and continued ones."""
    upper, lower = (number(generator, size(generator)) for _ in range(2))
    depth = generator.randint(5, 100)
    continued = "\\frac{1}{1+" * depth + "x" + "}" * depth
    return generator.choice((f"\\frac{{{upper}}}{{{lower}}}", f"{upper}/{lower}", f"\\frac{{{upper}}}{{0}}", continued))


@kind
def sums_over_ranges(generator: random.Random) -> str:
    """Which somebody might carry out."""
    end = generator.choice((number(generator, generator.randint(3, 12)), "\\infty", "n"))
    command = generator.choice(("\\sum", "\\prod"))
    term = generator.choice(("k", "k^k", "\\frac{1}{k}", "k!"))
    return f"{command}_{{k=1}}^{{{end}}} {term}"


@kind
def integrals(generator: random.Random) -> str:
    """And limits, which are hard to find."""
    function = generator.choice(
        ("e^{-x^2}\\sin(x^3)", "x^{x^x}", "\\frac{\\ln(\\cos x)}{x^{100}+1}", "\\sqrt{\\tan x}")
    )
    bounds = generator.choice(("_{0}^{\\infty}", "", "_{-10^{9}}^{10^{9}}"))
    return generator.choice((f"\\int{bounds} {function} dx", f"\\lim_{{x \\to 0}} {function}"))


@kind
def roots(generator: random.Random) -> str:
    """Nested radicals, and sums of many, which are slow to simplify."""
    many = generator.randint(3, 60)
    radicals = [f"\\sqrt{{{generator.randint(2, 10**6)}}}" for _ in range(many)]
    nested = "\\sqrt{2+" * many + "x" + "}" * many
    return generator.choice(("+".join(radicals), " ".join(radicals), nested, f"\\sqrt[{number(generator, 9)}]{{7}}"))


# -- size of expressions


@kind
def long_sums(generator: random.Random) -> str:
    """Terms with terms."""
    terms = (f"{generator.randint(1, 99)}{generator.choice('xyzabc')}^{generator.randint(0, 99)}" for _ in range(10**6))
    return generator.choice("+-").join(next(terms) for _ in range(size(generator, 2_000)))


@kind
def products_of_sums(generator: random.Random) -> str:
    """Short as written, long when multiplied out."""
    letters = "abcdefghkmnpqrstuvwxyz"
    return "".join(f"({'+'.join(generator.sample(letters, 5))})" for _ in range(generator.randint(2, 40)))


@kind
def signs(generator: random.Random) -> str:
    """In a row."""
    return generator.choice(("-", "+", "+-", "\\pm ", "- ", "\\neg ")) * size(generator) + "1"


@kind
def equations(generator: random.Random) -> str:
    """In chains, with relations that do not fit."""
    relation = generator.choice(("=", "<", "\\leq ", "\\neq ", "\\in ", "\\equiv ", " = = "))
    return relation.join(generator.choice(("x", "1", "y^2", "\\pi", "")) for _ in range(size(generator, 2_000)))


@kind
def matrices(generator: random.Random) -> str:
    """Large, ragged, nested or unclosed."""
    rows = generator.randint(1, 40)
    body = "\\\\".join("&".join("1" for _ in range(generator.choice((rows, rows, 3)))) for _ in range(rows))
    sort = generator.choice(("pmatrix", "bmatrix", "vmatrix", "cases", "array"))
    ending = generator.choice((f"\\end{{{sort}}}", "", "\\end{matrix}"))
    return f"\\begin{{{sort}}}{body}{ending}{generator.choice(('', '^{-1}', '^{10^9}'))}"


@kind
def intervals(generator: random.Random) -> str:
    """Unions of many, with ends in the wrong order."""
    ends = [str(generator.randint(-(10**6), 10**6)) for _ in range(2)]
    pieces = [
        f"{generator.choice('[(')}{','.join(ends)}{generator.choice('])')}" for _ in range(size(generator, 1_000))
    ]
    return generator.choice((" \\cup ", " \\cap ", " \\setminus ")).join(pieces)


@kind
def sets(generator: random.Random) -> str:
    """Of sets, tuples and lists with very many members."""
    members = [str(generator.randint(0, 10**9)) for _ in range(size(generator, 2_000))]
    opening, closing = generator.choice((("\\{", "\\}"), ("(", ")"), ("\\{\\{", "\\}\\}"), ("", "")))
    return opening + generator.choice((",", ", ", " and ", ";")).join(members) + closing


@kind
def units(generator: random.Random) -> str:
    """Percent of percent, and degrees of metres."""
    unit = generator.choice(("\\%", "%", "^\\circ", "\\text{ cm}^2", " meters", "\\mathrm{kg}", "\\$", "€", "\\ldots"))
    return number(generator, generator.randint(1, 9)) + unit * size(generator, 2_000)


# -- what is extracted


@kind
def many_boxes(generator: random.Random) -> str:
    """Each a candidate."""
    return " ".join(f"\\boxed{{{generator.randint(0, 9)}}}" for _ in range(size(generator, 5_000)))


@kind
def unclosed_boxes(generator: random.Random) -> str:
    """In a row, so that each is looked through to the end."""
    return generator.choice(("\\boxed{", "\\fbox{", "\\boxed ", "\\boxed", "$\\boxed{1", "\\boxed{\\{")) * size(
        generator
    )


@kind
def boxes_in_boxes(generator: random.Random) -> str:
    """All the way down."""
    depth = size(generator, 5_000)
    return "\\boxed{" * depth + "3" + "}" * depth


@kind
def many_marks(generator: random.Random) -> str:
    """What announces an answer, again and again, followed by none."""
    mark = generator.choice(
        ("#### ", "The answer is ", "The final answer is ", "answer: ", "Final Answer: The final answer is")
    )
    return mark * size(generator) + generator.choice(("", "7", ".", "-"))


@kind
def dollars(generator: random.Random) -> str:
    """Mathematics that opens and never closes, or closes at once."""
    return generator.choice(("$", "$$", "\\(", "\\[", "$ x ", "\\$", "$-", "\\begin{align}")) * size(generator)


@kind
def half_numbers(generator: random.Random) -> str:
    """Which a pattern for numbers takes and gives back."""
    return generator.choice(("1,", "1.", "-", "1/", "1,234", "$-", "1 / 2 / ", "\\frac{1}", "\\frac{-", ".,")) * size(
        generator
    )


@kind
def closing_phrases(generator: random.Random) -> str:
    """Lines of them, without their ends."""
    return "Final Answer: The final answer is $1$. I hope it is\n" * size(generator, 2_000)


@kind
def commands(generator: random.Random) -> str:
    """Known and unknown ones without arguments."""
    names = (
        "\\frac",
        "\\sqrt",
        "\\text",
        "\\left",
        "\\right",
        "\\begin",
        "\\end",
        "\\hline",
        "\\nonsense",
        "\\\\",
        "\\",
    )
    return "".join(generator.choice(names) for _ in range(size(generator, 5_000)))


@kind
def code(generator: random.Random) -> str:
    """For a parser that evaluates."""
    return generator.choice(
        (
            "__import__('os').abort()",
            "exec('while True: pass')",
            "(lambda f: f(f))(lambda f: f(f))",
            "[0] * 10**11",
            "open('/dev/zero').read()",
            "Symbol('x').__class__.__mro__",
            "\\input{/dev/random}",
            "\\def\\x{\\x\\x}\\x",
            "\\write18{yes}",
        )
    )


# -- text


@kind
def scripts(generator: random.Random) -> str:
    """Letters of many, with digits that are none of ours."""
    ranges = (
        (0x41, 0x5A),
        (0x391, 0x3C9),
        (0x410, 0x44F),
        (0x5D0, 0x5EA),
        (0x660, 0x669),
        (0x905, 0x939),
        (0xE01, 0xE2E),
    )
    more = (
        (0x3041, 0x3096),
        (0x4E00, 0x9FFF),
        (0xAC00, 0xD7A3),
        (0x1D400, 0x1D7FF),
        (0x1F300, 0x1F5FF),
        (0x2460, 0x2473),
    )
    return "".join(chr(generator.randint(*generator.choice(ranges + more))) for _ in range(size(generator)))


@kind
def capitals(generator: random.Random) -> str:
    """Of which a detector of languages sees little, some with no lower case of one character."""
    return " ".join(
        "".join(generator.choices("ABCDEİŒẞǅΣЖ", k=generator.randint(1, 12))) for _ in range(size(generator, 5_000))
    )


@kind
def control_characters(generator: random.Random) -> str:
    """Bells, escapes, NUL, and the separators that only some take for line ends."""
    return "".join(
        generator.choice("\x00\x07\x08\x0b\x0c\x1b\x1c\x1d\x1e\x7f\x85\u2028\u2029\r") for _ in range(size(generator))
    )


@kind
def terminal_sequences(generator: random.Random) -> str:
    """Which a terminal would obey."""
    return "".join(
        generator.choice(("\x1b[2J", "\x1b]0;x\x07", "\x1b[31m", "\x9b5n")) for _ in range(size(generator, 2_000))
    )


@kind
def nothing_but_nul(generator: random.Random) -> str:
    """Where C ends its strings."""
    return "\x00" * size(generator) + "42" + "\x00"


@kind
def surrogates(generator: random.Random) -> str:
    """Halves of characters: text that cannot be written as UTF-8."""
    return "".join(
        chr(generator.randint(0xD800, 0xDFFF)) if generator.random() < 0.5 else "7"
        for _ in range(size(generator, 2_000))
    )


@kind
def invisible(generator: random.Random) -> str:
    """Characters of no width and marks of direction, between the digits of an answer."""
    marks = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    return "".join(generator.choice(marks) + generator.choice("0123456789.,- ") for _ in range(size(generator)))


@kind
def combining(generator: random.Random) -> str:
    """Marks upon marks on one letter."""
    return "e" + "".join(chr(generator.randint(0x300, 0x36F)) for _ in range(size(generator)))


@kind
def line_storms(generator: random.Random) -> str:
    """Line ends and spaces, so that each line is another place to begin."""
    return (
        "".join(
            generator.choice(("\n", "\n\n", "\r\n", " \n", "\n" + " " * 40, "\t\n")) for _ in range(size(generator))
        )
        + "x"
    )


@kind
def spaces(generator: random.Random) -> str:
    """A long run with something at its end."""
    return (
        generator.choice("x\n.")
        + generator.choice(" \t\u00a0\u3000") * size(generator, 100_000)
        + generator.choice("x.1")
    )


@kind
def markdown_storms(generator: random.Random) -> str:
    """All that highlights, lists, rules and fences."""
    pieces = (
        "*",
        "**",
        "***",
        "* * *",
        "******",
        "\n* ",
        "\n- ",
        "\n# ",
        "```",
        "`",
        "> ",
        "|",
        "\n---\n",
        "[",
        "](",
        ")",
        "_",
        "~~",
    )
    return "".join(generator.choice(pieces) for _ in range(size(generator)))


@kind
def asterisks(generator: random.Random) -> str:
    """Runs of every length."""
    unit = generator.choice(("*", "* ", "*\n", "*a", "**a*", " *** ", "\n*", "*\n\n"))
    return unit * size(generator, 100_000)


@kind
def titles_and_placeholders(generator: random.Random) -> str:
    """Brackets that open on one line."""
    return generator.choice(("[", "<<", "[[]", "<<>", "<< >> <<", "[a\n", ">", "『「")) * size(generator, 100_000)


@kind
def postscripts(generator: random.Random) -> str:
    """Nearly ones."""
    return generator.choice(("p. ", "P.P.", "p.s", "p.\n", " p.  s", "P. P. ")) * size(generator)


@kind
def sections(generator: random.Random) -> str:
    """Headings without a number, and numbers without an end."""
    unit = generator.choice(("Section ", "SECTION  ", "PARAGRAPH", "Day 1", "Section " + "1" * 40))
    return unit * size(generator)


@kind
def sentences(generator: random.Random) -> str:
    """Ends that are none: abbreviations, dots, quotes, brackets."""
    pieces = (
        "e.g. ",
        "Mr. ",
        "...",
        ". . .",
        "?!",
        '."',
        ".)",
        "U.S.",
        "1.",
        "A.",
        "'s",
        "\"'",
        "“.”",
        "--",
        "gonna ",
        "``",
    )
    return "".join(generator.choice(pieces) for _ in range(size(generator)))


@kind
def addresses(generator: random.Random) -> str:
    """Mail and web addresses, nearly."""
    return generator.choice(("a@", "a.b@c.", "http://", "https://x?", "a" * 60, "-_.")) * size(generator) + "@"


@kind
def repeated_words(generator: random.Random) -> str:
    """One word for ever, as a model in a loop."""
    return generator.choice(("the ", "no, ", "word", "haha", "Yes. ", "а ", "ok\n")) * size(generator)


@kind
def almost_nothing(generator: random.Random) -> str:
    """Blank, or one odd character."""
    return generator.choice(
        ("", " ", "\n", "*", '"', "{", "\\", "$", "-", ".", "\u200b", "\x00", "#", "π", "∞", "nan", "None")
    )


@kind
def noise(generator: random.Random) -> str:
    """Any characters of the first planes but surrogates."""
    codes = (generator.choice((generator.randint(0, 0x7F), generator.randint(0xE000, 0x1FFFF))) for _ in range(10**6))
    return "".join(chr(next(codes)) for _ in range(size(generator)))
