"""From a scorecard to a certificate that a stranger can check, and what people decide about it."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import mlflow
import pytest
import skops.io
from mlflow.tracking import MlflowClient

from evaluator import cli
from evaluator.certification import (
    PAGE,
    TECHNICAL_FILE,
    Ledger,
    TrustedKeys,
    create_key,
    load_public_key,
    verify,
    verify_bundle,
)
from evaluator.certification._entries import LedgerEntry
from evaluator.evidence import RunContext, canonical_json, digest_of_bytes
from evaluator.orchestration import (
    AuditState,
    Home,
    demote,
    format_findings,
    format_run_summary,
    statement_name,
    stored_findings,
)
from evaluator.orchestration._certificates import (
    CERTIFICATE,
    CERTIFICATE_TAG,
    OUTCOME_TAG,
    expected_certificate,
)
from evaluator.orchestration._documents import reports_are_current
from evaluator.orchestration._lineage import outdated_reasons
from evaluator.orchestration._scorecard_run import expected_scorecard
from evaluator.reporting._formatting import NO_VALUE
from evaluator.scorecard import Asset
from evaluator.spec import Audit
from evaluator_tests.conftest import BuiltOnce
from evaluator_tests.orchestration.conftest import declare, open_home, run, start


class Answer(NamedTuple):
    code: int
    out: str


Call = Callable[..., Answer]


@pytest.fixture
def call(
    audit: Audit,
    finished_home: Home,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Call:
    """Call the command in this process, on the finished audit."""
    declare(audit, tmp_path / "defs")
    monkeypatch.setattr("evaluator.spec.shipped_audits", lambda: tmp_path / "defs")
    assert finished_home.root.is_dir()

    def make(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["evaluator", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capfd.readouterr()
        return Answer(int(caught.value.code or 0), out + err)

    return make


@pytest.fixture(scope="session")
def signed(finished: Path, audit: Audit, built_once: BuiltOnce) -> Path:
    """A home whose certificates are signed, and the public key beside its evidence."""

    def make(root: Path) -> None:
        shutil.copytree(finished, root)
        files = create_key(root / "keys", "audit")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("EVALUATOR_SIGNING_KEY_FILE", str(files.private))
            summary = run(audit, open_home(root, patch))
        assert (summary.computed, summary.faults) == (0, [])

    return built_once("signed", make)


@pytest.fixture
def signed_home(signed: Path, finished_home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The test's own home, in which the certificates are signed; the key signs on."""
    shutil.copytree(signed, finished_home.root, dirs_exist_ok=True)
    private = finished_home.root / "keys" / "audit.private.pem"
    monkeypatch.setenv("EVALUATOR_SIGNING_KEY_FILE", str(private))
    return finished_home


def key_in(home: Home) -> str:
    return str(home.root / "keys" / "audit.public.pem")


def test_an_unsigned_certificate_is_intact_and_never_verified(call: Call) -> None:
    answer = call("verify", "flights/sturdy")
    assert answer.code == 1
    assert "INTACT, BUT UNSIGNED" in answer.out
    assert "UNSIGNED: nothing proves who issued this certificate" in answer.out


def test_a_signed_certificate_is_verified_with_the_issuers_key_only(
    signed_home: Home, call: Call, tmp_path: Path
) -> None:
    public_key = key_in(signed_home)
    answer = call("verify", "flights/sturdy", "--key", public_key)
    assert answer.code == 0
    assert answer.out.startswith("VERIFIED")
    other = create_key(tmp_path / "others", "other").public
    assert call("verify", "flights/sturdy", "--key", str(other)).code == 1
    report = json.loads(call("verify", "flights/sturdy", "--key", public_key, "--json").out)
    assert (report["result"], report["candidate"]) == ("VERIFIED", "sturdy")


