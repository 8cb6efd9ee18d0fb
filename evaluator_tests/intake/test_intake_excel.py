"""Workbooks: what openpyxl can write it writes; the rest is XML by hand, as others write it."""

import json
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile
from zoneinfo import ZoneInfo

import pytest
from openpyxl import Workbook
from openpyxl.worksheet.worksheet import Worksheet

from evaluator.errors import IntakeError
from evaluator.intake import infer_schema, ingest, quarantine_to_csv, read_mended, replay
from evaluator_tests.intake.conftest import Take, Taken, declare

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
STRICT = "http://purl.oclc.org/ooxml/spreadsheetml/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
#: Style 0 is General, and the others in this order.
FORMATS = ("yyyy\\-mm\\-dd", "dd/mm/yyyy h:mm:ss", "h:mm", "[h]:mm", "0%", '#,##0.00\\ "d"')
DAY, MOMENT, CLOCK, DURATION, PERCENT, MONEY = range(1, 7)
HEADER = (
    '<row r="1"><c r="A1" t="inlineStr"><is><t>id</t></is></c><c r="B1" t="inlineStr"><is><t>n</t>'
    '</is></c><c r="C1" t="inlineStr"><is><t>t</t></is></c></row>'
)
EVERY_TEXT = {"id": {"type": "string"}, "n": {"type": "string"}, "t": {"type": "string"}}


def made(fill: Callable[[Worksheet], Any], *, title: str = "Data") -> bytes:
    """Make a workbook of one sheet with openpyxl."""
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = title
    fill(sheet)
    return saved(book)


def saved(book: Workbook) -> bytes:
    stream = BytesIO()
    book.save(stream)
    return stream.getvalue()


def table(*rows: tuple[Any, ...]) -> bytes:
    """Make a workbook with the header `id`, `n`, `t`."""

    def fill(sheet: Worksheet) -> None:
        for row in (("id", "n", "t"), *rows):
            sheet.append(row)

    return made(fill)


def written(
    rows: str = "",
    *,
    strings: str = "",
    book: str = "",
    before: str = "",
    after: str = "",
    namespace: str = MAIN,
    prolog: str = "",
    **parts: str,
) -> bytes:
    """Write a workbook by hand, of whose parts some are given."""
    formats = "".join(
        f'<numFmt numFmtId="{164 + at}" formatCode="{code.replace(chr(34), "&quot;")}"/>'
        for at, code in enumerate(FORMATS)
    )
    styles = "".join(f'<xf numFmtId="{164 + at}"/>' for at in range(len(FORMATS)))
    related = "".join(
        f'<Relationship Id="r{at}" Type="{OFFICE}/{kind}" Target="{kind}.xml"/>'
        for at, kind in enumerate(("worksheet", "styles", "sharedStrings"))
    )
    files = {
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}"><Relationship Id="r" '
        f'Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}">{related}</Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{namespace}" xmlns:r="{OFFICE}">{book}<sheets>'
        '<sheet name="Data" sheetId="1" r:id="r0"/></sheets></workbook>',
        "xl/styles.xml": f'<styleSheet xmlns="{namespace}"><numFmts>{formats}</numFmts>'
        f'<cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/>{styles}'
        '</cellXfs><dxfs><dxf><numFmt numFmtId="164" formatCode="0"/></dxf></dxfs></styleSheet>',
        "xl/sharedStrings.xml": f'{prolog}<sst xmlns="{namespace}">{strings}</sst>',
        "xl/worksheet.xml": f'{prolog}<worksheet xmlns="{namespace}">{before}<sheetData>{HEADER}'
        f"{rows}</sheetData>{after}</worksheet>",
    } | {name.replace("__", "/").replace("_xml", ".xml"): text for name, text in parts.items()}
    return zipped(files)


