"""The scorecard's findings in their store, in the UI and in MLflow; earlier certificates."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from mlflow.tracking import MlflowClient

from evaluator.certification import (
    Ledger,
    export_bundle,
    secret_in,
    verify,
    verify_all,
    verify_bundle,
)
from evaluator.evidence import Record, RunContext, identity_of
from evaluator.orchestration import AuditState, Home, page_of, statement_name
from evaluator.orchestration._asset_specs import markdown_rows
from evaluator.orchestration._certificates import CERTIFICATE, expected_certificate
from evaluator.orchestration._documents import reports_are_current
from evaluator.orchestration._facts import MlflowFacts, ScorecardFacts
from evaluator.orchestration._identities import CODE_VERSIONS, SliceInputs
from evaluator.orchestration._mlflow_runs import as_json
from evaluator.orchestration._scorecard_run import (
    earlier_certifications,
    expected_scorecard,
    find_previous_certification,
    read_judged_scorecard,
)
from evaluator.scorecard import DAYS, Asset, from_stored
from evaluator.spec import Audit, AuditSpec
from evaluator_tests.evaluation.shop import spec_of
from evaluator_tests.orchestration.conftest import open_home, run
from evaluator_tests.orchestration.test_orchestration_labels import (
    DAYS as SHOP_DAYS,
    land_cases,
    shop,
    world,
)


def page_after_run(audit: Audit, home: Home) -> str:
    """The page as it is after a run."""
    run(audit, home)
    return page_of(AuditState(audit, home)).content.decode()


def state_of(spec: AuditSpec, home: Path) -> AuditState:
    return AuditState(Audit("shop", spec), Home(home, str(home / "evidence")))


def test_an_infinite_limit_is_a_reason_in_json_and_nothing_else_is_lost() -> None:
    gaps = pd.DataFrame(
        {
            "group": ["a", "b", "c"],
            "high": [np.inf, 2.0, np.inf],
            "needed_cases": pd.array([pd.NA, 7, 8], dtype="Int64"),
            "reason": [None, None, "too few"],
        }
    )
    table = json.loads(json.dumps(as_json(gaps), allow_nan=False))
    assert table["high"] == [None, 2.0, None]
    assert table["reason"] == ["high is infinite", None, "too few"]
    assert table["needed_cases"] == [None, 7, 8]


def test_no_text_of_data_or_of_a_candidate_is_markup_in_the_ui() -> None:
    hostile = "no\n\n![seen](https://example.org/x) <img src=x> | [go](javascript:x) `code` **b**"
    read = MarkdownIt("commonmark").enable("table").parse(markdown_rows(["error"], [[hostile]]))
    shown = [child for token in read if token.type == "inline" for child in token.children or ()]
    assert {child.type for child in shown} <= {"text", "text_special"}
    assert "".join(child.content for child in shown) == f"error{' '.join(hostile.split())}"


class _Chain:
    """Stores evaluation sets, scorecards and certificates, as runs do."""

    def __init__(self, state: AuditState) -> None:
        self.state = state
        self._run_context = RunContext("run", datetime(2026, 1, 1, tzinfo=UTC))

    def store(self, asset: str, identity: str, *upstream: Record, **facts: Any) -> Record:
        return self.state.store.write(
            self.state.address(asset),
            identity,
            {},
            content_version=identity,
            upstream=[one.as_upstream() for one in upstream],
            facts=facts,
            code_version="1",
            run_context=self._run_context,
        )

    def certify(self, name: str) -> str | None:
        """Certify on the evaluation set of this name; return the one it was compared with."""
        cases = self.store("evaluation_set", name)
        earlier = find_previous_certification(self.state, cases)
        before = earlier.certificate if earlier else None
        own = f"{name} after {before}"
        facts = ScorecardFacts(
            candidates=[],
            slices=0,
            current=0,
            models={},
            weak_searches={},
            previous_certificate=before,
            remarks=[],
        )
        scorecard = self.store("scorecard", own, cases, **facts.to_record())
        self.store("certificate", f"certificate of {own}", scorecard)
        return earlier and earlier.evaluation_set.content_version


@pytest.mark.parametrize("asked", [{"weak_slices": {"features": ["device"]}}, {}])
def test_the_earlier_certificate_is_the_last_one_about_another_evaluation_set(
    tmp_path: Path, asked: dict[str, Any]
) -> None:
    chain = _Chain(state_of(spec_of(**asked), tmp_path))
    assert [chain.certify(name) for name in ("a", "a", "b", "b", "c", "c")] == [
        None, None, "a", "a", "b", "b"
    ]  # fmt: skip
    # Back to the first set: the last certificate about another one is the newest.
    assert [chain.certify("a"), chain.certify("a")] == ["c", "c"]


def test_earlier_certifications_go_back_as_far_as_there_is_evidence(tmp_path: Path) -> None:
    chain = _Chain(state_of(spec_of(), tmp_path))
    for name in "abcd":
        chain.certify(name)

    def sets() -> list[str]:
        current = chain.state.require("scorecard")
        found = earlier_certifications(chain.state, current)
        return [one.evaluation_set.content_version for one in found]

    assert sets() == ["c", "b", "a"]
    store = chain.state.store
    _, gone, _ = earlier_certifications(chain.state, chain.state.require("scorecard"))
    store.remove([f"{store.folder(gone.scorecard)}/record.json"])
    assert sets() == ["c"]


@pytest.mark.slow
def test_the_page_shows_what_was_measured_on_earlier_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = open_home(tmp_path / "home", monkeypatch)
    land_cases(made, with_labels=True)
    last = made.landing("shop") / f"cases-{SHOP_DAYS[2]}.csv"
    later = last.read_bytes()
    last.unlink()
    audit = shop(late=False)

    assert '<section id="history"' not in page_after_run(audit, made)
    last.write_bytes(later)
    shown = page_after_run(audit, made)
    assert "accuracy of said: " in shown
    assert "on 6 January 2024" in shown
    assert "on 1 February 2024" in shown
    # Looked at again it is the same page.
    assert page_after_run(audit, made) == shown


@pytest.mark.slow
def test_the_page_lists_cases_that_a_candidate_newly_gets_wrong_unless_ids_are_withheld(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = open_home(tmp_path / "home", monkeypatch)
    land_cases(made, with_labels=True)
    cases = world()
    # The baseline is right about each case, and the candidate wrong about three.
    right = cases["paid"] * 0.8 + 0.1
    said = right.where(~cases.index.isin([0, 70, 150]), 1 - right)
    for name, scores in (("right", right), ("said", said)):
        pd.DataFrame({"id": cases["case"], "score": scores}).to_csv(
            made.root / f"{name}.csv", index=False
        )
    recorded = {"kind": "recorded", "id": "id", "score": "score"}
    candidates = [
        {"name": "right", "path": "right.csv", "baseline": True, **recorded},
        {"name": "said", "path": "said.csv", **recorded},
    ]

    def page(**settings: Any) -> str:
        return page_after_run(shop(late=False, candidates=candidates, **settings), made)

    shown = page()
    assert "said: 3 cases that it newly gets wrong" in shown
    assert all(f"<code>{case}</code>" in shown for case in ("c0", "c70", "c150"))
    withheld = page(certificate={"redact": ["case"]})
    assert '<section id="flips"' in withheld
    assert "<code>c70</code>" not in withheld


@pytest.mark.slow
def test_the_page_leads_to_certificates_documents_and_the_runs_of_dagster_and_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = open_home(tmp_path / "home", monkeypatch)
    land_cases(made, with_labels=True)
    links = {"mlflow": "https://mlflow.example.org/team/"}
    audit = shop(late=False, links=links)
    run(audit, made)
    state = AuditState(audit, made)
    page = page_of(state)

    addresses = re.findall(r'href="([^"#][^"]*)"', page.content.decode())
    beside = [address for address in addresses if address.startswith("..")]
    assert [Path(address).name for address in beside] == [
        "technical_file.html",
        "said_model_card.html",
        "said.dsse.json",
    ]
    assert all((Path(page.location).parent / address).is_file() for address in beside)
    servers = [address for address in addresses if "//" in address]
    dagster = "http://127.0.0.1:3000"
    assert f"{dagster}/assets/shop/said_slice_metrics" in servers
    # Runs of MLflow are known where they were logged before the page was made.
    record = state.current(Asset.MLFLOW_RUNS)
    assert record is not None
    logged = MlflowFacts.of(record)
    mlflow = f"https://mlflow.example.org/team/#/experiments/{logged.experiment}/runs/"
    assert f"{mlflow}{logged.runs['said']}" in servers

    # Where links lead is nothing that certificates are about.
    certificate = state.current(Asset.CERTIFICATE)
    moved = shop(late=False, links={"dagster": None})
    assert dagster not in page_after_run(moved, made)
    assert AuditState(moved, made).current(Asset.CERTIFICATE) == certificate


@pytest.mark.parametrize("address", ["javascript:alert(1)", "https://a b", "example.org"])
def test_a_link_is_the_address_of_a_server(address: str) -> None:
    with pytest.raises(ValueError, match=r"links\.dagster"):
        shop(late=False, links={"dagster": address})


@pytest.mark.slow
def test_examples_of_the_worst_slices_are_shown_where_the_audit_allows_it_and_never_redacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = open_home(tmp_path / "home", monkeypatch)
    land_cases(made, with_labels=True)
    cases = world()
    right = cases["paid"] * 0.8 + 0.1
    said = right.where(cases["place"] == "south", 1 - right)
    pd.DataFrame({"id": cases["case"], "score": said}).to_csv(made.root / "said.csv", index=False)

    def shown(**settings: Any) -> tuple[Audit, str]:
        audit = shop(late=False, **settings)
        return audit, page_after_run(audit, made)

    _, without = shown()
    assert "Examples" not in without
    audit, page = shown(examples={"columns": ["amount"]})
    (inside,) = re.findall(r'<section id="examples".*?</section>', page, re.DOTALL)
    assert inside.count("<td>large error</td>") == 3
    assert inside.count("<td>random</td>") == 2
    assert "said, north" in inside
    state = AuditState(audit, made)
    content = state.store.read_bytes(state.require("certificate"), statement_name("said"))
    for secret, holds in ((None, True), (secret_in(made.root), False)):
        bundle = export_bundle(
            content,
            state.store.url,
            tmp_path / f"bundle {holds}",
            trusted=None,
            key=None,
            secret=secret,
            redact=(),
            now=datetime.now(UTC),
        )
        assert (bundle / "report.html").exists() == holds
        assert verify_bundle(bundle, trusted=None, now=datetime.now(UTC)).problems == ()


def asking(audit: Audit, **keys: Mapping[str, Any]) -> Audit:
    settings = audit.spec.model_dump(mode="json", exclude_unset=True)
    return Audit(audit.name, type(audit.spec).model_validate({**settings, **keys}))


def test_what_got_worse_is_told_of_the_cases_that_are_new_since_the_last_certificate(
    audit: Audit, home: Home, tmp_path: Path
) -> None:
    searching = asking(
        audit, weak_slices={"features": ["origin", "distance"], "minimum_support": 30}
    )
    landing = home.landing("flights")
    last = max(landing.glob("*.csv"))
    last.rename(tmp_path / last.name)
    first = run(searching, home)
    assert first.faults == []
    assert first.judged is not None
    assert first.judged.scorecard.worsened.empty
    assert set(first.judged.scorecard.weak_searches) == {"sturdy", "frail"}
    before = AuditState(searching, home).require("evaluation_set").facts["cases"]
    (tmp_path / last.name).rename(last)
    second = run(searching, home)
    assert second.faults == []
    state = AuditState(searching, home)
    after = state.require("evaluation_set").facts["cases"]
    worsened = read_judged_scorecard(state).scorecard.worsened
    whole = worsened[worsened["slice"] == "all cases"].set_index("candidate")
    assert whole["n_before"].to_dict() == {"sturdy": before, "frail": before}
    assert whole["n_after"].to_dict() == {"sturdy": after - before, "frail": after - before}
    assert {"origin = JFK", "all cases"} <= set(worsened["slice"])
    # Looked at once more, it is the same scorecard, compared with the same certificate.
    scorecard = state.require("scorecard")
    assert expected_scorecard(state).target[1] == scorecard.identity
    assert run(searching, home).computed == 0
    assert state.require("scorecard").identity == scorecard.identity


def depending(audit: Audit, **declared: str) -> Audit:
    """Declare what an audit's cases are clustered and weighted by."""
    data = audit.spec.data.model_dump(mode="json", exclude_unset=True)
    return asking(audit, data={**data, **declared})


