"""A single file from raw bytes to verdicts, by the steps of an audit, and nothing stays of it.

Nothing of Dagster is imported: its runs would be of a state that is gone when they end.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evaluator.errors import EvaluatorError, IntakeError, UsageError, fault_of
from evaluator.evidence import RunContext
from evaluator.intake import TYPED_ROWS, Profile
from evaluator.metrics import slice_metrics
from evaluator.orchestration._candidate_run import CandidateEvaluation
from evaluator.orchestration._checked_file import CheckedFile
from evaluator.orchestration._days import DayIntake, store_intake, store_raw
from evaluator.orchestration._evaluation_set import WITHOUT_LABEL, store_evaluation_set
from evaluator.orchestration._home import Home
from evaluator.orchestration._scorecard_run import (
    NO_DECISIONS,
    JudgedScorecard,
    read_judged_scorecard,
    store_scorecard,
)
from evaluator.orchestration._single_cases import find_flips
from evaluator.orchestration._state import AuditState
from evaluator.reporting import Flips
from evaluator.scorecard import ALL, SLICE_LEVEL, Asset, Slice, format_scope, text
from evaluator.spec import SNAPSHOT, CandidateBase, RecordedCandidate


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What was found of a file.

    Attributes
    ----------
    file
        The file and its audit.
    digest
        The SHA-256 of its bytes.
    profile
        How its rows fared, and what its columns hold.
    rows
        Its typed rows.
    judged
        The scorecard and its verdicts; None without a label.
    without_label
        Valid rows by slice, as `AuditContent` has them.
    selection_rates
        Without a label, the share of positive decisions, or of each `class`: `place`, and the
        columns of `evaluator.metrics.slice_metrics`.
    flips
        Of each output that is compared with the baseline.
    """

    file: CheckedFile
    digest: str
    profile: Profile
    rows: pa.Table
    judged: JudgedScorecard | None
    without_label: pd.DataFrame
    selection_rates: pd.DataFrame
    flips: Sequence[Flips] = ()


def check_file(file: CheckedFile, run_context: RunContext) -> Checked:
    """Check a file by the steps of an audit, in a state that is removed at the end.

    Parameters
    ----------
    file
        What `audit_of_file` made of it.
    run_context
        The name of the run, and its time.

    Raises
    ------
    IntakeError
        Where the file is refused: the most frequent reasons are told.
    UsageError
        Where scores are no probabilities, or what was given is no output otherwise.
    """
    with _state_for_a_while(file) as state:
        raw = store_raw(state, state.data, state.source(state.data), SNAPSHOT, run_context)
        profile, rows = _take_in(state, file, run_context)
        judged, without_label, rates = None, pd.DataFrame(), pd.DataFrame()
        flips: list[Flips] = []
        if state.spec.candidates:
            write_recordings(file, rows, state.home.root)
            evaluation_set = store_evaluation_set(state, run_context)
            without_label = state.store.read_table(evaluation_set, WITHOUT_LABEL).to_pandas()
            _evaluate(state, file, run_context)
            flips = list(find_flips(state, store_scorecard(state, run_context)))
            judged = read_judged_scorecard(state, run_context.now, NO_DECISIONS)
        else:
            rates = _selection_rates(file, rows)
    return Checked(
        file=file,
        digest=raw.content_version,
        profile=profile,
        rows=rows,
        judged=judged,
        without_label=without_label,
        selection_rates=rates,
        flips=flips,
    )


@contextmanager
def _state_for_a_while(file: CheckedFile) -> Iterator[AuditState]:
    with TemporaryDirectory(prefix="evaluator-check-") as folder:
        root = Path(folder)
        home = Home(root, str(root / "evidence"))
        landed = home.landing(file.audit.name) / file.audit.spec.data.file_name(SNAPSHOT)
        landed.parent.mkdir(parents=True)
        landed.symlink_to(file.path.absolute())
        yield AuditState(file.audit, home)


