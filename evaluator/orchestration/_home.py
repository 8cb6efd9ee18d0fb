"""Where the platform keeps its state: everything under one folder.

Workers read it too, so nothing of Dagster is imported here.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from evaluator.errors import StateError
from evaluator.evidence import EvidenceStore, is_temporary, write_whole
from evaluator.spec import find_project

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
run_coordinator:
  module: dagster
  class: QueuedRunCoordinator
  config:
    dequeue_interval_seconds: 1
    # A code server that ended is started again in half a minute; so long its runs wait.
    max_user_code_failure_retries: 10
    user_code_failure_retry_delay: 10
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
_DEFAULTS = {
    # A run's events of many partitions are stored together.
    "DAGSTER_EVENT_BATCH_SIZE": "500",
    # A call of an MLflow server that is down, or says nothing, ends within two minutes: five times
    # 14 s, and pauses of 0, 6, 12 and 24 s. By MLflow's own defaults it takes twenty, and as long
    # as the server asks for.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "14",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "3",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
}
"""What holds where the operator's environment says nothing else."""


def settle_process() -> None:
    """Set what holds in each process that writes into a home, and in those that it starts.

    What it makes is its owner's alone, since there may be personal data in it: databases and logs
    of MLflow and Dagster too, which ask nobody but the process's mask.
    """
    os.umask(0o077)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Wait until no other process is here; the end of a process, be it a kill, lets go of it.

    Those that share it wait only for those that do not.
    """
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


def is_held(lock: Path) -> bool:
    """Tell whether a process lives; its number could be another's by now, a lock cannot."""
    try:
        with lock.open("r") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:  # another process was first, or none ever was
        return False
    return False


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
    def from_environment(cls, project: Path | None = None) -> "Home":
        """Read the environment.

        Parameters
        ----------
        project
            The root of the project whose state it is; by default that of the one that is meant.

        Returns
        -------
        Home
            At `EVALUATOR_HOME`, by default ``.evaluator`` in the project, or in the working
            directory where there is none; with evidence at `EVALUATOR_EVIDENCE`, by default
            ``evidence`` below it.
        """
        named = os.environ.get(HOME_VARIABLE)
        if not named and project is None:
            found = find_project()
            project = found.root if found else None
        root = (Path(named) if named else (project or Path()) / DEFAULT_HOME).absolute()
        return cls(root, os.environ.get(EVIDENCE_VARIABLE) or str(root / "evidence"))

    @property
    def dagster(self) -> Path:
        """Dagster's own folder: its instance file, runs and events."""
        return self.root / "dagster"

    @property
    def instance_file(self) -> Path:
        """The file with Dagster's settings."""
        return self.dagster / "dagster.yaml"

    @property
    def tracking_uri(self) -> str:
        """Where MLflow runs are logged: `MLFLOW_TRACKING_URI`, or a SQLite file of our own."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.mlflow_database}"

    @property
    def tracks_itself(self) -> bool:
        """Whether MLflow runs go into the platform's own file and to no server."""
        return not os.environ.get("MLFLOW_TRACKING_URI")

    @property
    def ui_lock(self) -> Path:
        """Held by a UI with its daemon while it runs over this state."""
        return self.dagster / "ui.lock"

    @property
    def mlflow_database(self) -> Path:
        """The tracking store of our own."""
        return self.root / "mlflow" / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        """Where MLflow artifacts lie when the tracking store is our own."""
        return self.root / "mlflow" / "artifacts"

    def landing(self, audit: str) -> Path:
        """Return the folder where an audit's daily files arrive."""
        return self.root / "landing" / audit

    def leftovers(self) -> Iterator[Path]:
        """Yield what is being written beside the evidence, or was left so; it may be a folder."""
        folders = [self.root, self.dagster, self.mlflow_database.parent]
        for folder in [*folders, *self.root.glob("landing/*"), *self.root.glob("models/*")]:
            yield from (path for path in folder.glob(".*") if is_temporary(path.name))

    def place(self, location: str) -> str:
        """Say where something lies: below the home by its path there, so that it holds in a copy.

        Parameters
        ----------
        location
            An absolute path or a URL.
        """
        return location.removeprefix(f"{self.root}/")

    @contextmanager
    def pool(self, name: str | None, *, shared: bool = False) -> Iterator[None]:
        """Keep what a candidate needs, such as its endpoint, from others on this machine.

        Dagster counts what its daemon starts, and does not see a terminal's processes. So a
        terminal has a pool alone, and the daemon's runs share it as far as the pool's limit goes.

        Parameters
        ----------
        name
            The candidate's pool; None where it needs nothing that others may not use.
        shared
            Whether others that share it may go on.
        """
        if name is None:
            yield
            return
        pools = self.dagster / "pools"
        # In a Dagster of the user's own there is no instance here.
        pools.mkdir(parents=True, exist_ok=True)
        with locked(pools / name, shared=shared):
            yield

    def store(self) -> EvidenceStore:
        """Open the versioned store."""
        return EvidenceStore(self.evidence_url)

    def prepare(self) -> None:
        """Make Dagster's folder and files, and export where state lies.

        Every process that is started from here works on the same state, and what it makes is its
        owner's alone. An instance file that is there is left as it is.

        Raises
        ------
        StateError
            Where the instance file is none: Dagster would take its defaults without a word.
        """
        settle_process()
        self.dagster.mkdir(parents=True, exist_ok=True)
        if not self.instance_file.exists():
            content = _INSTANCE_FILE.format(cores=os.cpu_count() or 1)
            write_whole(self.instance_file, content.encode())
        check_instance_file(self.instance_file)
        os.environ[HOME_VARIABLE] = str(self.root)
        os.environ["DAGSTER_HOME"] = str(self.dagster)


def check_instance_file(path: Path) -> None:
    """Refuse an instance file that holds no settings."""
    try:
        content = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        what = f"it is no YAML ({' '.join(str(error).split())})"
    else:
        if content and isinstance(content, dict):
            return
        what = "it is empty" if content is None else "it holds no settings by name"
    raise StateError(
        f"{what}, and Dagster would go on with defaults, telemetry among them",
        culprit=str(path),
        fix="restore it from a copy, or delete it: it is written anew with the platform's settings",
    )