def test_keys_of_the_environment_count_where_none_is_named(
    signed_home: Home, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public_key = shutil.copy(key_in(signed_home), tmp_path)
    other = create_key(tmp_path / "others", "other").public
    monkeypatch.setenv("EVALUATOR_TRUSTED_KEYS", str(public_key))
    assert call("verify", "flights/sturdy").code == 0
    assert call("require", "flights", "sturdy").code == 0
    assert call("verify", "flights/sturdy", "--key", str(other)).code == 1
    assert call("require", "flights", "sturdy", "--key", str(other)).code == 1
    wrong = call("export", "flights/sturdy", str(tmp_path / "bundle"), "--key", str(other))
    assert wrong.code == 3
    assert "cannot be exported: no signature is of a trusted issuer's key" in wrong.out
    assert not (tmp_path / "bundle").exists()
    beside = call("require", "flights", "sturdy", "--key", key_in(signed_home))
    assert beside.code == 0  # a key beside the evidence folder is not in it
    inside = signed_home.root / "evidence" / "audit.public.pem"
    shutil.copy(public_key, inside)
    assert (
        "lies with the audit or its evidence"
        in call("require", "flights", "sturdy", "--key", str(inside)).out
    )


def test_all_certificates_of_an_audit_are_verified_at_once(
    signed_home: Home, call: Call, tmp_path: Path
) -> None:
    public_key = key_in(signed_home)
    answer = call("verify", "flights", "--all", "--key", public_key)
    assert answer.code == 0
    assert answer.out.count("VERIFIED: certificate ") == 2
    reports = json.loads(call("verify", "flights/frail", "--all", "--json").out)
    assert [report["candidate"] for report in reports] == ["frail", "sturdy"]
    assert call("verify", "flights", "--key", public_key).code == 2
    assert call("export", "flights/frail", str(tmp_path / "bundle")).code == 0
    refused = call("verify", str(tmp_path / "bundle"), "--all")
    assert (refused.code, "an exported folder is of one candidate" in refused.out) == (2, True)


def entered(home: Home) -> list[str]:
    """List the kinds of the ledger's entries."""
    return [c.entry.kind for c in Ledger(home.evidence_url, "flights").entries()]


def newest_publication(home: Home, asset: str) -> LedgerEntry:
    """Find what was entered last of the page or the documents."""
    entries = [c.entry for c in Ledger(home.evidence_url, "flights").entries()]
    return [e for e in entries if e.kind == "publication" and e.body["asset"] == asset][-1]


def test_a_second_run_issues_nothing_anew(audit: Audit, finished_home: Home) -> None:
    state = AuditState(audit, finished_home)
    before = state.require("certificate")
    assert reports_are_current(state, datetime.now(UTC))
    run(audit, finished_home)
    assert state.require("certificate") == before
    assert entered(finished_home) == ["certificate"] * 2 + ["publication"] * 2


@pytest.mark.parametrize("asset", [Asset.DASHBOARD, Asset.DOCUMENTS])
def test_what_shows_the_certificates_is_entered_by_their_issuer_once(
    audit: Audit, signed_home: Home, asset: str
) -> None:
    state = AuditState(audit, signed_home)
    shown, certificate = state.require(asset), state.require(Asset.CERTIFICATE)
    entry = newest_publication(signed_home, asset)
    before = entered(signed_home)
    key = load_public_key(Path(key_in(signed_home)))
    assert entry.is_signed_by(key)
    assert entry.body["issue"] == state.store.folder(certificate)
    folder = signed_home.root / "evidence" / state.store.folder(shown)
    assert {signed_home.root / "evidence" / path for path in entry.body["files"]} == {
        *folder.iterdir()
    }
    # Dagster's UI materialises it again.
    assert start(audit, signed_home)._runs.execute([asset], None) == []
    assert entered(signed_home) == before


def test_without_the_key_nothing_is_entered_in_a_signed_ledger(
    audit: Audit, signed_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = entered(signed_home)
    monkeypatch.delenv("EVALUATOR_SIGNING_KEY_FILE")
    assert run(audit, signed_home).faults == []
    assert entered(signed_home) == before
    assert reports_are_current(AuditState(audit, signed_home), datetime.now(UTC))


@pytest.mark.parametrize("asset", [Asset.DASHBOARD, Asset.DOCUMENTS])
def test_a_page_that_was_rewritten_is_made_anew_and_not_entered(
    audit: Audit, signed_home: Home, call: Call, asset: str
) -> None:
    public_key = key_in(signed_home)
    state = AuditState(audit, signed_home)
    record = state.require(asset)
    folder = signed_home.root / "evidence" / state.store.folder(record)
    page = folder / min(record.files)
    page.write_text("all is well")
    told = json.loads((folder / "record.json").read_bytes())
    stored = {"sha256": digest_of_bytes(page.read_bytes()), "size": page.stat().st_size}
    told["files"][page.name] = stored
    (folder / "record.json").write_bytes(canonical_json(told))
    found = call("verify", "flights/sturdy", "--key", public_key)
    assert found.code == 1
    assert page.name in found.out

    assert not reports_are_current(AuditState(audit, signed_home), datetime.now(UTC))
    assert run(audit, signed_home).faults == []
    assert page.read_text() != "all is well"
    assert stored["sha256"] not in newest_publication(signed_home, asset).body["files"].values()
    assert call("verify", "flights/sturdy", "--key", public_key).code == 0
    # One that is gone is made and entered again too, and is no problem meanwhile.
    page.unlink()
    assert call("verify", "flights/sturdy", "--key", public_key).code == 0
    assert run(audit, signed_home).faults == []
    assert page.is_file()
    assert call("verify", "flights/sturdy", "--key", public_key).code == 0


def test_what_was_stored_and_not_entered_is_entered_by_the_next_run(
    audit: Audit, finished_home: Home
) -> None:
    folder = finished_home.root / "evidence" / "flights" / "ledger"
    for number in (3, 4):
        (folder / f"{number:06}.json").unlink()
    digest = digest_of_bytes((folder / "000002.json").read_bytes())
    head = {"format": "evaluator/ledger-head/1", "sequence": 2, "digest": digest}
    (folder / "head.json").write_bytes(canonical_json(head))
    assert run(audit, finished_home).computed == 0
    assert entered(finished_home) == ["certificate"] * 2 + ["publication"] * 2


def test_candidates_in_another_order_make_no_new_certificate(
    audit: Audit, finished_home: Home
) -> None:
    before = AuditState(audit, finished_home).require("certificate")
    reversed_ = audit.spec.model_copy(update={"candidates": audit.spec.candidates[::-1]})
    other = Audit(audit.name, reversed_)
    state = AuditState(other, finished_home)
    assert reports_are_current(state, datetime.now(UTC))

    summary = run(other, finished_home)

    assert (summary.computed, summary.faults) == (0, [])
    assert state.require("certificate") == before
    assert entered(finished_home).count("certificate") == 2
    current = [state.require(name) for name in ("audit_spec", "scorecard", "certificate")]
    assert outdated_reasons(state, current, datetime.now(UTC)) == {}


def test_an_expired_certificate_is_followed_by_a_new_one(audit: Audit, finished_home: Home) -> None:
    state = AuditState(audit, finished_home)
    later = datetime.now(UTC) + timedelta(days=91)
    assert not reports_are_current(state, later)
    scorecard = state.require("scorecard")
    now = expected_certificate(state, scorecard, datetime.now(UTC))
    assert now.record is not None
    renewed = expected_certificate(state, scorecard, later)
    assert renewed.record is None
    assert renewed.identity != now.identity
    assert state.store.find(*expected_scorecard(state).target) == scorecard


def test_a_single_flipped_byte_of_evidence_is_named(signed_home: Home, call: Call) -> None:
    public_key = key_in(signed_home)
    damaged = next((signed_home.root / "evidence").glob("flights/raw_data/*/*/*.csv"))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    answer = call("verify", "flights/sturdy", "--key", public_key)
    assert answer.code == 1
    assert damaged.name in answer.out


def test_a_stranger_checks_an_exported_folder_with_the_package_alone(
    signed_home: Home, call: Call, tmp_path: Path
) -> None:
    public_key = str(shutil.copy(key_in(signed_home), tmp_path))
    bundle = tmp_path / "bundle"
    assert call("export", "flights/sturdy", str(bundle)).code == 0
    names = {path.name for path in bundle.iterdir()}
    assert names >= {"certificate.dsse.json", "public_key.pem", "README.txt", "evidence"}
    shutil.rmtree(signed_home.root)
    script = (
        "import sys\n"
        "for name in ('dagster', 'mlflow', 'sklearn', 'skops', 'polars'):\n"
        "    sys.modules[name] = None\n"
        "from evaluator.cli import main\n"
        f"sys.argv = ['evaluator', 'verify', {str(bundle)!r}, '--key', {public_key!r}]\n"
        "main()\n"
    )
    alone = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert alone.stdout.startswith("VERIFIED"), alone.stdout + alone.stderr
    assert alone.returncode == 0


def test_a_page_that_is_a_link_or_was_changed_is_not_exported(
    signed_home: Home, call: Call, tmp_path: Path
) -> None:
    pages = list((signed_home.root / "evidence").glob(f"flights/dashboard/*/*/{PAGE}"))
    page = max(pages, key=lambda path: path.stat().st_mtime_ns)
    content = page.read_bytes()
    page.write_bytes(content.replace(b"flights", b"fl1ghts", 1))
    refused = call("export", "flights/sturdy", str(tmp_path / "a"))
    assert refused.code == 3
    assert f"{PAGE}: the certificate cannot be exported: its SHA-256 is" in refused.out
    assert "made and entered anew by `evaluator run`" in refused.out
    # Even where it leads to what the page was.
    elsewhere = tmp_path / "elsewhere.html"
    elsewhere.write_bytes(content)
    page.unlink()
    page.symlink_to(elsewhere)
    assert "it is a link" in call("export", "flights/sturdy", str(tmp_path / "b")).out
    assert not {tmp_path / "a", tmp_path / "b"} & set(tmp_path.iterdir())


def test_the_private_key_stands_in_nothing_that_a_run_writes(signed_home: Home) -> None:
    secret = (signed_home.root / "keys" / "audit.private.pem").read_bytes().splitlines()[1]
    written = [p for p in signed_home.root.rglob("*") if p.is_file() and "keys" not in p.parts]
    assert len(written) > 100
    assert [p for p in written if secret in p.read_bytes()] == []


def test_results_and_decisions_are_not_read_from_any_database(
    audit: Audit, signed_home: Home, call: Call
) -> None:
    public_key = str(shutil.copy(key_in(signed_home), signed_home.root.parent))
    for name in ("dagster", "mlflow"):
        shutil.rmtree(signed_home.root / name)
    assert call("verify", "flights/sturdy", "--key", public_key).code == 0
    release = ("require", "flights", "sturdy", "--key", public_key)
    assert "RELEASE sturdy" in call(*release).out
    told = json.loads(call(*release, "--json").out)
    assert (told["candidate"], told["is_met"]) == ("sturdy", True)
    assert told["outcome"].startswith("certified")
    # And a run finds every slice as it was; what stands in MLflow is written again.
    signed_home.prepare()
    assert run(audit, signed_home).computed == 0


def test_a_release_needs_a_certificate_that_stands_for_this_artifact(
    audit: Audit, finished_home: Home, call: Call
) -> None:
    def require() -> Answer:
        return call("require", "flights", "sturdy", "--allow-unsigned")

    unsigned = call("require", "flights", "sturdy")
    assert unsigned.code == 2
    assert "no key is trusted" in unsigned.out
    answer = require()
    assert answer.code == 0
    assert answer.out.startswith("RELEASE sturdy")
    assert "UNSIGNED EVIDENCE: nothing proves who issued the certificate" in answer.out
    changed = finished_home.root / "models" / "flights" / "sturdy.skops"
    content = changed.read_bytes()
    changed.write_bytes(content + b"\0")
    answer = require()
    assert answer.code == 1
    assert "DO NOT RELEASE sturdy: no certificate is for sturdy with the digest" in answer.out
    changed.write_bytes(content)
    assert call("revoke", "flights/sturdy", "--by", "Ada", "--reason", "wrong labels").code == 0
    answer = require()
    assert answer.code == 1
    assert "revoked by Ada: wrong labels" in answer.out
    # Nothing brings a new certificate about, but that somebody takes the revocation back.
    run(audit, finished_home)
    facts = AuditState(audit, finished_home).require("certificate").facts
    assert list(facts["outcomes"]) == ["frail"]
    assert facts["withheld"] == {
        "sturdy": "revoked by Ada: wrong labels; `evaluator correct` with entry 5 takes it back"
    }
    assert require().code == 1
    assert (
        call("correct", "flights/sturdy", "5", "--by", "Ada", "--reason", "they were right")[0] == 0
    )
    assert require().code == 0


def test_decisions_of_people_are_entered_with_author_and_reason(
    finished_home: Home, call: Call
) -> None:
    assert call("sign-off", "flights/frail", "--by", "Ada", "--reason", "I read it").code == 0
    answer = call("verify", "flights/frail")
    assert "sign-off    Ada: I read it" in answer.out
    wrong = call(
        *("waive", "flights/frail", "--gate", "no such gate", "--until", "2099-01-01"),
        *("--by", "Ada", "--reason", "for now"),
    )
    assert wrong.code == 2
    assert "the certificate has no such gate" in wrong.out
    path = finished_home.root / "evidence"
    statement = next(path.glob(f"flights/certificate/_/*/{statement_name('frail')}"))
    assert call("sign-off", str(statement), "--by", "Bo", "--reason", "me too").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["verify", "nothing.dsse.json"], "there is no such certificate"),
        (["verify", "flights/nobody"], "use one of"),
        (["require", "flights", "nobody"], "no such candidate"),
        (["verify", "flights/sturdy", "--ledger-head", "twelve"], "no number and digest"),
        (["verify", "flights/sturdy", "--key", "nowhere.pem"], "cannot be read"),
        (
            ["require", "flights", "sturdy", "--key", "nowhere.pem", "--allow-unsigned"],
            "leave out one of the two",
        ),
        (
            ["open", "flights/sturdy", "/nowhere/cases.json", "--challenge", "w"],
            "no file can be written there",
        ),
        (["verify", "flights/sturdy", "--challenge", "w"], "give both, and leave --all out"),
        (
            ["verify", "flights/sturdy", "--openings", "cases.json"],
            "give both, and leave --all out",
        ),
        (
            ["verify", "flights/sturdy", "--openings", "cases.json", "--challenge", "w"],
            "it holds no openings of cases: No such file or directory",
        ),
        (["export", "flights/sturdy", "/dev/null/bundle"], "no folder can be made there"),
    ],
)
def test_wrong_use_is_answered_in_a_sentence(arguments: list[str], words: str, call: Call) -> None:
    answer = call(*arguments)
    assert answer.code == 2
    assert words in answer.out
    assert "Traceback" not in answer.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "{rubbish}", "{folder}"],
        ["sign-off", "{rubbish}", "--by", "Ada", "--reason", "read it"],
        ["revoke", "{rubbish}", "--by", "Ada", "--reason", "wrong"],
    ],
)
def test_what_is_no_certificate_is_told_by_its_name(
    arguments: list[str], call: Call, tmp_path: Path
) -> None:
    rubbish = tmp_path / "rubbish.dsse.json"
    rubbish.write_text("{}")
    places = {"rubbish": rubbish, "folder": tmp_path / "bundle"}
    answer = call(*(argument.format(**places) for argument in arguments))
    assert answer.code == 3
    assert "rubbish.dsse.json: it is no DSSE envelope" in answer.out