def _take_in(
    state: AuditState, file: CheckedFile, run_context: RunContext
) -> tuple[Profile, pa.Table]:
    """Take the file in; a refused one has no rows."""
    raw = state.require(Asset.RAW_DATA, SNAPSHOT)
    with TemporaryDirectory() as folder:
        day_intake = DayIntake(state, state.data, Path(folder))
        result = day_intake.ingest(raw, Path(folder))
        checks = day_intake.checks(SNAPSHOT, result)
        outputs = store_intake(
            state, state.data, raw, result, checks=checks, run_context=run_context
        )
    if result.broken is not None:
        reasons = "; ".join(f"{one.count:,} x {one.says}" for one in result.profile.findings[:3])
        raise IntakeError(
            f"{result.broken}{reasons and f': {reasons}'}",
            culprit=str(file.path),
            fix="mend or leave out these rows; `evaluator infer` names their lines",
        )
    return result.profile, state.store.read_table(outputs[Asset.VALIDATED_DATA], TYPED_ROWS)


def write_recordings(file: CheckedFile, rows: pa.Table, root: Path) -> None:
    """Write down, below a home, what each candidate gave for the rows that have a label."""
    spec = file.audit.spec
    labelled = rows.filter(pc.is_valid(rows[spec.label_column]))
    for candidate in spec.candidates:
        if not isinstance(candidate, RecordedCandidate):
            raise TypeError(f"{candidate.name} is no recording")
        outputs = spec.asks.recorded(candidate)
        for name in outputs.numbers if spec.asks.gives_scores(candidate) else ():
            _check_scores(file, name, labelled[name])
        columns = (*candidate.id_columns, *outputs.numbers, outputs.decision)
        path = root / candidate.path
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(labelled.select([name for name in columns if name is not None]), path)


def _check_scores(file: CheckedFile, name: str, scores: pa.ChunkedArray) -> None:
    values = scores.cast(pa.float64())
    is_probability = pc.and_(pc.greater_equal(values, 0), pc.less_equal(values, 1))
    wrong = values.filter(pc.invert(is_probability)).drop_null()
    if len(wrong):
        raise UsageError(
            f"{len(wrong):,} of {len(values):,} values of {name!r} are no probabilities, such as"
            f" {wrong[0].as_py():g}",
            culprit=str(file.path),
            fix="name a column of probabilities from 0 to 1, or one of decisions by --prediction",
        )


def _evaluate(state: AuditState, file: CheckedFile, run_context: RunContext) -> None:
    for candidate in state.spec.candidates:
        with CandidateEvaluation(state, candidate, run_context) as evaluation:
            for _, error in evaluation.evaluate(state.spec.slices()):
                if isinstance(error, EvaluatorError) and fault_of(error) == "input":
                    raise UsageError(error.what, culprit=str(file.path), fix=error.fix) from error
                if error is not None:
                    raise error


def _selection_rates(file: CheckedFile, rows: pa.Table) -> pd.DataFrame:
    """Measure the share of positive decisions, or of each class."""
    asked = file.asked
    if asked.prediction is not None and file.decisions:
        column = rows[asked.prediction]
        return pd.concat(
            [
                _shares(
                    file, rows, pc.equal(column, pa.scalar(value).cast(_plain_type(column)))
                ).assign(**{"class": name} if name else {})
                for name, value in file.decisions.items()
            ],
            ignore_index=True,
        )
    if asked.score is not None:
        _check_scores(file, asked.score, rows[asked.score])
        threshold = CandidateBase.model_fields["threshold"].default
        return _shares(
            file, rows, pc.greater_equal(rows[asked.score].cast(pa.float64()), threshold)
        )
    return pd.DataFrame()


def _shares(file: CheckedFile, rows: pa.Table, decided: pa.ChunkedArray) -> pd.DataFrame:
    """Measure the share of rows that are decided so, of all and by what divides them."""
    spec = file.audit.spec
    decided, rows = decided.drop_null(), rows.filter(pc.is_valid(decided))
    divided = spec.slice_columns
    frame = pd.DataFrame({"decision": decided.cast(pa.int8()).to_numpy()})
    for name in Slice._fields:
        frame[name] = rows[divided[name]].cast(pa.string()).to_pandas() if name in divided else ALL
    measured = slice_metrics(
        frame,
        # No truth is known, and none is looked at.
        label="decision",
        prediction="decision",
        metrics=["selection_rate"],
        slices=list(Slice._fields),
        levels=["overall", *divided, *([SLICE_LEVEL] if len(divided) > 1 else [])],
        confidence=spec.confidence,
    )
    places = [
        format_scope(*(text(getattr(row, name, None)) for name in Slice._fields))
        for row in measured.itertuples(index=False)
    ]
    return measured.assign(place=places)


def _plain_type(column: pa.ChunkedArray) -> pa.DataType:
    return column.type.value_type if pa.types.is_dictionary(column.type) else column.type
