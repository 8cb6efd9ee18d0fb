"""Writes what an example audit needs before it can run."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Final

from evaluator.demo import _flights, _language, _sales
from evaluator.demo._files import not_installed
from evaluator.demo._flights_models import missing_models, train_models, write_minutes, write_rule
from evaluator.demo._language_models import write_answers
from evaluator.errors import UsageError
from evaluator.orchestration import Display, Home


def prepare(audit: str, days: int | None, home: Home, display: Display) -> None:
    """Write the files of an example, and train its candidates.

    Parameters
    ----------
    audit
        One of `EXAMPLES`.
    days
        How many days; None for the example's own number.
    home
        Where files and models go.
    display
        Shows the progress.

    Raises
    ------
    UsageError
        Where there is no such example, it has not so many days, or a package is not installed that
        it needs.
    """
    if audit not in EXAMPLES:
        raise UsageError(
            "there is no such example", culprit=audit, fix=f"use one of {', '.join(EXAMPLES)}"
        )
    EXAMPLES[audit](audit, days, home, display)


def _prepare_flights(audit: str, days: int | None, home: Home, display: Display) -> None:
    """Prepare one of the two audits of flights; the daily files of both are the same."""
    chosen = _flights.demo_days(_flights.DEFAULT_DAYS if days is None else days)
    home.prepare()
    landing, models, recordings = (
        home.landing(audit),
        home.root / "models" / audit,
        home.root / "recordings" / audit,
    )
    with display.stage("Load the flights of 2013", 1, "file"):
        flights = _flights.load_flights()
    with display.stage("Write the daily files", len(chosen), "day"):
        _flights.write_daily_files(flights, chosen, landing)
    missing = missing_models(audit, models)
    if missing:
        with display.stage("Train the candidates", len(missing), "candidate"):
            train_models(audit, flights, models, missing)
    # All days that landed are audited, those of an earlier demo too.
    landed = _flights.landed_days(landing)
    if audit == "flights":
        with display.stage("Record what the airline's rule said", len(landed), "day"):
            write_rule(flights, landed, recordings / "airline_rule.csv")
    else:
        with display.stage("Record what two systems said", len(landed), "day"):
            write_minutes(flights, landed, recordings)


def _prepare_language(audit: str, days: int | None, home: Home, display: Display) -> None:
    if days is not None:
        raise UsageError("the texts are of no day", culprit=f"--days {days}", fix="leave it out")
    for module, package in (("django", "Django"), ("py3langid", "py3langid"), ("gcld3", "cld3-py")):
        if find_spec(module) is None:
            raise not_installed("the example needs", package)
    home.prepare()
    with display.stage("Write the translations", 1, "file"):
        translations = _language.load_translations()
        _language.write_translations(translations, home.landing(audit))
    with display.stage("Record what the identifiers say", len(translations), "text"):
        write_answers(translations, home.root / "recordings" / audit)


def _prepare_sales(audit: str, days: int | None, home: Home, display: Display) -> None:
    chosen = _sales.sales_days(_sales.DEFAULT_DAYS if days is None else days)
    if len(chosen) > _sales.DEFAULT_DAYS:
        raise UsageError(
            "the audit declares the first 14 days of March 2024",
            culprit=f"--days {days}",
            fix=f"ask for 1 to {_sales.DEFAULT_DAYS}",
        )
    home.prepare()
    with display.stage("Write the daily files", len(chosen), "day"):
        _sales.write_sales_days(home.landing(audit), chosen)


EXAMPLES: Final[dict[str, Callable[[str, int | None, Home, Display], None]]] = {
    "flights": _prepare_flights,
    "delay": _prepare_flights,
    "language": _prepare_language,
    "sales": _prepare_sales,
}
"""How each is prepared."""