def zipped(files: dict[str, str]) -> bytes:
    stream = BytesIO()
    with ZipFile(stream, "w", ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return stream.getvalue()


def cells(n: str, t: str = "", line: int = 2) -> str:
    """Write a row whose id is its line."""
    id_ = f'<c r="A{line}" t="inlineStr"><is><t>{line}</t></is></c>'
    return f'<row r="{line}">{id_}{n}{t}</row>'


@pytest.fixture
def book(take: Take) -> Take:
    """Take in a workbook."""

    def run(content: bytes, data: Any = None, *, name: str = "day.xlsx", **more: Any) -> Taken:
        return take(content, data, name=name, **more)

    return run


def note(taken: Taken, words: str) -> str:
    """Find the one note with some words."""
    (found,) = [note for note in taken.profile.notes if words in note]
    return found


def test_a_workbook_is_typed_like_any_file(book: Take) -> None:
    taken = book(table(("a", 1, "x"), ("b", None, "y"), ("c", "no", "z")))
    assert taken.broken is None
    assert taken.typed == [{"id": "a", "n": 1, "t": "x"}, {"id": "b", "n": None, "t": "y"}]
    assert taken.rules == {4: ["type"]}
    assert taken.profile.layout.format == "excel"
    assert taken.profile.layout.sheet == "Data"
    assert "sheet 'Data' (detected)" in taken.result.report


def test_what_is_typed_and_what_is_quarantined_are_the_rows_of_the_sheet(book: Take) -> None:
    rows = [(f"r{i}", "no" if i % 7 == 0 else i, f"text {i}") for i in range(30_000)]
    taken = book(table(*rows))
    assert len(taken.typed) + len(taken.quarantine) == taken.result.rows == len(rows)
    kept = {row["id"]: str(row["n"]) for row in taken.typed}
    kept |= {(row := json.loads(q["text"]))["id"]: row["n"] for q in taken.quarantine}
    assert kept == {id_: str(n) for id_, n, _ in rows}
    assert [q["line_number"] for q in taken.quarantine] == list(range(2, 30_002, 7))


def test_the_same_bytes_make_the_same_quarantine(tmp_path: Path) -> None:
    source = tmp_path / "day.xlsx"
    source.write_bytes(table(*((f"r{i}", "no", i / 7) for i in range(500))))
    made = [ingest(source, declare(), into=tmp_path / str(i)).quarantine_path for i in range(2)]
    assert made[0].read_bytes() == made[1].read_bytes()


@pytest.mark.parametrize(
    ("stored", "spelled"),
    [
        ("5", "5"),
        ("-12", "-12"),
        ("0.1", "0.1"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("1.1000000000000001", "1.1"),
        ("1.0999999999999999E-2", "0.011"),
        ("0.1234567890123456789", "0.1234567890123456789"),
        ("1.234E+18", "1234000000000000000"),
        ("1.50E+1", "15"),
        ("1E-7", "0.0000001"),
        ("1234567890123456789", "1234567890123456789"),
        ("1.2345678901234568E+18", "1234567890123456800"),
        ("1E+9999", "1E+9999"),
        ("1_0", "1_0"),
        ("NaN", "NaN"),
    ],
)
def test_a_number_keeps_the_digits_that_are_stored(book: Take, stored: str, spelled: str) -> None:
    taken = book(written(cells(f'<c r="B2"><v>{stored}</v></c>')), declare(EVERY_TEXT))
    assert taken.typed == [{"id": "2", "n": spelled, "t": None}]


def test_a_number_that_excel_has_cut_is_told(book: Take) -> None:
    content = written(cells('<c r="B2"><v>1.23456789012345E+18</v></c>'))
    taken = book(content)
    assert taken.typed[0]["n"] == 1234567890123450000
    assert note(taken, "15 digits").startswith("1 numbers")


def test_digits_in_a_text_stay_a_text(book: Take) -> None:
    taken = book(table(("007", 1, "1234567890123456789"), (" 8 ", 2, "1e5")))
    assert [(row["id"], row["t"]) for row in taken.typed] == [
        ("007", "1234567890123456789"),
        (" 8 ", "1e5"),
    ]
    assert not [note for note in taken.profile.notes if "digits" in note]


@pytest.mark.parametrize(("style", "spelled"), [(PERCENT, "0.12"), (MONEY, "0.12")])
def test_percent_and_money_are_numbers(book: Take, style: int, spelled: str) -> None:
    taken = book(written(cells(f'<c r="B2" s="{style}"><v>0.12</v></c>')), declare(EVERY_TEXT))
    assert taken.typed[0]["n"] == spelled


@pytest.mark.parametrize(
    ("serial", "style", "spelled"),
    [
        ("41608", DAY, "2013-11-30"),
        ("41608.5", DAY, "2013-11-30T12:00:00"),
        ("41608", MOMENT, "2013-11-30T00:00:00"),
        ("41608.520833333336", MOMENT, "2013-11-30T12:30:00"),
        ("41608.520840000003", MOMENT, "2013-11-30T12:30:00.576"),
        ("41608.25", CLOCK, "2013-11-30T06:00:00"),
        ("0.25", CLOCK, "06:00:00"),
        ("1", DAY, "1900-01-01"),
        ("59", DAY, "1900-02-28"),
        ("61", DAY, "1900-03-01"),
        ("2958465", DAY, "9999-12-31"),
        ("1.5", DURATION, "1.5"),
        ("41608", 0, "41608"),
    ],
)
def test_a_serial_with_a_format_of_dates_is_a_date(
    book: Take, serial: str, style: int, spelled: str
) -> None:
    taken = book(written(cells(f'<c r="B2" s="{style}"><v>{serial}</v></c>')), declare(EVERY_TEXT))
    assert taken.typed[0]["n"] == spelled


@pytest.mark.parametrize("serial", ["0", "60", "60.5", "-1", "2958466", "1E+300", "1E+999", "x"])
@pytest.mark.parametrize("type_", ["string", "integer", "date"])
def test_a_serial_that_is_no_day_is_the_fault_of_its_row(
    book: Take, serial: str, type_: str
) -> None:
    data = declare(EVERY_TEXT | {"n": {"type": type_}})
    taken = book(written(cells(f'<c r="B2" s="{DAY}"><v>{serial}</v></c>')), data)
    assert "excel_date" in taken.rules[2]
    assert json.loads(taken.quarantine[0]["text"])["n"] == {"excel_date": serial}


def test_the_serial_0_can_be_declared_as_missing(book: Take) -> None:
    data = declare(EVERY_TEXT | {"n": {"type": "date", "missing_values": ["0"]}})
    taken = book(written(cells(f'<c r="B2" s="{DAY}"><v>0</v></c>')), data)
    assert taken.typed[0]["n"] is None


@pytest.mark.parametrize(("serial", "day"), [("0", "1904-01-01"), ("40146", "2013-11-30")])
def test_days_are_counted_from_1904_where_the_workbook_says_so(
    book: Take, serial: str, day: str
) -> None:
    content = written(
        cells(f'<c r="B2" s="{DAY}"><v>{serial}</v></c>'), book='<workbookPr date1904="1"/>'
    )
    assert book(content, declare(EVERY_TEXT)).typed[0]["n"] == day


def test_dates_that_east_asian_versions_format_are_dates(book: Take) -> None:
    styles = f'<styleSheet xmlns="{MAIN}"><cellXfs><xf numFmtId="31"/></cellXfs></styleSheet>'
    content = written(cells('<c r="B2"><v>41608</v></c>'), xl__styles_xml=styles)
    assert book(content, declare(EVERY_TEXT)).typed[0]["n"] == "2013-11-30"


def test_dates_and_texts_stand_in_one_column_of_declared_formats(book: Take) -> None:
    data = declare(EVERY_TEXT | {"n": {"type": "date", "formats": ["%d/%m/%Y"]}})
    taken = book(
        table(
            ("a", date(2013, 10, 11), None),
            ("b", "11/10/2013", None),
            ("c", datetime(2013, 10, 11, 12), None),  # noqa: DTZ001 - a workbook has no zones
            ("d", "2013-10-11", None),
        ),
        data,
    )
    assert [row["n"] for row in taken.typed] == [date(2013, 10, 11)] * 2
    assert taken.rules == {4: ["type"], 5: ["type"]}


def test_truth_values_and_texts_stand_in_one_column(book: Take) -> None:
    column = {"type": "boolean", "true_values": ["yes"], "false_values": ["no"]}
    content = table(("a", True, None), ("b", "no", None), ("c", False, None), ("d", "true", None))
    taken = book(content, declare(EVERY_TEXT | {"n": column}))
    assert [row["n"] for row in taken.typed] == [True, False, False]
    assert taken.rules == {5: ["type"]}


def test_times_are_meant_in_the_declared_zone(book: Take) -> None:
    zone = "America/New_York"
    moments = [datetime(2013, 11, 3, hour, 30) for hour in (0, 1)]  # noqa: DTZ001 - as above
    data = declare(EVERY_TEXT | {"n": {"type": "timestamp", "time_zone": zone}})
    taken = book(table(("a", moments[0], None), ("b", moments[1], None)), data)
    assert taken.typed[0]["n"] == moments[0].replace(tzinfo=ZoneInfo(zone))
    assert taken.rules == {3: ["ambiguous"]}


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (time(6, 30), "06:30:00"), (timedelta(hours=36), "1.5")],
)
def test_values_of_other_types_have_a_text(book: Take, value: Any, text: str) -> None:
    assert book(table(("a", value, None)), declare(EVERY_TEXT)).typed[0]["n"] == text