def test_clusters_and_weights_that_are_declared_later_measure_the_same_predictions_anew(
    audit: Audit, finished_home: Home
) -> None:
    before = AuditState(audit, finished_home)
    plain = read_judged_scorecard(before).scorecard.measurements
    predicted = before.current("sturdy_predictions", "pacific|network")
    declared = depending(audit, cluster="scheduled_hour", weight="distance")

    summary = run(declared, finished_home)

    assert (summary.faults, summary.computed) == ([], 8)
    state = AuditState(declared, finished_home)
    assert state.current("sturdy_predictions", "pacific|network") == predicted
    measurements = read_judged_scorecard(state).scorecard.measurements
    assert not measurements["value"].equals(plain["value"])
    assert not measurements["low"].equals(plain["low"])
    # Slice by slice as the scorecard has them, which measures all at once.
    for one in state.spec.slices():
        record = state.current("sturdy_slice_metrics", one.key)
        assert record is not None
        stored = from_stored(state.store.read_table(record, "metrics.parquet"))
        is_here = (
            (measurements["candidate"] == "sturdy")
            & (measurements["geography"] == one.geography)
            & (measurements["segment"] == one.segment)
        )
        own = measurements[is_here].drop(columns="candidate").reset_index(drop=True)
        pd.testing.assert_frame_equal(stored, own, check_exact=True)
    certificate = state.require("certificate")
    issued = json.loads(state.store.read_bytes(certificate, CERTIFICATE))
    assert issued["evaluation_set"]["cluster"] == "scheduled_hour"
    assert [words.split(":")[0] for words in issued["assumptions"]] == [
        "cases are clustered by scheduled_hour",
        "cases are weighted by distance",
    ]
    signed = state.store.read_bytes(certificate, statement_name("sturdy"))
    report = verify(signed, state.store.url, now=datetime.now(UTC))
    assert report.problems == ()
    # The same declaration is the same evidence.
    assert run(declared, finished_home).computed == 0


