"""Command and page give the published answer to every conformance vector."""

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from evaluator.certification import _bundle, verify, verify_bundle
from evaluator.certification._merkle import leaf_of, tree_root
from evaluator.evidence import Address, EvidenceStore, canonical_json, parse_canonical_json
from evaluator_tests.browser import Page, shown
from evaluator_tests.certification.browser import Found, checked, chosen, fill
from evaluator_tests.certification.checking import bent
from evaluator_tests.certification.evidence_folder import MOMENT
from evaluator_tests.certification.vectors import (
    FOLDER,
    GOOD,
    REDACTED,
    Vector,
    read_vectors,
    unpack,
)

PAGE = Path(_bundle.__file__).with_name(_bundle.VERIFY_PAGE)
HOLDS = "SIGNATURE, FILES AND LEDGER HOLD"
"""What the page says where the command says VERIFIED: it computes no figures."""


vectors = pytest.mark.parametrize("vector", read_vectors(), ids=lambda vector: vector.name)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: unpack(name, tmp_path_factory.mktemp("bundle")) for name in (GOOD, REDACTED)}


@pytest.fixture(scope="module")
def good(bundles: dict[str, Path]) -> Path:
    return bundles[GOOD]


@pytest.fixture
def bundle(bundles: dict[str, Path], tmp_path: Path, vector: Vector) -> Path:
    copied = Path(shutil.copytree(bundles[vector.bundle], tmp_path / "bundle"))
    vector.apply(copied)
    return copied


def fits(vector: Vector, found: Found) -> None:
    assert (found.result, found.state) == (vector.result, vector.state), found.problems
    if vector.problem is None:
        assert found.problems == set()
    else:
        assert (vector.problem["check"], vector.problem["file"]) in found.problems


def by_command(vector: Vector, bundle: Path) -> Found:
    report = verify_bundle(
        bundle, trusted=vector.trusted(), now=vector.moment(), known_head=vector.known_head()
    ).whole
    state = None if report.state is None else report.state.state
    return Found(report.result, state, {(one.check, one.file) for one in report.problems})