def test_a_day_of_the_strict_format_is_a_day(book: Take) -> None:
    content = written(
        cells(f'<c r="B2" s="{DAY}" t="d"><v>2013-11-30T00:00:00</v></c>'), namespace=STRICT
    )
    assert book(content, declare(EVERY_TEXT)).typed[0]["n"] == "2013-11-30"


def test_runs_of_a_rich_text_are_joined_and_its_pronunciation_is_left_out(book: Take) -> None:
    rich = "<r><rPr><b/></rPr><t>two </t></r><r><t>runs</t></r><rPh><t>aloud</t></rPh>"
    content = written(
        cells('<c r="B2" t="s"><v>0</v></c>', f'<c r="C2" t="inlineStr"><is>{rich}</is></c>'),
        strings=f"<si>{rich}</si>",
    )
    assert book(content, declare(EVERY_TEXT)).typed == [
        {"id": "2", "n": "two runs", "t": "two runs"}
    ]


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        ("a_x000D_b", "a\rb"),
        ("_x005F_x000D_", "_x000D_"),
        ("_xD83D_", "_xD83D_"),
        ("_x0000_", "\0"),
        ("&lt;b&gt; ", "<b> "),
    ],
)
def test_escapes_are_decoded_as_excel_does(book: Take, stored: str, text: str) -> None:
    content = written(cells('<c r="B2" t="s"><v>0</v></c>'), strings=f"<si><t>{stored}</t></si>")
    assert book(content, declare(EVERY_TEXT)).typed[0]["n"] == text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("<f>1+1</f><v>2</v>", "2"),
        ('" t="str"><f>A1</f><v>x</v>', "x"),
        ('" t="str"><f>""</f><v></v>', ""),
        ('" t="b"><f>TRUE()</f><v>1</v>', "true"),
        (f'" s="{DAY}"><f>TODAY()</f><v>41608</v>', "2013-11-30"),
    ],
)
def test_a_formula_is_the_value_that_was_calculated(book: Take, cell: str, text: str) -> None:
    opened = cell if cell.startswith('"') else f'">{cell}'
    data = declare(EVERY_TEXT, missing_values=[])
    assert book(written(cells(f'<c r="B2{opened}</c>')), data).typed[0]["n"] == text