def test_candidates_in_another_order_are_certified_by_the_same_scorecard(
    whole_audit: Audit, finished_whole_home: Home
) -> None:
    scorecard = AuditState(whole_audit, finished_whole_home).require("scorecard")
    candidates = whole_audit.spec.candidates[::-1]
    changes = {"candidates": candidates, "allow_failed_slices": 1}
    other = Audit(whole_audit.name, whole_audit.spec.model_copy(update=changes))

    assert run(other, finished_whole_home).faults == []

    state = AuditState(other, finished_whole_home)
    assert state.require("scorecard") == scorecard
    content = state.store.read_bytes(state.require("certificate"), statement_name("frail"))
    reports = verify_all(content, state.store.url, now=datetime.now(UTC))
    assert [report.problems for report in reports] == [(), ()]


def test_cases_that_cannot_be_weighed_are_told_and_nothing_is_evaluated(
    audit: Audit, finished_home: Home
) -> None:
    frozen = AuditState(audit, finished_home).require("evaluation_set")
    early = depending(audit, weight="arrival_delay")

    summary = run(early, finished_home)

    (fault,) = [fault for fault in summary.faults if "no 'arrival_delay'" in fault]
    assert "labelled rows have no 'arrival_delay' that is finite and not negative" in fault
    assert "minimum: 0" in fault
    assert AuditState(early, finished_home).require("evaluation_set") == frozen