def test_what_the_yaml_keeps_back_by_now_is_not_let_out_before_another_run(
    audit: Audit, call: Call, tmp_path: Path
) -> None:
    settings = audit.spec.model_dump(mode="json", exclude_unset=True)
    column = next(name for name in settings["data"]["columns"] if name.startswith("tail"))
    settings["certificate"] = {"redact": [column]}
    declare(Audit(audit.name, type(audit.spec).model_validate(settings)), tmp_path / "defs")
    for asked in (
        ("export", "flights/sturdy", str(tmp_path / "bundle"), "--redacted"),
        ("open", "flights/sturdy", str(tmp_path / "cases.json"), "--challenge", "w"),
    ):
        answer = call(*asked)
        assert answer.code == 3
        assert f"it was issued before its audit kept back {column}" in answer.out
        assert "`evaluator run`" in answer.out
    assert not (tmp_path / "bundle").exists()
    assert not (tmp_path / "cases.json").exists()


def test_an_export_needs_no_declaration_of_the_audit(
    finished_home: Home, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = tmp_path / "nothing is declared here"
    monkeypatch.setattr("evaluator.spec.shipped_audits", lambda: nowhere)
    folder = finished_home.root / "evidence/flights/certificate"
    statement = next(folder.glob(f"_/*/{statement_name('sturdy')}"))
    assert call("export", str(statement), str(tmp_path / "bundle")).code == 0
    assert (tmp_path / "bundle" / "report.html").is_file()


def test_a_key_is_made_once(call: Call, tmp_path: Path) -> None:
    made = call("keys", "create", "audit", "--folder", str(tmp_path / "made"))
    assert made.code == 0
    private = tmp_path / "made" / "audit.private.pem"
    assert private.stat().st_mode & 0o777 == 0o600
    assert private.read_text().splitlines()[1] not in made.out
    assert call("keys", "create", "audit", "--folder", str(tmp_path / "made")).code == 2


def with_registry(audit: Audit, name: str) -> Audit:
    settings: dict[str, Any] = audit.spec.model_dump(mode="json", exclude_unset=True)
    sturdy = dict(settings["candidates"][0])
    del sturdy["path"]
    settings["candidates"] = [{**sturdy, "kind": "mlflow", "model": f"models:/{name}/1"}]
    settings["certificate"] = {"promote_alias": "released"}
    return Audit(audit.name, type(audit.spec).model_validate(settings))


# MLflow warns of types in its own signatures, and of examples that a caller need not give.
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")
@pytest.mark.filterwarnings("ignore:.*input example was not provided:UserWarning")
def test_a_certified_version_is_promoted_until_its_certificate_is_revoked(
    audit: Audit, finished_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = skops.io.load(finished_home.root / "models" / "flights" / "sturdy.skops")
    monkeypatch.chdir(finished_home.root)
    mlflow.set_tracking_uri(finished_home.tracking_uri)
    mlflow.set_registry_uri(finished_home.tracking_uri)
    folder = finished_home.root / "exported"
    mlflow.sklearn.save_model(model, folder, serialization_format="skops", pip_requirements=[])
    client = MlflowClient(tracking_uri=finished_home.tracking_uri)
    client.create_registered_model("late")
    client.create_model_version("late", folder.as_uri())
    registered = with_registry(audit, "late")
    summary = run(registered, finished_home)
    assert summary.faults == []
    assert summary.judged is not None
    assert [o.outcome for o in summary.judged.outcomes] == ["certified"]
    version = client.get_model_version("late", "1")
    state = AuditState(registered, finished_home)
    digest = state.require("certificate").files[statement_name("sturdy")].sha256
    assert version.tags[CERTIFICATE_TAG] == digest
    assert version.tags[OUTCOME_TAG] == "certified, with cases taken as independent"
    assert int(client.get_model_version_by_alias("late", "released").version) == 1
    assert list(demote(finished_home, registered.spec, lambda _: True)) == []
    assert list(demote(finished_home, registered.spec, lambda one: one != digest)) == [
        "late version 1 is no longer promoted."
    ]
    version = client.get_model_version("late", "1")
    assert not {CERTIFICATE_TAG, OUTCOME_TAG} & version.tags.keys()
    assert version.aliases == []


def where_the_outcome_stands(state: AuditState, call: Call, bundle: Path) -> dict[str, str]:
    """Give every text in which the outcome of the sturdy candidate stands, in plain words."""

    def stored(asset: str, name: str) -> str:
        return state.store.read_bytes(state.require(asset), name).decode()

    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["flights", "certificate"]))
    assert event is not None
    assert event.asset_materialization is not None
    shown: Any = event.asset_materialization.metadata["outcomes"].value
    runs = state.require("mlflow_runs").facts["runs"]
    client = MlflowClient(tracking_uri=state.home.tracking_uri)
    assert call("export", "flights/sturdy", str(bundle)).code == 0
    card = stored("dashboard", PAGE)
    card = card[card.index("<h3>sturdy</h3>") :]
    texts = {
        "page": card[: card.index("</li>")],
        "terminal": next(
            line
            for line in format_findings(stored_findings(state))
            if line.startswith("  sturdy  CERTIFIED")
        ),
        "UI": shown["sturdy"],
        "MLflow": client.get_run(runs["sturdy"]).data.tags[OUTCOME_TAG],
        "require": call("require", "flights", "sturdy", "--allow-unsigned").out,
        "verify": call("verify", "flights/sturdy").out,
        "README": (bundle / "README.txt").read_text(),
        "model card": stored("documents", "sturdy_model_card.md"),
        "technical file": stored("documents", f"{TECHNICAL_FILE}.md"),
    }
    plain = {name: unescape(re.sub(r"<[^>]*>", " ", text)) for name, text in texts.items()}
    return {name: re.sub(r"[\s\\]+", " ", text) for name, text in plain.items()}


