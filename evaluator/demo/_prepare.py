"""Writes what an example audit needs before it can run."""

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
        Where there is no such example, or it has not so many days.
    """
    if audit == "flights":
        _flights(days, home, display)
    elif audit == "sales":
        _sales(days, home, display)
    else:
        raise UsageError(
            "there is no such example", culprit=audit, fix=f"use one of {', '.join(EXAMPLES)}"
        )


def _flights(days: int | None, home: Home, display: Display) -> None:
    from evaluator.demo import _flights as demo
    from evaluator.demo._flights_models import missing_models, train_models, write_rule

    chosen = demo.demo_days(demo.DEFAULT_DAYS if days is None else days)
    landing, models = home.landing("flights"), home.root / "models" / "flights"
    with display.stage("Load the flights of 2013", 1):
        flights = demo.load_flights()
    with display.stage("Write the daily files", len(chosen)):
        demo.write_daily_files(flights, chosen, landing)
    missing = missing_models(models)
    if missing:
        with display.stage("Train the candidates", len(missing)):
            train_models(flights, models, missing)
    # All days that landed are audited, those of an earlier demo too.
    landed = demo.landed_days(landing)
    with display.stage("Record what the airline's rule said", len(landed)):
        write_rule(flights, landed, home.root / "recordings" / "flights" / "airline_rule.csv")


def _sales(days: int | None, home: Home, display: Display) -> None:
    from evaluator.demo import _sales as demo

    chosen = demo.sales_days(demo.DEFAULT_DAYS if days is None else days)
    if len(chosen) > demo.DEFAULT_DAYS:
        raise UsageError(
            "the audit declares the first 14 days of March 2024",
            culprit=f"--days {days}",
            fix=f"ask for 1 to {demo.DEFAULT_DAYS}",
        )
    with display.stage("Write the daily files", len(chosen)):
        demo.write_sales_days(home.landing("sales"), chosen)