def test_identities_move_with_what_is_declared_and_with_nothing_else(tmp_path: Path) -> None:
    def identities(**declared: str) -> dict[str, str]:
        found = state_of(spec_of(data=declared), tmp_path).identities
        candidate = spec_of().candidates[0]
        raw = _Chain(state_of(spec_of(), tmp_path)).store("raw_data", "raw")
        return {
            "intake": found.intake(raw),
            "evaluation_set": found.evaluation_set({"2026-01-01": "v"}, {}, {}),
            "predictions": found.predictions(candidate, SliceInputs("set", "model"), "a|b"),
            "slice_metrics": found.slice_metrics("predictions"),
            "scorecard": found.scorecard(
                "set", [], previous=None, days=None, labels=None, training=None
            ),
        }

    plain = identities()
    told = [identities(**one) for one in ({"cluster": "day"}, {"weight": "stands_for"})]
    for one in told:
        assert {name for name in plain if one[name] != plain[name]} == {
            "evaluation_set",
            "slice_metrics",
            "scorecard",
        }
    assert told[0] != told[1]
    # As before either could be declared.
    assert plain["slice_metrics"] == identity_of(
        "slice_metrics",
        CODE_VERSIONS["slice_metrics"],
        {"predictions": "predictions", "metrics": ["roc_auc", "accuracy"], "confidence": 0.95},
    )


