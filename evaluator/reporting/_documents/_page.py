"""A document for people as plain values, and its two spellings: Markdown and HTML."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

from evaluator.reporting._documents._obligations import SECTIONS
from evaluator.reporting._formatting import template_environment

if TYPE_CHECKING:
    from jinja2 import Environment

_ALWAYS = re.compile(r"([\\`*\[\]<>|~&$])")
# Within a word an underscore means nothing, and identifiers stay readable.
_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
# What would begin a heading, a list, a rule or a table's second line.
_AT_START = re.compile(r"\d{1,9}(?=[.)](\s|$))|(?=#{1,6}(\s|$)|[+-](\s|$)|[-=:\s]+$)")
# GitHub turns bare addresses into links, which data must not do.
_ADDRESS = re.compile(r"(?<=[A-Za-z]):(?=//)|(?<=\w)@(?=\w)|(?<=www)\.", re.IGNORECASE)
_LONG_TABLE = 8
_MANY_TABLES = 3
_PLAIN_CODE = re.compile(r"[A-Za-z0-9_.:/<>=, -]+")


@dataclass(frozen=True)
class InlineCode:
    """A digest or an identifier, to be set as such."""

    text: str


@dataclass(frozen=True)
class Strong:
    """Words that must not be overlooked."""

    text: str


@dataclass(frozen=True)
class Link:
    """An address of ours, which is shown and can be followed."""

    address: str


Inline = str | InlineCode | Strong | Link


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    inline: Inline


@dataclass(frozen=True)
class Heading:
    """Begins a part of a section."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list of things in no order."""

    items: Sequence[Inline]


@dataclass(frozen=True)
class Facts:
    """Names with what they stand for."""

    rows: Sequence[tuple[str, Inline]]


@dataclass(frozen=True)
class Table:
    """A table; its first column heads the rows.

    Attributes
    ----------
    numbers
        The columns, counted from 0, that hold numbers.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Inline]]
    numbers: Sequence[int] = ()


Block = Paragraph | Heading | Items | Facts | Table


@dataclass(frozen=True)
class Section:
    """A part of a document with an id that others refer to."""

    id: str
    blocks: Sequence[Block]


@dataclass(frozen=True, kw_only=True)
class Page:
    """A whole document, before it is spelt.

    Attributes
    ----------
    kind
        Which document it is: a key of `evaluator.reporting._documents._obligations.SECTIONS`.
    eyebrow, title
        What stands at its head.
    closing
        What stands at its foot, in sentences.
    """

    kind: str
    eyebrow: str
    title: str
    created_at: datetime
    sections: Sequence[Section]
    closing: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Document:
    """One document in its two spellings, each of them whole.

    Attributes
    ----------
    markdown
        CommonMark with GitHub's tables. What comes from data is escaped.
    html
        One page: styles inside, no script, no request to anywhere. What comes from data is escaped.
    """

    markdown: str
    html: str


def render(page: Page) -> Document:
    """Spell a page as Markdown and as HTML."""
    titles = SECTIONS[page.kind]
    found = [section.id for section in page.sections]
    if found != list(titles):
        msg = f"a {page.kind} has the sections {list(titles)}, and not {found}"
        raise ValueError(msg)
    markdown = _markdown().get_template("document.md.jinja").render(page=page, titles=titles)
    return Document(
        markdown=re.sub(r"\n{3,}", "\n\n", markdown).strip() + "\n",
        html=_html().get_template("document.html.jinja").render(page=page, titles=titles),
    )


class MarkdownSource(str):
    """Text that is Markdown already; everything else is escaped when it is put into a template."""

    __slots__ = ()


@cache
def _markdown() -> "Environment":
    # Escaping is what happens to every value, so that none can be forgotten.
    environment = template_environment(autoescape=False, finalize=_finalize)
    environment.filters.update(inline=_inline_markdown, kind=_kind, source=MarkdownSource)
    return environment


@cache
def _html() -> "Environment":
    environment = template_environment()
    environment.filters.update(kind=_kind, folds=_folds)
    return environment


def _finalize(value: object) -> MarkdownSource:
    return value if isinstance(value, MarkdownSource) else escape_markdown(str(value))


def _inline_markdown(inline: Inline) -> MarkdownSource:
    match inline:
        case InlineCode(text) if _PLAIN_CODE.fullmatch(text) and text == " ".join(text.split()):
            return MarkdownSource(f"`{text}`")
        case Strong(text):
            return MarkdownSource(f"**{escape_markdown(text)}**")
        case Link(address):
            return MarkdownSource(f"<{address}>")
        case InlineCode(text):
            return escape_markdown(text)
    return escape_markdown(inline)


def escape_markdown(text: str) -> MarkdownSource:
    """Write any text so that Markdown shows it as it is, on one line."""
    line = " ".join(text.split())
    line = _UNDERSCORE.sub(r"\\_", _ALWAYS.sub(r"\\\1", line))
    line = _ADDRESS.sub(r"\\\g<0>", line)
    if begins := _AT_START.match(line):
        # A digit cannot be escaped, but what makes it a list can.
        line = f"{begins[0]}\\{line[begins.end() :]}"
    return MarkdownSource(line)


def _folds(table: Table, section: Section) -> bool:
    """Tell whether a table is one step away on screen: a long one, or one of many."""
    tables = [block for block in section.blocks if isinstance(block, Table)]
    is_one_of_many = len(tables) >= _MANY_TABLES and table is not tables[0]
    return is_one_of_many or len(table.rows) > _LONG_TABLE


def _kind(value: object) -> str:
    return type(value).__name__