def test_a_formula_that_was_never_calculated_is_the_fault_of_its_row(book: Take) -> None:
    taken = book(table(("a", 1, "=A2&B2"), ("b", 2, "x")))
    assert taken.rules == {2: ["formula_not_calculated"]}
    assert taken.quarantine[0]["reasons"] == [
        {
            "column": "t",
            "rule": "formula_not_calculated",
            "value": "=A2&B2",
            "message": "t: '=A2&B2' is a formula that was never calculated",
        }
    ]


def test_a_formula_in_a_column_that_is_not_declared_is_nothing(book: Take) -> None:
    def fill(sheet: Worksheet) -> None:
        sheet.append(("id", "n", "t", "sum"))
        sheet.append(("a", 1, "x", "=B2"))

    assert book(made(fill)).typed == [{"id": "a", "n": 1, "t": "x"}]


ERRORS = cells('<c r="B2" t="e"><v>#N/A</v></c>') + cells(
    '<c r="B3"><v>3</v></c>', '<c r="C3" t="e"><f>1/0</f><v>#DIV/0!</v></c>', line=3
)


def test_an_error_is_wrong_in_every_column(book: Take) -> None:
    taken = book(written(ERRORS))
    assert taken.rules == {2: ["type"], 3: ["excel_error"]}
    assert taken.typed == []


