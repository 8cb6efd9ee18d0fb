from ._bundle import export_bundle as export_bundle, verify_bundle as verify_bundle
from ._certificate_state import (
    EnteredWaiver as EnteredWaiver,
    revocations_in_force as revocations_in_force,
    state_of as state_of,
    waivers_in_force as waivers_in_force,
)
from ._commitment import (
    Binder as Binder,
    Shown as Shown,
    open_cases as open_cases,
    read_openings as read_openings,
)
from ._declaration import SPEC_FILE as SPEC_FILE, spec_document as spec_document
from ._entries import (
    ChainedEntry as ChainedEntry,
    EnteredAlreadyError as EnteredAlreadyError,
    EntryKind as EntryKind,
)
from ._gaps import (
    DecidedGap as DecidedGap,
    WorstGap as WorstGap,
    decide_gaps as decide_gaps,
    worst_first as worst_first,
    worst_gaps as worst_gaps,
)
from ._gate_evidence import (
    GateEvidence as GateEvidence,
    days_document as days_document,
    gate_evidence as gate_evidence,
    read_days as read_days,
    with_reference as with_reference,
)
from ._gates._behaviour import (
    asks_about_days as asks_about_days,
    asks_about_drift as asks_about_drift,
)
from ._issuing import (
    UNSIGNED as UNSIGNED,
    AuditCertificate as AuditCertificate,
    EvidenceRecord as EvidenceRecord,
    Issue as Issue,
    build_certificate as build_certificate,
    build_statement as build_statement,
    sign_statement as sign_statement,
)
from ._ledger import (
    GENESIS_HEAD as GENESIS_HEAD,
    Ledger as Ledger,
    lacks_signature as lacks_signature,
)
from ._outcomes import (
    Outcome as Outcome,
    Qualifications as Qualifications,
    Waiver as Waiver,
    decide_outcomes as decide_outcomes,
    format_outcome as format_outcome,
)
from ._phrases import (
    OF_A_CLASS as OF_A_CLASS,
    format_count as format_count,
    format_list as format_list,
    format_metric as format_metric,
    format_number as format_number,
    format_slice_states as format_slice_states,
    format_training as format_training,
)
from ._publications import (
    DOCUMENT_ENDINGS as DOCUMENT_ENDINGS,
    PAGE as PAGE,
    TECHNICAL_FILE as TECHNICAL_FILE,
    model_card_name as model_card_name,
    newest_publications as newest_publications,
)
from ._redaction import secret_in as secret_in
from ._release import (
    check_release as check_release,
    qualified_outcome as qualified_outcome,
    require_certificate as require_certificate,
)
from ._signatures import (
    PublicKey as PublicKey,
    SigningKey as SigningKey,
    create_key as create_key,
    load_public_key as load_public_key,
    load_signing_key as load_signing_key,
    parse_envelope as parse_envelope,
    signing_key_from_environment as signing_key_from_environment,
)
from ._statement import (
    Code as Code,
    EvaluationSetSummary as EvaluationSetSummary,
    LedgerHead as LedgerHead,
    Statement as Statement,
    parse_statement as parse_statement,
)
from ._stored_evidence import (
    gather_evidence as gather_evidence,
    share_evidence as share_evidence,
)
from ._trust import (
    TRUSTED_KEYS_VARIABLE as TRUSTED_KEYS_VARIABLE,
    TrustedKey as TrustedKey,
    TrustedKeys as TrustedKeys,
    trusted_by_environment as trusted_by_environment,
)
from ._verdicts import Verdict as Verdict, judge as judge, judge_scopes as judge_scopes
from ._verification import verify as verify, verify_all as verify_all