@pytest.mark.slow
@vectors
def test_the_command_gives_the_published_answer(
    vector: Vector, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if vector.name not in {"good", "redacted"}:
        # That their figures follow from the evidence is shown once.
        without_figures = partial(verify, recompute_again=lambda *_: ())
        monkeypatch.setattr(_bundle, "verify", without_figures)
    fits(vector, by_command(vector, bundle))


def test_what_is_published_is_small_and_each_has_a_name() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 400_000
    names = [vector.name for vector in read_vectors()]
    assert len(names) == len(set(names))
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"{len(names)} vectors" in readme


def test_the_page_runs_nothing_but_its_own_script_and_asks_nobody() -> None:
    text = PAGE.read_text(encoding="utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    allowed = ["default-src 'none'"]
    for tag in ("script", "style"):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        allowed.append(f"{tag}-src 'sha256-{digest}'")
    assert policy[1] == "; ".join([*allowed, "base-uri 'none'", "form-action 'none'"])
    assert "<script>" in text
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|https?://(?!in-)", text
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with shown(PAGE, tmp_path_factory.mktemp("profile")) as page:
        yield page


def asked(page: Page, vector: Vector) -> None:
    """Fill in what a vector is checked with."""
    fill(page, "key", "" if vector.key is None else (FOLDER / vector.key).read_text())
    fill(page, "head", vector.head or "")
    fill(page, "moment", vector.now.replace("+00:00", "Z"))


@pytest.mark.slow
@vectors
def test_the_page_gives_the_published_answer(
    page: Page, vector: Vector, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(page, vector)
    chosen(page, bundle)
    found = checked(page)
    fits(vector, found._replace(result="VERIFIED") if found.result == HOLDS else found)
    # More than is published: both find the same.
    monkeypatch.setattr(_bundle, "verify", partial(verify, recompute_again=lambda *_: ()))
    assert found.problems == by_command(vector, bundle).problems


@pytest.mark.slow
def test_the_page_asks_no_network_and_breaks_no_rule_of_its_own(page: Page, good: Path) -> None:
    asked(page, read_vectors()[0])
    chosen(page, good)
    assert checked(page) == Found(HOLDS, "valid", set())
    assert set(page.requests) == {PAGE.as_uri()}
    assert page.faults == []
    assert page.run("fetch('data:,x').then(() => 'asked', () => 'refused')") == "refused"


@pytest.mark.slow
def test_a_folder_may_be_dropped_on_the_page(page: Page, good: Path) -> None:
    asked(page, read_vectors()[0])
    chosen(page, good, dropped=True)
    assert checked(page) == Found(HOLDS, "valid", set())


@pytest.mark.slow
def test_the_id_that_one_was_told_is_compared_with_the_key_in_the_folder(
    page: Page, good: Path
) -> None:
    asked(page, read_vectors()[0])
    chosen(page, good)
    trusted = read_vectors()[0].trusted()
    assert trusted
    (key_id,) = trusted.issuers()
    fill(page, "key", key_id)
    assert checked(page) == Found(HOLDS, "valid", set())
    fill(page, "key", "9" * 64)
    found = checked(page)
    assert (found.result, found.problems) == ("FAILED", {("signature", "public_key.pem")})


@pytest.mark.slow
def test_an_answer_goes_where_the_question_changes(page: Page, good: Path) -> None:
    asked(page, read_vectors()[0])
    chosen(page, good)
    assert checked(page) == Found(HOLDS, "valid", set())
    for field in ("key", "head", "moment"):
        fill(page, field, "")
        assert page.run("document.getElementById('answer').hidden")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("key", "-----BEGIN PRIVATE KEY-----", "this is a private key"),
        ("key", "a key", "it holds no Ed25519 public key in PEM"),
        ("head", "two", "The ledger's head is a number"),
        ("moment", "2026-02-30T12:00:00Z", "The moment is written with its time zone"),
    ],
)
def test_what_cannot_be_used_is_a_sentence_and_no_answer(
    page: Page, good: Path, field: str, value: str, what: str
) -> None:
    asked(page, read_vectors()[0])
    chosen(page, good)
    fill(page, field, value)
    assert what in checked(page).result
    assert page.run("document.getElementById('answer').hidden")


@pytest.mark.slow
def test_a_browser_that_does_not_know_the_signatures_says_so_and_checks_nothing(page: Page) -> None:
    ignorant = "crypto.subtle.importKey = () => Promise.reject(new Error('unknown'))"
    added = page.call("Page.addScriptToEvaluateOnNewDocument", source=ignorant)
    try:
        page.open(PAGE.as_uri())
        page.wait("!document.getElementById('unable').hidden")
        assert "does not know Ed25519" in page.run("document.getElementById('unable').textContent")
        assert page.run("document.getElementById('form').hidden")
    finally:
        page.call("Page.removeScriptToEvaluateOnNewDocument", **added)
        page.open(PAGE.as_uri())


@pytest.mark.slow
def test_numbers_are_spelled_as_python_spells_them(page: Page) -> None:
    numbers = [0.0, -0.0, 0.1, 1.0, 100.0, 1e15, 1e16, 1.5e16, 123456789012345.6, 1e-4, 1e-5]
    numbers += [1.25e-7, 5e-324, 1.7976931348623157e308, -2.5, 1 / 3, 2**53 + 0.0, 1e22, 1e23]
    spelt = [repr(number) for number in numbers]
    assert page.run(f"{json.dumps(spelt)}.map((one) => spellFraction(Number(one)))") == spelt


@pytest.mark.slow
def test_the_page_computes_the_roots_of_trees_as_the_command_does(page: Page) -> None:
    leaves = [leaf_of(bytes([one])) for one in range(20)]
    spelt = json.dumps([[*leaf] for leaf in leaves])
    roots = page.run(
        f"Promise.all({spelt}.concat([[]]).map((_, size) => rootOf({spelt}.slice(0, size))))"
    )
    assert roots == [tree_root(leaves[:size]).hex() for size in range(21)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "partition", [None, "2026-01-01", "north|new", "..|_", "a/b|c d", "ü!'()*~|%"]
)
def test_the_page_knows_where_a_version_belongs(
    page: Page, tmp_path: Path, partition: str | None
) -> None:
    address = Address("shop", "one_predictions", partition)
    store = EvidenceStore(str(tmp_path))
    record = store.write(
        address,
        "0" * 32,
        {},
        content_version="v",
        upstream=[],
        facts={},
        code_version="1",
        run_context=MOMENT,
    )
    item = {"asset": record.asset, "partition": partition, "identity": record.identity}
    assert page.run(f"folderOf('shop', {json.dumps(item)})") == store.folder(record)


def page_takes(page: Page, contents: list[bytes]) -> list[bool]:
    """Ask the page of each whether it is canonical JSON."""
    encoded = json.dumps([base64.b64encode(content).decode() for content in contents])
    taken: list[bool] = page.run(
        f"{encoded}.map((one) => {{ try {{ readCanonical(fromBase64(one, '')); return true; }}"
        " catch (error) { if (error instanceof Malformed) return false; throw error; } })"
    )
    return taken


def is_taken(content: bytes) -> bool:
    try:
        parse_canonical_json(content)
    except ValueError:
        return False
    return True


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    PLAIN | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)
ESCAPES = st.sampled_from(
    [b'"\\u0001"', b'"\\u001F"', b'"\\u001f"', b'"\\u000a"', b'"\\n"', b'"\\/"', b'"\\u0041"',
     b'"\\ud83d\\ude00"', b'"\x7f"', b'{"\xef\xbf\xbf":1,"\xf0\x90\x80\x80":1}',
     b'{"\xf0\x90\x80\x80":1,"\xef\xbf\xbf":1}', b'{"__proto__":1}', b"1E5", b"1e5", b"100000.0",
     b"1e+16", b"1e16", b"0.00001", b"1e-05", b"-0.0", b"01", b"+1", b".5", b"1.", b"nul", b"1 "]
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=60, derandomize=True)
@given(data=st.data())
def test_page_and_command_take_the_same_for_canonical_json(page: Page, data: st.DataObject) -> None:
    plain = VALUES.map(lambda value: canonical_json(["x", value]))
    odd = plain.flatmap(bent) | ESCAPES.map(lambda content: content + b"\n")
    contents = data.draw(st.lists(plain | odd, min_size=40, max_size=40))
    assert page_takes(page, contents) == [is_taken(content) for content in contents]


@pytest.mark.slow
def test_of_a_redacted_folder_it_is_said_how_much_nobody_could_see(
    page: Page, bundles: dict[str, Path]
) -> None:
    asked(page, read_vectors()[0])
    chosen(page, bundles[REDACTED])
    assert checked(page) == Found(HOLDS, "valid", set())
    words = page.run("document.getElementById('meaning').textContent")
    assert "redacted: 14 files with rows of data could not be seen" in words


@pytest.mark.slow
def test_what_a_folder_says_is_shown_and_never_obeyed(
    page: Page, good: Path, tmp_path: Path
) -> None:
    bundle = shutil.copytree(good, tmp_path / "bundle")
    hostile = "<img src=x onerror=document.title='obeyed'>"
    (bundle / hostile).write_text(hostile)
    asked(page, read_vectors()[0])
    chosen(page, bundle)
    found = checked(page)
    assert (found.result, found.problems) == ("FAILED", {("bundle", hostile)})
    assert page.run("document.title") == "Check a certificate"
    assert page.run("document.querySelector('img')") is None
