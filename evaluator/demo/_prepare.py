"""Writes what an example audit needs before it can run."""

from evaluator.demo import _flights, _sales
from evaluator.demo._flights_models import missing_models, train_models, write_rule
from evaluator.errors import UsageError
from evaluator.orchestration import Display, Home

EXAMPLES = ("flights", "sales")


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
    if audit == "flights":
        _prepare_flights(days, home, display)
    elif audit == "sales":
        _prepare_sales(days, home, display)
    else:
        raise UsageError(
            "there is no such example", culprit=audit, fix=f"use one of {', '.join(EXAMPLES)}"
        )


def _prepare_flights(days: int | None, home: Home, display: Display) -> None:
    chosen = _flights.demo_days(_flights.DEFAULT_DAYS if days is None else days)
    home.prepare()
    landing, models = home.landing("flights"), home.root / "models" / "flights"
    with display.stage("Load the flights of 2013", 1, "file"):
        flights = _flights.load_flights()
    with display.stage("Write the daily files", len(chosen), "day"):
        _flights.write_daily_files(flights, chosen, landing)
    missing = missing_models(models)
    if missing:
        with display.stage("Train the candidates", len(missing), "candidate"):
            train_models(flights, models, missing)
    # All days that landed are audited, those of an earlier demo too.
    landed = _flights.landed_days(landing)
    with display.stage("Record what the airline's rule said", len(landed), "day"):
        write_rule(flights, landed, home.root / "recordings" / "flights" / "airline_rule.csv")


def _prepare_sales(days: int | None, home: Home, display: Display) -> None:
    chosen = _sales.sales_days(_sales.DEFAULT_DAYS if days is None else days)
    if len(chosen) > _sales.DEFAULT_DAYS:
        raise UsageError(
            "the audit declares the first 14 days of March 2024",
            culprit=f"--days {days}",
            fix=f"ask for 1 to {_sales.DEFAULT_DAYS}",
        )
    home.prepare()
    with display.stage("Write the daily files", len(chosen), "day"):
        _sales.write_sales_days(home.landing("sales"), chosen)
