from ._certificates import (
    demote as demote,
    statement_name as statement_name,
)
from ._check import Checked as Checked, check_file as check_file
from ._check_report import (
    check_exit_code as check_exit_code,
    check_to_json as check_to_json,
    format_check as format_check,
    render_check as render_check,
)
from ._checked_file import (
    CheckedFile as CheckedFile,
    CheckRequest as CheckRequest,
    audit_of_file as audit_of_file,
)
from ._component import (
    AuditComponent as AuditComponent,
    audit_definitions as audit_definitions,
    project_definitions as project_definitions,
)
from ._days import (
    REPORT as REPORT,
    known_day as known_day,
    replay_quarantine as replay_quarantine,
    write_quarantine as write_quarantine,
)
from ._doctor import (
    Finding as Finding,
    examine as examine,
    format_examination as format_examination,
    why_not_listen as why_not_listen,
)
from ._executors._fork_server import start_fork_server as start_fork_server
from ._findings import (
    StoredComparison as StoredComparison,
    StoredFindings as StoredFindings,
    StoredPage as StoredPage,
    comparison_to_json as comparison_to_json,
    findings_to_json as findings_to_json,
    format_comparison as format_comparison,
    format_findings as format_findings,
    page_of as page_of,
    run_to_json as run_to_json,
    stored_comparison as stored_comparison,
    stored_findings as stored_findings,
    to_json as to_json,
)
from ._found_recordings import name_from as name_from
from ._home import Home as Home
from ._lineage import Question as Question, ask_lineage as ask_lineage
from ._run_summary import (
    Choice as Choice,
    RunSummary as RunSummary,
    exit_code as exit_code,
    find_prunable as find_prunable,
    format_outcomes as format_outcomes,
    format_pruning_plan as format_pruning_plan,
    format_run_summary as format_run_summary,
    pruning_plan_in as pruning_plan_in,
)
from ._runner import (
    Advance as Advance,
    AuditRun as AuditRun,
    Display as Display,
)
from ._scaffold import (
    FirstAudit as FirstAudit,
    check_new_project as check_new_project,
    keep_check as keep_check,
    make_project as make_project,
    write_first_audit as write_first_audit,
)
from ._services import serve as serve
from ._state import AuditState as AuditState
from ._status import (
    AuditStatus as AuditStatus,
    format_statuses as format_statuses,
    list_audits as list_audits,
    read_statuses as read_statuses,
    statuses_to_json as statuses_to_json,
)
from ._streams import Stream as Stream, streams_of as streams_of