def test_the_findings_stand_in_the_ui_and_in_mlflow(
    whole_audit: Audit, finished_whole_home: Home, tmp_path: Path
) -> None:
    state = AuditState(whole_audit, finished_whole_home)
    findings = read_judged_scorecard(state)
    # Both candidates are the same model.
    found = findings.scorecard
    assert found.comparisons["difference"].max() == found.comparisons["difference"].min() == 0
    assert len(found.fairness)
    client = MlflowClient(tracking_uri=finished_whole_home.tracking_uri)
    runs = state.require("mlflow_runs").facts["runs"]
    for name, frame in (
        ("comparisons.json", found.comparisons),
        ("fairness.json", found.fairness),
        ("weak_slices.json", found.weak_slices),
    ):
        path = client.download_artifacts(runs["frail"], name, str(tmp_path))
        logged = json.loads(Path(path).read_text(), parse_constant=pytest.fail)
        assert len(logged["candidate"]) == (frame["candidate"] == "frail").sum() > 0
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["flights", "scorecard"]))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert "| frail | roc_auc | 0.0000 |" in str(metadata["comparison"].value)
    assert "| frail | equal_opportunity | difference | region |" in str(metadata["fairness"].value)
    assert "confirmed of" in str(metadata["weak slices"].value)


def test_a_limit_of_fairness_measures_nothing_anew_and_is_told_in_mlflow(
    whole_audit: Audit, finished_whole_home: Home
) -> None:
    fairness = whole_audit.spec.model_dump(mode="json", exclude_unset=True)["fairness"]
    limited = asking(whole_audit, fairness={**fairness, "limit_difference": 0.1})
    plain, other = (AuditState(one, finished_whole_home) for one in (whole_audit, limited))
    scorecard = plain.require("scorecard")
    assert expected_scorecard(other).target == expected_scorecard(plain).target
    runs = [
        state.identities.mlflow_runs(scorecard, finished_whole_home) for state in (plain, other)
    ]
    assert runs[0] != runs[1]
    gaps = [read_judged_scorecard(state).fairness_gaps for state in (plain, other)]
    assert {gap.verdict for gap in gaps[0]} == {None}
    assert all((gap.verdict is None) == gap.is_ratio for gap in gaps[1])


