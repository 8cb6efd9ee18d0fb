"""Redacted bundles, and single cases that are shown on demand."""

import hashlib
import json
import math
import shutil
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st

from evaluator.certification import (
    Shown,
    TrustedKeys,
    _bundle,
    export_bundle,
    open_cases,
    parse_envelope,
    parse_statement,
    read_openings,
    secret_in,
    verify,
    verify_bundle,
)
from evaluator.certification._bundle import LEAVES, REDACTION, STAND_INS, BundleCheck
from evaluator.certification._commitment import (
    Openings,
    challenged,
    check_openings,
    spell_rows,
)
from evaluator.certification._merkle import leaf_of, root_by_path, tree_paths, tree_root
from evaluator.certification._redaction import SECRET_FILE, Redaction, plain
from evaluator.certification._statement import Commitment, Statement
from evaluator.certification._stored_evidence import StoredEvidence
from evaluator.errors import EvaluatorError, EvidenceError, UsageError
from evaluator.evidence import canonical_json, digest_of_bytes
from evaluator_tests.certification.checking import (
    altered,
    bent,
    check,
    is_sentence,
    key_of,
    listed_again,
    many,
    one_sentence_at_most,
)
from evaluator_tests.certification.evidence_folder import LATER, SECRET, Builder, Issued
from evaluator_tests.certification.evidence_spec import redacting

KEY = key_of(1)
TRUSTED = TrustedKeys.of(KEY.public)


def exported(issued: Issued, to: Path, name: str = "two", redact: Sequence[str] = ()) -> Path:
    return export_bundle(
        issued.certificates[name],
        issued.url,
        to,
        trusted=TRUSTED,
        key=KEY,
        secret=SECRET,
        redact=redact,
        now=LATER,
    )


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    folder = tmp_path_factory.mktemp("issued") / "evidence"
    return Builder(folder, redacting("case_id", "amount", "household")).issue(KEY)


