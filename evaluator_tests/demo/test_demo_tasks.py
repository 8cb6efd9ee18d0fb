"""The demos of several classes and of numbers find what can be counted from their files alone."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from evaluator.demo._language_models import OUT_OF_SCOPE
from evaluator_tests.demo.test_demo_golden import found, newest

pytestmark = pytest.mark.slow

README = Path(__file__).parents[2] / "README.md"
CERTIFIED, NOT_CERTIFIED = "certified", "not certified"


def ask(home: Path, *arguments: str) -> str:
    """Call the command as a user does, and return what it says once it ended well."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("EVALUATOR_", "MLFLOW_"))}
    keys = {"EVALUATOR_SIGNING_KEY_FILE": f"{home}/audit.private.pem"}
    done = subprocess.run(
        [sys.executable, "-c", "from evaluator.cli import main; main()", *arguments],
        env={**ours, **keys, "EVALUATOR_HOME": str(home)},
        cwd=home,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def audited(audit: str, home: Path) -> Path:
    """Run a demo from nothing to certificates that are computed again, and return its home."""
    ask(home, "keys", "create", "audit", "--folder", str(home))
    ask(home, "demo", audit)
    checked = ask(home, "verify", audit, "--all", "--key", f"{home}/audit.public.pem")
    certificates = found(home / "evidence" / audit)["outcomes"]
    assert checked.count("VERIFIED: certificate") == len(certificates)
    return home


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the audit of several classes."""
    return audited("language", tmp_path_factory.mktemp("language"))


@pytest.fixture(scope="module")
def delay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the audit of numbers."""
    return audited("delay", tmp_path_factory.mktemp("delay"))


def figures(home: Path, audit: str, **where: str) -> dict[tuple[str, str], float]:
    """Read values by candidate and metric; of all cases where no place is named."""
    table = pd.read_parquet(newest(home / "evidence" / audit, "scorecard") / "figures.parquet")
    level = "_x_".join(where) or "overall"
    chosen = table[table["level"] == level]
    for name, value in where.items():
        chosen = chosen[chosen[name] == value]
    return {(row.candidate, row.metric): row.value for row in chosen.itertuples()}


def numbers_in_readme(audit: str) -> set[str]:
    """Return the numbers that the paragraph about a demo states."""
    paragraphs = README.read_text().split("\n\n")
    (paragraph,) = (one for one in paragraphs if f"`evaluator demo {audit}` asks" in one)
    return {*re.findall(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?", paragraph)}


def answers(home: Path) -> Mapping[str, pd.DataFrame]:
    """Return what each candidate said of each text, beside it."""
    texts = pd.read_parquet(home / "landing" / "language" / "translations.parquet")
    return {
        path.stem: texts.merge(pd.read_csv(path), on="case_id", suffixes=("", "_said"))
        for path in (home / "recordings" / "language").iterdir()
    }


def shares(said: pd.DataFrame) -> dict[str, float]:
    right = said["language"] == said["language_said"]
    return {
        "accuracy": right.mean(),
        "coverage": said["language_said"].notna().mean(),
        "selective_accuracy": right[said["language_said"].notna()].mean(),
    }


def test_only_who_may_say_nothing_is_certified_of_languages(language: Path) -> None:
    outcomes = found(language / "evidence" / "language")["outcomes"]

    assert outcomes == {
        "py3langid": NOT_CERTIFIED,
        "cld3": NOT_CERTIFIED,
        "py3langid_2": CERTIFIED,
    }


def test_the_audit_counts_right_answers_as_the_files_have_them(language: Path) -> None:
    overall = figures(language, "language")
    west = figures(language, "language", geography="western_europe")
    counted: dict[str, dict[str, float]] = {}
    for name, said in answers(language).items():
        counted[name] = shares(said)
        in_west = shares(said[said["region"] == "western_europe"])
        for metric, value in counted[name].items():
            assert overall[name, metric] == pytest.approx(value, abs=1e-12)
            assert west[name, metric] == pytest.approx(in_west[metric], abs=1e-12)
        counted[f"{name} in the west"] = in_west

    said = answers(language)["py3langid"]
    recall = (said["language_said"] == said["language"]).groupby(said["language"]).mean()
    never = {*recall.index[recall == 0]}
    assert never == {"ast", "ckb", "dsb", "hsb", "ia", "io", "os", "udm"}
    assert numbers_in_readme("language") <= {
        f"{len(said):,}",
        str(said["language"].nunique()),
        str(said["language"].nunique() - len(OUT_OF_SCOPE)),
        *(f"{100 * share:.1f}" for one in counted.values() for share in one.values()),
    }


def test_all_but_who_does_not_see_the_departure_are_certified_of_delays(delay: Path) -> None:
    outcomes = found(delay / "evidence" / "delay")["outcomes"]

    assert outcomes == {
        "schedule_only": NOT_CERTIFIED,
        "linear": CERTIFIED,
        "carried_over": CERTIFIED,
        "boosted": CERTIFIED,
    }


def test_the_audit_measures_errors_as_scikit_learn_does(delay: Path, year: pd.DataFrame) -> None:
    days = [path.stem[-10:] for path in (delay / "landing" / "delay").iterdir()]
    flights = year[year["date"].astype(str).isin(days) & year["arrival_delay"].notna()]
    late = flights["arrival_delay"].to_numpy(float)
    numbers = ["scheduled_hour", "weekday", "distance", "departure_delay"]
    given = pd.concat([flights[["carrier", "origin"]], flights[numbers].astype(float)], axis=1)
    said = {
        name: skops.io.load(delay / "models" / "delay" / f"{name}.skops").predict(given)
        for name in ("schedule_only", "linear")
    }
    overall = figures(delay, "delay")
    of_limits = {}
    for path in (delay / "recordings" / "delay").iterdir():
        recorded = pd.read_csv(path, index_col="flight").loc[flights["flight_id"]]
        low, minutes, high = recorded[["low", "minutes", "high"]].to_numpy().T
        said[path.stem] = minutes
        outside = np.maximum(low - late, 0) + np.maximum(late - high, 0)
        of_limits[path.stem] = {
            "limits_coverage": np.mean(outside == 0),
            "limits_width": np.mean(high - low),
            # Gneiting and Raftery (2007), of limits that are to hold 9 of 10.
            "interval_score": np.mean(high - low + 20 * outside),
        }
        expected = of_limits[path.stem]
        assert {m: overall[path.stem, m] for m in expected} == pytest.approx(expected, abs=1e-9)
    for name, minutes in said.items():
        expected = {
            "mean_absolute_error": mean_absolute_error(late, minutes),
            "root_mean_squared_error": root_mean_squared_error(late, minutes),
            "r2": r2_score(late, minutes),
            "bias": np.mean(minutes - late),
            "within_tolerance": np.mean(np.abs(minutes - late) <= 15),
        }
        assert {m: overall[name, m] for m in expected} == pytest.approx(expected, abs=1e-9)

    (against,) = [
        row
        for row in found(delay / "evidence" / "delay")["verdicts"]
        if row["candidate"] == "boosted" and "baseline" in row["gate"]
    ]
    assert numbers_in_readme("delay") <= {
        *("8", "13.5", str(len(days)), f"{len(flights):,}"),
        *(f"{overall[name, 'mean_absolute_error']:.1f}" for name in said),
        *(f"{abs(against[key]):.2f}" for key in ("value", "low", "high")),
        *(f"{100 * one['limits_coverage']:.1f}" for one in of_limits.values()),
        *(f"{one['limits_width']:.1f}" for one in of_limits.values()),
    }