def test_gates_on_days_are_judged_on_facts_that_lie_beside_the_scorecard(
    audit: Audit, finished_home: Home
) -> None:
    before = AuditState(audit, finished_home).require("scorecard")
    assert DAYS not in before.files
    gates = [
        {"kind": "data_quality", "refused_share_at_most": 0.5, "refused_days_at_most": 0},
        {"kind": "drift", "drift_below": 0.2, "columns": ["distance"]},
    ]
    settings = audit.spec.model_dump(mode="json", exclude_unset=True)
    settings["data"]["drift"] = {"reference_days": 1}
    asked = Audit(audit.name, type(audit.spec).model_validate({**settings, "gates": gates}))
    summary = run(asked, finished_home)
    assert summary.faults == []
    judged = summary.judged
    assert judged is not None
    assert [day.day for day in judged.scorecard.days] == [
        "2013-11-01", "2013-11-02", "2013-11-03"
    ]  # fmt: skip
    assert [day.is_reference for day in judged.scorecard.days] == [True, False, False]
    assert judged.scorecard.days[0].drift is None
    measured = [
        (day.drift or {})["distance"]["stability_index"] for day in judged.scorecard.days[1:]
    ]
    verdicts = {verdict.kind: verdict for verdict in judged.verdicts}
    assert verdicts["data_quality"].verdict == "PASS"
    assert verdicts["data_quality"].places == 2
    assert verdicts["drift"].value == max(measured)
    state = AuditState(asked, finished_home)
    reports = {u.partition for u in judged.record.upstream if u.asset == "data_quality_report"}
    assert reports == {"2013-11-01", "2013-11-02", "2013-11-03"}
    # The same once more, from the stored evidence alone.
    certificate = state.require("certificate")
    content = state.store.read_bytes(certificate, statement_name("sturdy"))
    report = verify(content, state.store.url, now=datetime.now(UTC))
    assert report.problems == ()
    assert report.cautions[0].startswith("UNSIGNED")

    # A day that is refused makes another scorecard.
    broken = finished_home.landing("flights") / "flights-2013-11-04.csv"
    broken.write_text("nothing,of,the,kind\n1,2,3,4\n")
    run(asked, finished_home)
    second = read_judged_scorecard(AuditState(asked, finished_home))
    assert second.record.identity != judged.record.identity
    after = {verdict.kind: verdict.verdict for verdict in second.verdicts}
    assert after["data_quality"] == "FAIL"
    assert second.scorecard.days[-1].refused is not None
    # Where no gate looks at days, it is the same scorecard as ever.
    plain, other = (AuditState(one, finished_home) for one in (audit, asked))
    assert plain.require("evaluation_set") == other.require("evaluation_set")
    assert expected_scorecard(plain).days is None


def test_a_waiver_shows_in_the_next_certificate_until_it_ends(
    audit: Audit, finished_home: Home
) -> None:
    asked = asking_for(audit, {"metric": "roc_auc", "at_least": 0.999, "decide_on": "value"})
    first = run(asked, finished_home).judged
    assert first is not None
    (verdict, _) = first.verdicts
    assert [outcome.outcome for outcome in first.outcomes] == ["not certified"] * 2
    state = AuditState(asked, finished_home)
    certificate = state.require("certificate")
    now = datetime.now(UTC)
    ends = now + timedelta(days=2)
    Ledger(state.store.url, "flights").append(
        "waiver",
        subject=certificate.files[statement_name("sturdy")].sha256,
        author="Ada",
        reason="a pilot",
        body={"gate": verdict.gate, "until": ends},
        now=now,
        key=None,
    )
    assert not reports_are_current(state, now)
    second = run(asked, finished_home)
    assert second.computed == 0
    assert second.judged is not None
    assert second.judged.verdicts == first.verdicts
    sturdy, frail = second.judged.outcomes
    assert (sturdy.outcome, sturdy.qualified_by.after_waivers) == ("not certified", "undecided")
    assert [waiver.waived_by for waiver in sturdy.qualified_by.waived] == ["Ada"]
    # Both candidates are the same model, and each is waived for itself.
    assert frail.qualified_by.waived == ()
    shown = state.require("certificate")
    assert shown.identity != certificate.identity
    content = state.store.read_bytes(shown, statement_name("sturdy"))
    report = verify(content, state.store.url, now=datetime.now(UTC))
    assert report.problems == ()
    assert report.statement is not None
    assert "with 1 waived gate" in report.statement.predicate.candidate.in_words
    assert reports_are_current(state, datetime.now(UTC))
    assert not reports_are_current(state, ends)
    after = expected_certificate(state, second.judged.record, ends)
    assert after.record == certificate


def asking_for(audit: Audit, *gates: Mapping[str, Any]) -> Audit:
    settings = audit.spec.model_dump(mode="json", exclude_unset=True)
    return Audit(audit.name, type(audit.spec).model_validate({**settings, "gates": list(gates)}))