def test_an_error_can_be_declared_as_missing(book: Take) -> None:
    taken = book(written(ERRORS), declare(missing_values=["", "#N/A", "#DIV/0!"]))
    assert taken.typed == [{"id": "2", "n": None, "t": None}, {"id": "3", "n": 3, "t": None}]


def test_a_text_that_reads_like_an_error_is_a_text(book: Take) -> None:
    content = written(cells("", '<c r="C2" t="str"><v>#N/A</v></c>'))
    assert book(content).typed == [{"id": "2", "n": None, "t": "#N/A"}]


def test_all_reasons_of_a_row_are_told_together(book: Take) -> None:
    content = written(
        cells(f'<c r="B2" s="{DAY}"><v>60</v></c>', '<c r="C2" t="e"><v>#REF!</v></c>')
    )
    data = declare(EVERY_TEXT | {"n": {"type": "integer", "maximum": 50}})
    assert book(content, data).rules == {2: ["maximum", "excel_date", "excel_error"]}


def test_the_value_of_merged_cells_stands_in_the_first_and_the_report_says_so(
    book: Take,
) -> None:
    def fill(sheet: Worksheet) -> None:
        for row in (("id", "n", "t"), ("a", 1, "x"), ("b", 2, None), ("c", 3, None)):
            sheet.append(row)
        sheet.merge_cells("C2:C3")
        sheet.merge_cells("A9:B9")

    taken = book(made(fill))
    assert [row["t"] for row in taken.typed] == ["x", None, None]
    assert note(taken, "merged").startswith("1 merged ranges lie over rows, in 't':")


def test_a_merged_header_is_told(book: Take) -> None:
    def fill(sheet: Worksheet) -> None:
        sheet.append(("id", "n", "t", "both"))
        sheet.append(("a", 1, "x", "y"))
        sheet.merge_cells("D1:E1")

    assert "('D1:E1')" in note(book(made(fill)), "header is merged")


def test_empty_rows_between_rows_are_quarantined_and_after_the_last_they_are_not(
    book: Take,
) -> None:
    def fill(sheet: Worksheet) -> None:
        for at, row in {3: ("id", "n", "t"), 4: ("a", 1, "x"), 7: ("b", 2, "y")}.items():
            for column, value in enumerate(row, start=1):
                sheet.cell(at, column, value)
        sheet.cell(12, 1).number_format = "0.00"

    taken = book(made(fill))
    assert taken.rules == {5: ["blank_line"], 6: ["blank_line"]}
    assert taken.result.rows == 4
    assert taken.profile.structure.blank_lines == 2


def test_a_row_of_empty_texts_is_an_empty_row(book: Take) -> None:
    empty = '<c r="B{0}" t="str"><f>""</f><v></v></c>'
    content = written(
        f'<row r="2">{empty.format(2)}</row>{cells("", line=3)}<row r="4">{empty.format(4)}</row>'
    )
    assert book(content).rules == {2: ["blank_line"]}


def test_hidden_rows_and_columns_are_read_and_told(book: Take) -> None:
    def fill(sheet: Worksheet) -> None:
        for row in (("id", "n", "t"), ("a", 1, "x"), ("b", 2, "y")):
            sheet.append(row)
        sheet.row_dimensions[2].hidden = True
        sheet.column_dimensions["B"].hidden = True
        sheet.auto_filter.ref = "A1:C3"

    taken = book(made(fill))
    assert [row["n"] for row in taken.typed] == [1, 2]
    assert note(taken, "hidden rows").startswith("1 hidden rows and 1 hidden columns ('n')")
    assert note(taken, "a filter is set")


def test_cells_need_not_say_where_they_are(book: Take) -> None:
    text = '<c t="inlineStr"><is><t>{}</t></is></c>'.format
    content = written(f"<row>{text('a')}<c><v>1</v></c>{text('x')}</row><row>{text('b')}</row>")
    assert book(content).typed == [
        {"id": "a", "n": 1, "t": "x"},
        {"id": "b", "n": None, "t": None},
    ]


def test_cells_may_be_lacking(book: Take) -> None:
    content = written(cells("", '<c r="C2" t="inlineStr"><is><t>x</t></is></c>'))
    assert book(content).typed == [{"id": "2", "n": None, "t": "x"}]


