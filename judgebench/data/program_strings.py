"""Finds strings in Python programs of others: judge prompts that upstream keeps in its code. No program is run."""

import ast

LONGEST_PROGRAM = 2**22
"""Longest program that is parsed, in bytes."""


def string_constant(program: bytes, name: str) -> str | None:
    """The string that a name is set to at the top of a program; ``None`` if there is none.

    ``function.name`` and ``Class.name`` look into a body. The value may be joined of several literals, and stripped.

    >>> string_constant(b"A = 'one ' + 'two'\\ndef f():\\n    B = ' three '.strip()", "f.B")
    'three'
    """
    if len(program) > LONGEST_PROGRAM:
        return None
    try:
        body: list[ast.stmt] = ast.parse(program).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    *places, own = name.split(".")
    for place in places:
        inner = (node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == place)
        found = next(inner, None)
        if found is None:
            return None
        body = found.body
    values = (
        node.value
        for node in body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and own in _targets(node)
    )
    return next((text for value in values if (text := _text(value)) is not None), None)


def _targets(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _text(node: ast.expr) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            parts = [_text(left), _text(right)]
            return None if None in parts else "".join(filter(None, parts))
        case ast.Call(func=ast.Attribute(value=inner, attr="strip"), args=[], keywords=[]):
            found = _text(inner)
            return None if found is None else found.strip()
    return None
