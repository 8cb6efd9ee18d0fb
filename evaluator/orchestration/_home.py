"""Where the platform keeps its state: everything under one folder.

Workers read it too, so nothing of Dagster is imported here.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from evaluator.evidence import EvidenceStore

HOME_VARIABLE = "EVALUATOR_HOME"
EVIDENCE_VARIABLE = "EVALUATOR_EVIDENCE"
DEFAULT_HOME = ".evaluator"
# The instance that the terminal and the UI share.
_INSTANCE_FILE = """\
# Nothing leaves the machine, and no sign-up dialog covers the UI's first page.
telemetry:
  enabled: false
nux:
  enabled: false
# Dagster's own log of events, with fewer waits for the disk.
event_log_storage:
  module: evaluator.orchestration.event_log
  class: EventLog
# As many runs as there are cores; of those that need one endpoint or the MLflow server, one. A
# pool's own limit can be set in the UI, under Deployment, Concurrency.
concurrency:
  runs:
    max_concurrent_runs: {cores}
  pools:
    granularity: run
    default_limit: 1
run_monitoring:
  enabled: true
  start_timeout_seconds: 600
  max_runtime_seconds: 86400
# A run whose process was killed is tried once more; a step that failed is not, since its
# asset says itself what is worth another try.
run_retries:
  enabled: true
  max_retries: 1
  retry_on_asset_or_op_failure: false
retention:
  sensor:
    purge_after_days:
      skipped: 7
      success: 30
      failure: -1
"""
_EVENTS_IN_A_BATCH = 500
_WORKSPACE_FILE = """\
load_from:
  - python_module:
      module_name: evaluator.definitions
      location_name: evaluator
"""


@dataclass(frozen=True)
class Home:
    """The platform's folders and addresses.

    Parameters
    ----------
    root
        The absolute path of `EVALUATOR_HOME`.
    evidence_url
        Where the versioned store is: a folder, or any fsspec URL.
    """

    root: Path
    evidence_url: str

    @classmethod
    def from_environment(cls) -> "Home":
        """Read the environment.

        Returns
        -------
        Home
            At `EVALUATOR_HOME`, by default ``.evaluator`` in the working directory, with evidence
            at `EVALUATOR_EVIDENCE`, by default ``evidence`` below it.
        """
        root = Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME).absolute()
        return cls(root, os.environ.get(EVIDENCE_VARIABLE) or str(root / "evidence"))

    @property
    def dagster(self) -> Path:
        """Dagster's own folder: its instance file, runs and events."""
        return self.root / "dagster"

    @property
    def workspace(self) -> Path:
        """The file that tells Dagster's UI which code to load."""
        return self.dagster / "workspace.yaml"

    @property
    def tracking_uri(self) -> str:
        """Where MLflow runs are logged: `MLFLOW_TRACKING_URI`, or a SQLite file of our own."""
        return (
            os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.root / 'mlflow/mlflow.db'}"
        )

    @property
    def tracks_itself(self) -> bool:
        """Whether MLflow runs go into the platform's own file and to no server."""
        return not os.environ.get("MLFLOW_TRACKING_URI")

    @property
    def mlflow_artifacts(self) -> Path:
        """Where MLflow artifacts lie when the tracking store is our own."""
        return self.root / "mlflow" / "artifacts"

    def landing(self, audit: str) -> Path:
        """Return the folder where an audit's daily files arrive."""
        return self.root / "landing" / audit

    def store(self) -> EvidenceStore:
        """Open the versioned store."""
        return EvidenceStore(self.evidence_url)

    def prepare(self) -> None:
        """Make Dagster's folder and files, and export where state lies.

        Every process that is started from here works on the same state. An instance file that is
        there is left as it is.
        """
        self.dagster.mkdir(parents=True, exist_ok=True)
        instance_file = self.dagster / "dagster.yaml"
        if not instance_file.exists():
            instance_file.write_text(_INSTANCE_FILE.format(cores=os.cpu_count() or 1))
        self.workspace.write_text(_WORKSPACE_FILE)
        os.environ[HOME_VARIABLE] = str(self.root)
        os.environ["DAGSTER_HOME"] = str(self.dagster)
        # A run's events of many partitions are stored together.
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(_EVENTS_IN_A_BATCH))