def test_what_stands_right_of_the_header_is_left_out_and_told(book: Take) -> None:
    content = table(("a", 1, "x", "a remark"), ("b", 2, "y"))
    taken = book(content)
    assert len(taken.typed) == 2
    assert note(taken, "right of the header").startswith("1 rows")
    refused = book(content, declare(undeclared_columns="refuse"))
    assert "right of the header" in str(refused.broken)


def test_a_header_that_lacks_a_column_refuses_the_file(book: Take) -> None:
    taken = book(made(lambda sheet: sheet.append(("id", "n"))))
    assert "declared columns are not in the file: 't'" in str(taken.broken)
    assert taken.profile.header == ("id", "n")


def test_without_a_header_columns_come_in_the_declared_order(book: Take) -> None:
    content = made(lambda sheet: sheet.append(("a", 1, "x")))
    taken = book(content, declare(header=False))
    assert taken.typed == [{"id": "a", "n": 1, "t": "x"}]
    assert note(taken, "no header")


@pytest.fixture
def sheets() -> bytes:
    """A workbook of a hidden sheet and two visible ones."""
    made_ = Workbook()
    for name, value in (("Notes", "n"), ("First", "f"), ("Second", "s")):
        sheet = made_.create_sheet(name)
        sheet.append(("id", "n", "t"))
        sheet.append((value, 1, "x"))
    made_.remove(made_.worksheets[0])
    made_["Notes"].sheet_state = "hidden"
    made_.active = 1
    return saved(made_)


def test_the_first_visible_sheet_is_read_and_the_others_are_told(book: Take, sheets: bytes) -> None:
    taken = book(sheets)
    assert taken.typed[0]["id"] == "f"
    assert "'Notes' (hidden), 'First', 'Second'" in note(taken, "first visible")


@pytest.mark.parametrize(("name", "id_"), [("Second", "s"), ("Notes", "n")])
def test_a_declared_sheet_is_read(book: Take, sheets: bytes, name: str, id_: str) -> None:
    taken = book(sheets, declare(sheet=name))
    assert taken.typed[0]["id"] == id_
    assert taken.profile.layout.detected == ()


def test_a_sheet_that_is_not_there_refuses_the_file_and_lists_the_sheets(
    book: Take, sheets: bytes
) -> None:
    broken = str(book(sheets, declare(sheet="Third")).broken)
    assert "no sheet 'Third'; it has 'Notes' (hidden), 'First', 'Second'" in broken


@pytest.mark.parametrize("name", ["day.xlsx", "day.xls", "day.csv"])
def test_an_old_workbook_or_one_with_a_password_is_refused_with_what_to_do(
    book: Take, name: str
) -> None:
    taken = book(bytes.fromhex("D0CF11E0A1B11AE1") + bytes(4096), name=name)
    assert "save it in Excel as .xlsx" in str(taken.broken)


def test_a_workbook_that_is_named_otherwise_is_refused_with_what_to_declare(book: Take) -> None:
    content = table(("a", 1, "x"))
    assert "declare `format: excel`" in str(book(content, name="day.csv").broken)
    assert book(content, declare(format="excel"), name="day.csv").broken is None


def test_other_archives_stay_refused(book: Take) -> None:
    content = zipped({"day.csv": "id,n,t\na,1,x\n"})
    assert "the file is an archive" in str(book(content, name="day.csv").broken)
    assert "no Excel workbook" in str(book(content).broken)


def test_a_binary_workbook_is_refused_with_what_to_do(book: Take) -> None:
    relations = (
        f'<Relationships xmlns="{PACKAGE}"><Relationship Id="r" Type="{OFFICE}/officeDocument" '
        'Target="xl/workbook.bin"/></Relationships>'
    )
    taken = book(zipped({"_rels/.rels": relations, "xl/workbook.bin": ""}), name="day.xlsb")
    assert "save it in Excel as .xlsx" in str(taken.broken)


def test_parts_are_found_however_their_names_are_spelled(book: Take) -> None:
    with ZipFile(BytesIO(written(cells('<c r="B2"><v>1</v></c>')))) as archive:
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    relations = "xl/_rels/workbook.xml.rels"
    files[relations] = files[relations].replace("worksheet.xml", "/XL/Worksheet.xml")
    files["xl\\worksheet.xml"] = files.pop("xl/worksheet.xml")
    assert book(zipped(files)).typed == [{"id": "2", "n": 1, "t": None}]


