"""How a document is spelt as Markdown and as HTML."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings, strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from evaluator.reporting._documents._obligations import SECTIONS
from evaluator.reporting._documents._page import (
    Block,
    Facts,
    Heading,
    InlineCode,
    Items,
    Link,
    Page,
    Paragraph,
    Section,
    Strong,
    Table,
    escape_markdown,
    render,
)

NOW = datetime(2026, 3, 9, 8, 57, tzinfo=UTC)
EVERYTHING = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@settings(max_examples=150)
@given(
    st.text(
        st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("#*_`<>[]()|~&\\+-=:!1.\n")
    )
)
@example("1. one")
@example("# no heading")
@example("--- | ---")
@example("www.example.org http://example.org a@b")
@example("__init__ a_b _c_ \\_d")
def test_markdown_shows_any_text_as_it_is(text: str) -> None:
    source = escape_markdown(text)
    shown = " ".join(text.split())
    paragraph = EVERYTHING.parse(source)
    assert _plain(paragraph) == shown
    assert [token.type for token in paragraph] == (
        ["paragraph_open", "inline", "paragraph_close"] if shown else []
    )
    row = EVERYTHING.parse(f"| a | b |\n|---|---|\n| x | {source} |\n")
    cells = [token for token in row if token.type == "inline"]
    assert len(cells) == 4
    assert _plain(cells[3:]) == shown


def _plain(tokens: list[Token]) -> str:
    children = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in children} <= {"text", "text_special"}
    return "".join(child.content for child in children)


def test_both_spellings_show_every_kind_of_block() -> None:
    blocks: list[Block] = [
        Paragraph("words"),
        Heading("heading"),
        Items(["item", Strong("strong")]),
        Facts([("fact", InlineCode("a1b2")), ("odd", InlineCode("a`b"))]),
        Table("caption", ("x", "y"), [("head", "1.5"), (Link("https://example.org/a"), "2")], (1,)),
    ]
    page = Page(
        kind="model_card",
        eyebrow="eyebrow",
        title="title",
        created_at=NOW,
        sections=[Section(name, blocks) for name in SECTIONS["model_card"]],
        closing=("closing",),
    )
    document = render(page)
    begun = document.markdown.split("\n## Training data\n")[1].split("\n## ")[0].strip()
    assert begun == (
        "words\n\n### heading\n\n- item\n- **strong**\n\n- **fact:** `a1b2`\n- **odd:** a\\`b\n\n"
        "caption:\n\n| x | y |\n| --- | ---: |\n| head | 1.5 |\n| <https://example.org/a> | 2 |"
    )
    assert '<th scope="row">head</th><td class="num">1.5</td>' in document.html.replace("\n", "")
    assert '<a href="https://example.org/a">https://example.org/a</a>' in document.html


def test_a_document_that_lacks_a_section_is_never_spelt() -> None:
    page = Page(
        kind="model_card",
        eyebrow="",
        title="",
        created_at=NOW,
        sections=[Section("details", [])],
        closing=(),
    )
    with pytest.raises(ValueError, match="has the sections"):
        render(page)


def test_a_long_table_and_all_but_the_first_of_many_are_one_step_away() -> None:
    titles = list(SECTIONS["model_card"])

    def table(count: int) -> Table:
        return Table(f"{count} of them", ("a", "b"), [("x", "y")] * count)

    blocks: dict[str, list[Block]] = {
        titles[0]: [table(8), table(9)],
        titles[1]: [table(8), table(8), table(8)],
    }
    page = Page(
        kind="model_card",
        eyebrow="Model card",
        title="A card",
        created_at=NOW,
        sections=[Section(id=name, blocks=blocks.get(name, [])) for name in titles],
        closing=(),
    )
    document = render(page)
    folded = re.findall(r"<details><summary>(.*?)</summary>", document.html)
    assert folded == ["9 of them (9 rows)", "8 of them (8 rows)", "8 of them (8 rows)"]
    assert document.html.count("<table>") == 5
    # Paper cannot be unfolded, and Markdown has nothing to fold.
    assert "details::details-content { content-visibility: visible" in document.html
    assert document.markdown.count("| x | y |") == 8 + 9 + 3 * 8
