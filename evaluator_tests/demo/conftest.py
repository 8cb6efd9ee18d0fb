"""The year's flights, a small part of them to learn from, the audit over them, and the texts."""

from pathlib import Path

import pandas as pd
import pytest

from evaluator.demo._flights import FIRST_DAY, load_flights
from evaluator.demo._language import load_translations
from evaluator.spec import AuditSpec, load_audit

AUDITS = Path(__file__).parents[2] / "evaluator" / "defs"


@pytest.fixture(scope="session")
def year() -> pd.DataFrame:
    """All flights of 2013, as the demo has them."""
    return load_flights()


@pytest.fixture(scope="session")
def part(year: pd.DataFrame) -> pd.DataFrame:
    """Every fortieth flight until September, and all of October to December."""
    before = year["date"] < FIRST_DAY
    return pd.concat([year[before].iloc[::40], year[~before]])


@pytest.fixture(scope="session")
def flights_spec() -> AuditSpec:
    """The audit that ships."""
    return load_audit("flights", AUDITS).spec


@pytest.fixture(scope="session")
def translations() -> pd.DataFrame:
    """All texts, as the demo has them."""
    return load_translations()