@pytest.mark.parametrize("content", [b"", b"id,n,t\n", b"PK\x03\x04", b"PK\x03\x04" * 100])
def test_what_is_no_workbook_is_refused(book: Take, content: bytes) -> None:
    assert "the file is refused" in str(book(content).broken)


def test_a_workbook_that_is_cut_off_anywhere_is_refused(book: Take) -> None:
    content = table(*((f"r{i}", i, "x") for i in range(50)))
    for length in range(0, len(content), len(content) // 40):
        assert "the file is refused" in str(book(content[:length]).broken)


def test_a_workbook_with_a_damaged_byte_is_read_or_refused(book: Take) -> None:
    content = table(*((f"r{i}", i, "x") for i in range(20)))
    for at in range(0, len(content), len(content) // 150):
        damaged = content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]
        taken = book(damaged)
        assert taken.broken is not None or taken.result.rows == 20


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (written("<row><c>"), "damaged"),
        (written('<row r="x"/>'), "no whole number"),
        (written(f'<row r="{"9" * 5000}"/>'), "no whole number"),
        (written('<row r="2000000"/>'), "stands after"),
        (written(cells("", line=3) + cells("", line=2)), "stands after"),
        (written(cells('<c r="B2"><v>1</v></c><c r="B2"><v>2</v></c>')), "not in order"),
        (written(cells('<c r="1"><v>1</v></c>')), "damaged"),
        (written(cells('<c r="B2" t="s"><v>7</v></c>')), "shared string 7"),
        (written(cells('<c r="B2" t="s"><v>-1</v></c>')), "no whole number"),
        (written(cells(""), after='<mergeCell ref="A:C"/>'), "no range"),
        (written(cells(""), after='<mergeCell ref="?"/>'), "no range"),
        (written(cells(""), xl__styles_xml="<styleSheet"), "damaged"),
        (written(xl__workbook_xml=f'<workbook xmlns="{MAIN}"/>'), "no Excel workbook"),
        (zipped({"[Content_Types].xml": "<Types/>"}), "no Excel workbook"),
        (written(xl__worksheet_xml='<?xml version="1.0" encoding="x-no"?><a/>'), "damaged"),
        (written(xl__worksheet_xml="\0binary"), "damaged"),
        (made(lambda _: None), "is empty"),
    ],
)
def test_a_damaged_workbook_is_refused_in_words(book: Take, content: bytes, words: str) -> None:
    taken = book(content)
    assert words in str(taken.broken)
    assert taken.result.rows == 0


@pytest.mark.parametrize(
    "prolog",
    [
        '<!DOCTYPE a [<!ENTITY x "y">]>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a SYSTEM "http://localhost/a.dtd">',
    ],
)
def test_a_workbook_that_defines_entities_is_refused(book: Take, prolog: str) -> None:
    taken = book(written(cells(""), prolog=prolog))
    assert "defines a document type" in str(taken.broken)


@pytest.mark.parametrize("part", ["strings", "rows"])
def test_what_unpacks_to_too_much_is_refused(book: Take, part: str) -> None:
    bombs = {"strings": "<si><t>0</t></si>" * 500_000, "rows": "<row/>" * 1_000_000}
    content = written(**{part: bombs[part]})
    assert len(content) < 100_000
    taken = book(content, declare(maximum_bytes=1_000_000))
    assert "more than 1,000,000 bytes once unpacked" in str(taken.broken)


@pytest.mark.parametrize(
    "content",
    [
        written(cells(f'<c r="B2" t="str"><v>{"x" * 2000}</v></c>')),
        written(cells('<c r="B2" t="s"><v>0</v></c>'), strings=f"<si><t>{'ä' * 600}</t></si>"),
        written(cells(f'<c r="B2" t="str"><v>{"x" * 200_000}</v></c>')),
        written(cells(""), after=f"<!--{' ' * 200_000}-->"),
    ],
)
def test_a_row_that_is_too_long_refuses_the_file(book: Take, content: bytes) -> None:
    assert "maximum_row_bytes" in str(book(content, declare(maximum_row_bytes=1000)).broken)