def test_wherever_certified_stands_what_qualifies_it_stands_beside_it(
    audit: Audit, finished_home: Home, call: Call, tmp_path: Path
) -> None:
    optional = {"at_least": 0.9999, "required": False}
    settings = audit.spec.model_dump(mode="json", exclude_unset=True) | {
        "gates": [
            {"metric": "roc_auc", "at_least": 0.6},
            {"metric": "accuracy", **optional},
            {"metric": "recall", **optional},
        ],
        "fairness": {
            "attributes": ["region"],
            "measures": ["accuracy_gap"],
            "limit_difference": 0.0001,
        },
    }
    asked = Audit(audit.name, type(audit.spec).model_validate(settings))
    declare(asked, tmp_path / "defs")
    run(asked, finished_home)
    waived = ("waive", "flights/sturdy", "--gate", "recall overall at least 0.9999")
    by = ("--by", "Ada", "--reason", "a pilot", "--until", "2099-01-01")
    assert call(*waived, *by).code == 0
    summary = run(asked, finished_home)

    state = AuditState(asked, finished_home)
    texts = where_the_outcome_stands(state, call, tmp_path / "bundle")
    said = (
        "with 1 waived gate, 1 optional gate failed, 1 fairness gap failed,"
        " cases taken as independent"
    )
    for name, text in texts.items():
        # On the page what follows and the figures stand between the two, on one card.
        between = 250 if name == "page" else 40
        assert re.search(rf"certified\W.{{0,{between}}}{said}", text, re.IGNORECASE), (name, text)
    # The last words of the run count the same: failed, open and waived gates, failed gaps.
    last = list(format_run_summary(state, summary))
    row = next(line for line in last if line.startswith("  sturdy  CERTIFIED"))
    assert row.split()[-6:] == ["2", "0", "1", "1", "0", NO_VALUE]
    assert "  All intervals take cases as independent." in last
    # Each once: the technical file lists the candidates, and judges them, in two places.
    counts = {name: text.lower().count(said) for name, text in texts.items()}
    assert counts == dict.fromkeys(texts, 1) | {"technical file": 2}
    for name in ("verify", "README", "model card"):
        for words in (
            "waived until 2099-01-01 by Ada (a pilot): recall overall at least 0.9999",
            "optional gate, FAIL: accuracy overall at least 0.9999",
            "fairness gap, FAIL: accuracy gap (difference) by region, 1 group",
        ):
            assert texts[name].lower().count(words.lower()) == 1, (name, texts[name])
    document = json.loads(state.store.read_bytes(state.require("certificate"), CERTIFICATE))
    judged = next(one for one in document["candidates"] if one["candidate"] == "sturdy")
    assert [one["waived_by"] for one in judged["qualified_by"]["waived"]] == ["Ada"]
    # Of another candidate nothing is waived.
    asked = call("require", "flights", "frail", "--allow-unsigned").out
    assert "certified, with 2 optional gates failed" in asked