@pytest.fixture(scope="module")
def made(issued: Issued, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(issued, tmp_path_factory.mktemp("made") / "bundle")


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    """A copy of the redacted bundle that a test may spoil."""
    return Path(shutil.copytree(made, tmp_path / "bundle"))


def checked(bundle: Path, **asked: Any) -> BundleCheck:
    return verify_bundle(bundle, trusted=TRUSTED, now=LATER, **asked)


def found(bundle: Path, **asked: Any) -> str:
    one = checked(bundle, **asked)
    return "\n".join(map(str, [*one.report.problems, *one.problems]))


def stand_in(bundle: Path, name: str) -> Path:
    return next((bundle / STAND_INS).rglob(name))


def test_a_redacted_bundle_is_verified_and_what_nobody_could_see_is_said(bundle: Path) -> None:
    one = checked(bundle)
    assert found(bundle) == ""
    assert one.is_verified
    files, columns = one.report.not_checked
    assert files.startswith("14 files with rows are withheld, and a salted digest stands for each")
    assert columns == (
        "the columns case_id, amount, household are withheld; taken as the scorecard has it:"
        " weak_slices.parquet"
    )
    assert "REDACTED" in (bundle / "README.txt").read_text()


def test_no_value_that_is_withheld_is_anywhere_in_a_redacted_bundle(
    issued: Issued, bundle: Path
) -> None:
    (cases,) = (pq.read_table(p) for p in issued.folder.rglob("cases.parquet"))
    (refused,) = (pq.read_table(p) for p in issued.folder.rglob("quarantined_rows.parquet"))
    ids = set(cases["id"].to_pylist())
    raw = {one for one in refused["raw"].to_pylist() if one}
    kept = {path.name for path in bundle.rglob("*") if path.is_file()}
    assert not kept & {"typed_rows.parquet", "profile.json", "report.txt"}
    for path in bundle.rglob("*.parquet"):
        for column in pq.read_table(path).columns:
            assert not (ids | raw) & set(map(str, column.to_pylist())), path
    text = b"".join(p.read_bytes() for p in bundle.rglob("*") if p.suffix in {".json", ".txt"})
    assert not [one for one in ids if f'"{one}"'.encode() in text]
    assert SECRET.hex().encode() not in text


def test_equal_values_of_two_cases_look_different_and_ids_still_join(bundle: Path) -> None:
    cases = pq.read_table(stand_in(bundle, "cases.parquet"))
    assert len(set(cases["data.amount"].to_pylist())) == cases.num_rows
    predicted = [pq.read_table(p) for p in (bundle / STAND_INS).rglob("predictions.parquet")]
    ids = {one for table in predicted for one in table["id"].to_pylist()}
    assert ids <= set(cases["id"].to_pylist())
    assert all(len(one) == 64 for one in ids)


def test_clusters_that_are_withheld_bundle_the_same_cases(tmp_path: Path) -> None:
    spec = redacting("household", cluster="household")
    issued = Builder(tmp_path / "evidence", spec).issue(KEY)
    bundle = exported(issued, tmp_path / "bundle")
    assert found(bundle) == ""
    cases = pq.read_table(stand_in(bundle, "cases.parquet"))
    (before,) = (pq.read_table(p) for p in issued.folder.rglob("cases.parquet"))
    count = len(set(before["data.household"].to_pylist()))
    assert 1 < len(set(cases["data.household"].to_pylist())) == count < cases.num_rows


def test_without_a_column_to_redact_only_files_stay_behind(tmp_path: Path) -> None:
    issued = Builder(tmp_path / "evidence").issue(KEY)
    bundle = exported(issued, tmp_path / "bundle")
    assert found(bundle) == ""
    (said,) = checked(bundle).report.not_checked
    assert "files with rows are withheld" in said
    (before,) = (pq.read_table(p) for p in issued.folder.rglob("cases.parquet"))
    after = pq.read_table(stand_in(bundle, "cases.parquet"))
    assert set(before["data.amount"].to_pylist()) == set(after["data.amount"].to_pylist())


def rewritten(path: Path, column: str, change: Callable[[list[Any]], list[Any]]) -> None:
    table = pq.read_table(path)
    place = table.column_names.index(column)
    values = pa.array(change(table[column].to_pylist()), table.schema.field(column).type)
    pq.write_table(table.set_column(place, column, values), path)


def test_another_table_in_the_place_of_a_withheld_one_is_found(bundle: Path) -> None:
    path = stand_in(bundle, "cases.parquet")
    rewritten(path, "data.household", lambda values: values[::-1])
    name = path.relative_to(bundle).as_posix()
    assert f"bundle: {name}: what manifest.dsse.json names here is another" in found(bundle)


def test_cases_made_up_by_whoever_signs_the_bundle_are_found_by_opening_them(
    issued: Issued, bundle: Path, tmp_path: Path
) -> None:
    path = stand_in(bundle, "cases.parquet")
    # Of no influence on any figure, so that computing again does not find it.
    rewritten(path, "data.household", lambda values: ["0" * 64, *values[1:]])
    listed_again(bundle, KEY)
    assert found(bundle) == ""
    shown = opened(issued, tmp_path, count=80)
    assert found(bundle, shown=shown) == (
        "cases: shown.json: the case at 0 is another than figures rest on"
    )


def test_predictions_made_up_by_whoever_signs_the_bundle_are_found_by_opening_them(
    issued: Issued, bundle: Path, tmp_path: Path
) -> None:
    def nudged(values: list[float]) -> list[float]:
        return [values[0] + 1e-13, *values[1:]]

    rewritten(stand_in(bundle, "predictions.parquet"), "score", nudged)
    listed_again(bundle, KEY)
    assert found(bundle) == ""
    words = found(bundle, shown=opened(issued, tmp_path, count=80))
    assert words.count("has other predictions than figures rest on") == 1


def test_leaves_that_are_not_the_certificates_are_found(bundle: Path) -> None:
    leaves = (bundle / LEAVES).read_bytes()
    for other in (leaves[:-32], leaves[32:] + leaves[:32], leaves + bytes(32), leaves[:-1], b""):
        (bundle / LEAVES).write_bytes(other)
        listed_again(bundle, KEY)
        assert found(bundle) == ("cases: leaves.bin: its leaves do not give the certificate's root")
    (bundle / LEAVES).unlink()
    listed_again(bundle, KEY)
    assert "its leaves do not give the certificate's root" in found(bundle)


def test_rows_that_are_left_out_are_found(bundle: Path) -> None:
    path = stand_in(bundle, "cases.parquet")
    pq.write_table(pq.read_table(path).slice(1), path)
    listed_again(bundle, KEY)
    assert "cases:" in found(bundle)


def test_only_rows_may_be_withheld(bundle: Path) -> None:
    path = next(p for p in (bundle / "evidence").rglob("fairness.parquet"))
    below = path.relative_to(bundle / "evidence").as_posix()
    path.unlink()
    redaction = Redaction.parse((bundle / REDACTION).read_bytes())
    withheld = {**redaction.withheld, below: "0" * 64}
    said = redaction.model_copy(update={"withheld": withheld})
    (bundle / REDACTION).write_bytes(said.to_bytes())
    listed_again(bundle, KEY)
    what = "it is withheld, and holds no rows that might have to be"
    assert f"evidence: {below}: {what}" in found(bundle)


def test_what_is_called_withheld_may_not_be_there(issued: Issued, bundle: Path) -> None:
    path = next(issued.folder.rglob("profile.json"))
    below = path.relative_to(issued.folder)
    shutil.copy(path, bundle / "evidence" / below)
    listed_again(bundle, KEY)
    assert f"evidence: {below.as_posix()}: nothing names it: it was added" in found(bundle)


def test_a_redaction_of_another_certificate_does_not_count(bundle: Path) -> None:
    redaction = Redaction.parse((bundle / REDACTION).read_bytes())
    other = redaction.model_copy(update={"certificate": "1" * 64})
    for content in (other.to_bytes(), b"{}", b"\xff", b"[" * 100_000):
        (bundle / REDACTION).write_bytes(content)
        listed_again(bundle, KEY)
        words = found(bundle)
        assert "bundle: redaction.json: it does not say what this bundle withholds" in words
        assert "it is gone" in words  # nothing is believed to be withheld


@pytest.mark.slow
@many
@given(data=st.data())
def test_of_any_bytes_as_a_redaction_there_come_sentences(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    bundle = tmp_path / "bundle"
    if not bundle.exists():
        shutil.copytree(made, bundle)
    # Figures are another matter, and cost more than all the rest.
    monkeypatch.setattr(_bundle, "verify", partial(verify, recompute_again=lambda *_: ()))
    content = (made / REDACTION).read_bytes()
    (bundle / REDACTION).write_bytes(data.draw(bent(content) | altered(content)))
    for problem in checked(bundle).whole.problems:
        is_sentence(problem.what)


def test_a_certificate_that_lets_out_what_its_audit_keeps_back_by_now_is_not_redacted(
    issued: Issued, tmp_path: Path
) -> None:
    kept_back = ("amount", "country")
    with pytest.raises(EvidenceError, match="before its audit kept back country"):
        exported(issued, tmp_path / "bundle", redact=kept_back)
    assert not (tmp_path / "bundle").exists()
    with pytest.raises(EvidenceError, match="before its audit kept back country"):
        open_cases(
            issued.certificates["two"],
            issued.url,
            SECRET,
            challenge="a word",
            count=5,
            redact=kept_back,
        )
    # To keep back less by now lets nothing out.
    assert found(exported(issued, tmp_path / "bundle", redact=("amount",))) == ""


def test_a_certificate_that_binds_another_number_of_cases_is_found(tmp_path: Path) -> None:
    class Fewer(Builder):
        def bound(self, statement: Statement) -> Statement:
            bound = Commitment(root="0" * 64, cases=79)
            predicate = statement.predicate.model_copy(update={"commitment": bound})
            return statement.model_copy(update={"predicate": predicate})

    report = check(Fewer(tmp_path / "evidence").issue(KEY))
    assert [one.what for one in report.problems] == [
        "the certificate binds 79 cases, and 80 were measured"
    ]


def test_another_secret_neither_redacts_nor_opens(issued: Issued, tmp_path: Path) -> None:
    content = issued.certificates["two"]
    with pytest.raises(EvidenceError, match="bound with another secret") as caught:
        open_cases(content, issued.url, bytes(31) + b"1", challenge="a word", count=5)
    assert "where the certificate was issued" in str(caught.value.fix)
    with pytest.raises(EvidenceError, match="bound with another secret"):
        export_bundle(
            content,
            issued.url,
            tmp_path / "bundle",
            trusted=TRUSTED,
            key=KEY,
            secret=bytes(31) + b"1",
            now=LATER,
        )
    assert not (tmp_path / "bundle").exists()


# Openings


def opened(issued: Issued, folder: Path, *, count: int, name: str = "two", **changes: Any) -> Shown:
    shown = open_cases(issued.certificates[name], issued.url, SECRET, challenge="w", count=count)
    path = folder / "shown.json"
    path.write_bytes(shown.model_copy(update=changes).to_bytes())
    return read_openings(path, challenge="w", asked=count)


def of_shown(issued: Issued, shown: Shown, name: str = "two") -> str:
    content = issued.certificates[name]
    statement = parse_statement(parse_envelope(content, "certificate").payload, "certificate")
    evidence = StoredEvidence(issued.url, statement.predicate)
    return "\n".join(map(str, check_openings(shown, evidence, digest_of_bytes(content))))


def test_cases_are_shown_that_a_challenge_chooses_and_hold(
    issued: Issued, bundle: Path, tmp_path: Path
) -> None:
    shown = opened(issued, tmp_path, count=50)
    one = checked(bundle, shown=shown)
    assert (found(bundle, shown=shown), one.is_verified) == ("", True)
    assert one.report.opened == (
        "50 of 80 cases, as the challenge chose: had 5 % of all been made up afterwards, nobody"
        " would have noticed with 7.7%"
    )
    # In whole evidence too, where redacted columns are as they are.
    assert check(issued, "two", shown=shown).is_verified


def test_an_opening_discloses_no_salt_but_that_of_its_case(issued: Issued, tmp_path: Path) -> None:
    few = opened(issued, tmp_path, count=3).openings.openings
    salts = {one.salt for one in opened(issued, tmp_path, count=80).openings.openings}
    assert len(salts) == 80
    others = opened(issued, tmp_path, count=3, name="one").openings.openings
    assert len({one.salt for one in [*few, *others]}) == 6
    assert all(len(one.case["data.amount"]) == 64 for one in few)


def test_whatever_is_changed_in_an_opening_is_found(issued: Issued, tmp_path: Path) -> None:
    whole = opened(issued, tmp_path, count=4).openings
    first, *rest = whole.openings
    path = [*first.path]
    name = next(iter(first.predictions))
    other = {**first.predictions, name: first.predictions[name] | {"score": 0.123}}
    changes: list[dict[str, Any]] = [
        {"case": first.case | {"label": 1 - first.case["label"]}},
        {"case": first.case | {"more": 1}},
        {"case": {}},
        {"predictions": other},
        {"predictions": {}},
        {"salt": "0" * 64},
        {"path": (*path[1:], path[0])},
        {"path": (*path[:-1],)},
        {"path": (*path, path[0])},
        {"path": ()},
        {"place": -1},
        {"place": 80},
    ]
    for change in changes:
        changed = first.model_copy(update=change)
        shown = opened(issued, tmp_path, count=4, openings=(changed, *rest))
        assert "is not what the certificate binds there" in of_shown(issued, shown), change


def test_other_cases_than_were_demanded_are_found(issued: Issued, tmp_path: Path) -> None:
    whole = opened(issued, tmp_path, count=5).openings.openings
    words = "shown.json: it does not show the 5 cases that the challenge chooses"
    for fewer in (whole[:4], (), (*whole[:4], whole[0]), whole[::-1]):
        assert words in of_shown(issued, opened(issued, tmp_path, count=5, openings=fewer))
    shown = opened(issued, tmp_path, count=5, challenge="another word")
    assert words in of_shown(issued, shown)
    shown = opened(issued, tmp_path, count=5, certificate="1" * 64)
    assert "it shows cases of another certificate" in of_shown(issued, shown)
    shown = opened(issued, tmp_path, count=5, name="one")
    assert "it shows cases of another certificate" in of_shown(issued, shown)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"a":NaN}', None])
def test_a_file_without_openings_is_told_in_a_sentence(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "shown.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match="it holds no openings of cases"):
        read_openings(path, challenge="w", asked=5)


@pytest.mark.slow
@many
@given(data=st.data())
def test_of_any_bytes_as_openings_there_come_sentences(
    issued: Issued, tmp_path: Path, data: st.DataObject
) -> None:
    content = issued.certificates["two"]
    path = tmp_path / "shown.json"
    if not path.exists():
        opened(issued, tmp_path, count=3)
        path.rename(tmp_path / "as_it_was")
    as_it_was = (tmp_path / "as_it_was").read_bytes()
    path.write_bytes(data.draw(bent(as_it_was) | altered(as_it_was)))
    with one_sentence_at_most():
        shown = read_openings(path, challenge="w", asked=3)
        statement = parse_statement(parse_envelope(content, "certificate").payload, "certificate")
        evidence = StoredEvidence(issued.url, statement.predicate)
        for problem in check_openings(shown, evidence, digest_of_bytes(content)):
            is_sentence(problem.what)


def test_fifty_cases_find_five_in_a_hundred_made_up_ones_with_92_percent() -> None:
    made_up, draws = set(range(50)), 2000
    bound = Commitment(root="a" * 64, cases=1000)
    hits = sum(bool(made_up & set(challenged(bound, f"word {draw}", 50))) for draw in range(draws))
    expected = 1 - math.comb(950, 50) / math.comb(1000, 50)
    assert round(1 - 0.95**50, 2) == 0.92
    assert abs(hits / draws - expected) < 4 * math.sqrt(expected * (1 - expected) / draws)


def test_every_case_is_chosen_equally_often() -> None:
    bound = Commitment(root="b" * 64, cases=20)
    counts = [0] * 20
    for draw in range(4000):
        for place in challenged(bound, str(draw), 5):
            counts[place] += 1
    # Chi-squared over 20 places, sampled without replacement; its 99.9 % quantile is 43.8.
    assert sum((one - 1000) ** 2 / 1000 for one in counts) < 43.8
    assert challenged(bound, "w", 99) == list(range(20))


# The tree

# The roots of the first 0 to 8 of these, from the tests of Certificate Transparency's reference.
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
INPUTS += ["606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def test_roots_are_those_of_rfc_6962() -> None:
    leaves = [leaf_of(bytes.fromhex(one)) for one in INPUTS]
    assert [tree_root(leaves[:size]).hex() for size in range(9)] == ROOTS


def test_a_path_leads_to_the_root_from_its_leaf_and_place_alone() -> None:
    for size in range(1, 18):
        leaves = [leaf_of(bytes([one])) for one in range(size)]
        root = tree_root(leaves)
        paths = tree_paths(leaves, range(size))
        for place, path in paths.items():
            assert root_by_path(leaves[place], place, size, path) == root
            for other in range(-1, size + 2):
                if other != place:
                    assert root_by_path(leaves[place], other, size, path) != root
            assert root_by_path(leaf_of(b"?"), place, size, path) != root


def test_rows_are_spelled_as_canonical_json() -> None:
    table = pa.table(
        {
            "b": pa.array([1.5, -0.0, None, float("nan"), float("-inf"), 1e-300]),
            "a%s": ["x", 'q"\\\n\u2028', None, "é", "", "x"],
            "c": pa.array([1, None, -(2**62), 0, 1, 2], pa.int64()),
            "d": pa.array([date(2026, 1, 2), None] * 3),
            "e": pa.array([True, None, False] * 2),
            "f": pa.array([Decimal("1.50"), None, Decimal("-0.01")] * 2, pa.decimal128(5, 2)),
            "g": pa.array(
                [datetime(2026, 1, 2, 3, tzinfo=UTC), None] * 3, pa.timestamp("us", "UTC")
            ),
            "h": pa.nulls(6),
        }
    )
    rows = [{name: plain(value) for name, value in row.items()} for row in table.to_pylist()]
    assert [line.encode() for line in spell_rows(table)] == [canonical_json(row) for row in rows]
    assert rows[1]["b"] == 0.0
    assert math.copysign(1, rows[1]["b"]) == 1
    assert [rows[3]["b"], rows[4]["b"], rows[0]["f"]] == ["nan", "-inf", "1.50"]


# The secret


def test_a_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(lambda _: secret_in(tmp_path / "home"), range(16)))
    assert len(secrets) == 1
    path = tmp_path / "home" / SECRET_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == [SECRET_FILE]
    path.write_bytes(b"short")
    with pytest.raises(EvaluatorError, match="it has 5 bytes, and a secret has 32"):
        secret_in(tmp_path / "home")


def test_openings_are_spelt_as_the_documentation_says(issued: Issued, tmp_path: Path) -> None:
    (one,) = opened(issued, tmp_path, count=1).openings.openings
    document = json.loads((tmp_path / "shown.json").read_bytes())
    assert document["format"] == "evaluator/openings/1"
    (shown,) = document["openings"]
    content = canonical_json(shown["case"]) + canonical_json(shown["predictions"])
    leaf = hashlib.sha256(b"\x00" + bytes.fromhex(shown["salt"]) + content).digest()
    predicate = check(issued, "two").statement
    assert predicate is not None
    bound = predicate.predicate.commitment
    assert bound is not None
    nodes = [bytes.fromhex(node) for node in shown["path"]]
    root = root_by_path(leaf, shown["place"], bound.cases, nodes)
    assert (root or b"").hex() == bound.root
    assert Openings.parse((tmp_path / "shown.json").read_bytes()).openings == (one,)
