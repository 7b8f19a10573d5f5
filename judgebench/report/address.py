"""Addresses of views within the page: everything is in the fragment, so that they work wherever the file lies."""

from urllib.parse import quote


def address(*path: str, **settings: str | int) -> str:
    """The address of a view; settings without a value are left out.

    >>> address("samples", "mt bench", run=1, v="")
    '#/samples/mt%20bench?run=1'
    """
    query = "&".join(f"{name}={_encoded(str(value))}" for name, value in settings.items() if value != "")
    return f"#/{'/'.join(map(_encoded, path))}" + (f"?{query}" if query else "")


def _encoded(text: str) -> str:
    return quote(text.encode("utf-8", "replace").decode("utf-8"), safe="-_.!~*'()")