def test_a_certified_candidate_that_nothing_qualifies_is_certified_and_no_more(
    audit: Audit, finished_home: Home, call: Call, tmp_path: Path
) -> None:
    # Where clusters are declared, cases are not taken as independent.
    settings = audit.spec.model_dump(mode="json", exclude_unset=True)
    settings["data"]["cluster"] = "flight_number"
    asked = Audit(audit.name, type(audit.spec).model_validate(settings))
    declare(asked, tmp_path / "defs")
    start(asked, finished_home).run(refresh=True)

    state = AuditState(asked, finished_home)
    texts = where_the_outcome_stands(state, call, tmp_path / "bundle")
    for name, text in texts.items():
        assert re.search(r"certified\b(?!, with| with)", text, re.IGNORECASE), (name, text)
        assert not re.search("waived|optional|gap failed|cases taken as", text), name


class FileClass(NamedTuple):
    patterns: tuple[str, ...]
    finds: frozenset[str]
    """The checks that find a change, by what the documentation says; empty where none does."""


CHECKS_OF_VERIFY = {"signature", "statement", "ledger", "evidence", "bundle", "cases", "figures"}


def documented_files(head: str) -> list[FileClass]:
    """Read one of the tables of docs/certificate.md: classes of files, and what finds a change."""
    text = (Path(__file__).parents[2] / "docs" / "certificate.md").read_text(encoding="utf-8")
    lines = text.partition(f"| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    found = []
    for line in lines:
        named, *_, by = line.strip("|").split("|")
        # Of this audit no gate looks at days, and nothing failed before the certificate.
        by = by.replace("evidence where a gate looks at days", "").replace("or evidence", "")
        words = frozenset(re.findall(r"\w+", by)) & CHECKS_OF_VERIFY
        found.append(FileClass(tuple(re.findall(r"`([^`]+)`", named)), words))
    return found


def class_of(path: str, classes: list[FileClass]) -> FileClass:
    """Find the class of a file: what it is called decides before where it lies."""
    fits = [
        (pattern.startswith("**"), len(pattern.replace("*", "")), one)
        for one in classes
        for pattern in one.patterns
        if fnmatchcase(path, pattern)
    ]
    assert fits, f"docs/certificate.md does not say what notices a change of {path}"
    return max(fits, key=lambda fit: fit[:2])[-1]


def flipped(path: Path) -> bytes:
    """Change one byte of a file, and return what it was."""
    content = path.read_bytes()
    spoilt = bytearray(content)
    spoilt[len(content) // 2] ^= 4
    path.write_bytes(spoilt)
    return content


@pytest.mark.slow
def test_every_class_of_file_is_found_by_what_the_documentation_says(
    audit: Audit, signed_home: Home
) -> None:
    state = AuditState(audit, signed_home)
    folder = state.store.folder(state.require(Asset.CERTIFICATE))
    shown = (Asset.CERTIFICATE, Asset.DASHBOARD, Asset.DOCUMENTS)
    current = {asset: state.require(asset).identity for asset in shown}
    root = signed_home.root / "evidence"
    # What only runs leave that went otherwise.
    context = RunContext("run", datetime.now(UTC))
    state.store.record_failure(state.address(Asset.SCORECARD), "1" * 32, ValueError(), "", context)
    (root / "flights" / "fresh_starts.json").write_text("{}")
    issued = [(root / folder / statement_name(one)).read_bytes() for one in ("frail", "sturdy")]
    trusted = TrustedKeys.read(Path(key_in(signed_home)))

    def found() -> set[str]:
        reports = [
            verify(
                content,
                str(root),
                trusted=trusted,
                now=context.now,
                recompute_again=lambda *_: (),
            )
            for content in issued
        ]
        return {problem.check for report in reports for problem in report.problems}

    assert found() == set()
    classes = documented_files("file, below the audit's folder")
    seen = set()
    for path in sorted(p for p in (root / "flights").rglob("*") if p.is_file()):
        below = path.relative_to(root / "flights").as_posix()
        asset, *_, version, name = Path(below).parts if below.count("/") > 1 else ("", "", "")
        if asset in current and name != "current.json" and version != current[asset]:
            continue  # an earlier certificate's, which is checked with that one
        one = class_of(below, classes)
        was = flipped(path)
        assert found() == one.finds, below
        path.write_bytes(was)
        seen.add(one)
    # This audit's labels are not in files of their own.
    assert {one for one in classes if one not in seen} == {
        one for one in classes if any("labels/" in pattern for pattern in one.patterns)
    }


@pytest.mark.slow
@pytest.mark.parametrize("redacted", [False, True])
def test_every_class_of_file_of_a_bundle_is_found_by_what_the_documentation_says(
    signed_home: Home, call: Call, tmp_path: Path, *, redacted: bool
) -> None:
    bundle = tmp_path / "bundle"
    how = ["--redacted"] if redacted else []
    assert call("export", "flights/sturdy", str(bundle), *how).code == 0
    trusted = TrustedKeys.read(Path(key_in(signed_home)))
    classes = documented_files("file")
    own = documented_files("file, besides, in a redacted bundle")
    classes += own if redacted else []
    seen = set()
    for path in sorted(p for p in bundle.rglob("*") if p.is_file()):
        one = class_of(path.relative_to(bundle).as_posix(), classes)
        was = flipped(path)
        checked = verify_bundle(bundle, trusted=trusted, now=datetime.now(UTC))
        path.write_bytes(was)
        found = {problem.check for problem in (*checked.report.problems, *checked.problems)}
        assert "bundle" in found <= one.finds, (path, found)
        # Each but the bundle's own files is found without the manifest too.
        assert one in own or (one.finds == {"bundle"}) == (found == {"bundle"}), path
        seen.add(one)
    assert seen == set(classes)
    assert verify_bundle(bundle, trusted=trusted, now=datetime.now(UTC)).is_verified
