"""A first schema for a file that nobody has described yet."""

import re
from typing import Final

SHAPES: Final = (
    ("integer", re.compile(r"[+-]?(?:0|[1-9]\d{0,17})")),
    ("float", re.compile(r"[+-]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?")),
    ("boolean", re.compile(r"(?i:true|false)")),
    ("date", re.compile(r"\d{4}-\d{2}-\d{2}")),
    ("timestamp", re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?")),
)


def type_of_text(text: str) -> str:
    """Tell the narrowest type that a text has the shape of.

    Parameters
    ----------
    text
        One value.

    Returns
    -------
    str
        A type of `ColumnSpec`; `string` when it has no other shape. A number with leading zeros
        is a string, since it would lose them.
    """
    if re.fullmatch(r"[+-]?0\d+", text):
        return "string"
    for name, shape in SHAPES:
        if shape.fullmatch(text):
            return name
    return "string"