def test_more_columns_than_are_allowed_refuse_the_file(book: Take) -> None:
    content = made(lambda sheet: sheet.cell(1, 16_384, "far"))
    assert "maximum_columns" in str(book(content).broken)


def test_raw_is_the_stored_text_and_the_format_of_each_cell(book: Take) -> None:
    n = f'<c r="B2" s="{MOMENT}"><f>NOW()</f><v>41608.5</v></c>'
    t = '<c r="C2" t="s"><v>0</v></c><c r="D2"><f>A1</f></c>'
    taken = book(written(cells(n, t), strings="<si><t>é</t></si>"))
    assert taken.rules == {2: ["type"]}
    row = taken.quarantine[0]
    assert json.loads(row["text"]) == {"id": "2", "n": "2013-11-30T12:00:00", "t": "é"}
    assert json.loads(row["raw"]) == {
        "id": {"text": "2", "format": "General"},
        "n": {"text": "41608.5", "format": "dd/mm/yyyy h:mm:ss"},
        "t": {"text": "é", "format": "General"},
        "column D": {"text": None, "format": "General"},
    }


def test_rows_in_quarantine_are_judged_again_as_they_were_or_as_they_were_mended(
    book: Take, tmp_path: Path
) -> None:
    content = written(
        cells('<c r="B2"><v>x</v></c>')
        + cells("", '<c r="C3" t="e"><v>#N/A</v></c>', line=3)
        + cells(f'<c r="B4" s="{DAY}"><v>60</v></c>', '<c r="C4"><f>A1</f></c>', line=4)
        + cells('<c r="B6"><v>y</v></c>', line=6)
    )
    taken = book(content)
    spreadsheet = tmp_path / "quarantine.csv"
    quarantine_to_csv(taken.result.quarantine_path, spreadsheet)
    mended = {2: '{"id": "2", "n": 5, "t": "#N/A"}', 5: '{"id": "5"}', 6: "no JSON"}
    same = read_mended(spreadsheet)
    paths = (taken.result.typed_path, taken.result.quarantine_path)

    again = Taken(replay(*paths, declare(), into=tmp_path / "1", name="day.xlsx", mended=same))
    assert again.quarantine == taken.quarantine

    again = Taken(replay(*paths, declare(), into=tmp_path / "2", name="day.xlsx", mended=mended))
    assert again.typed == [
        {"id": "2", "n": 5, "t": "#N/A"},
        {"id": "5", "n": None, "t": None},
    ]
    assert again.rules == {
        3: ["excel_error"],
        4: ["excel_date", "formula_not_calculated"],
        6: ["json"],
    }
    raw = {row["line_number"]: row["raw"] for row in taken.quarantine}
    assert {row["line_number"]: row["raw"] for row in again.quarantine} == {
        line: raw[line] for line in (3, 4, 6)
    }

    missing = declare(missing_values=["", "#N/A"])
    again = Taken(replay(*paths, missing, into=tmp_path / "3", name="day.xlsx"))
    assert again.typed == [{"id": "3", "n": None, "t": None}]


def test_a_first_schema_is_written_for_a_workbook(tmp_path: Path) -> None:
    source = tmp_path / "day-2013-11-30.xlsx"
    source.write_bytes(table(*((f"r{i}", i, date(2013, 11, 30)) for i in range(5))))
    schema = infer_schema(source)
    assert "day-{date}.xlsx" in schema
    assert "n: {type: integer, required: true}" in schema
    assert "t: {type: date, required: true}" in schema
    source.write_bytes(b"PK\x03\x04")
    with pytest.raises(IntakeError, match="damaged"):
        infer_schema(source)


def test_a_number_of_a_cell_has_a_point_however_those_in_texts_are_written(book: Take) -> None:
    columns = {**EVERY_TEXT, "n": {"type": "decimal", "scale": 3, "decimal": ",", "thousands": "."}}
    taken = book(
        table(("a", 1.234, None), ("b", "1.234,5", None), ("c", "1.5", None)), declare(columns)
    )
    assert [row["n"] for row in taken.typed] == [Decimal("1.234"), Decimal("1234.500")]
    assert taken.rules == {4: ["type"]}
