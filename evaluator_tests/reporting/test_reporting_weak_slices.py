"""Weak slices and what got worse, on the page and in the terminal."""

import re
from dataclasses import replace

from evaluator.reporting import DashboardContent
from evaluator.reporting._weak_slices import weak_groups, worsened_groups
from evaluator_tests.reporting.shown import lines_of, names_of, section, with_scorecard


def test_weak_slices_are_those_that_no_other_explains(content: DashboardContent) -> None:
    groups = weak_groups(content.scorecard, names_of(content))
    (group,) = (g for g in groups if g.candidate == "gradient_boosting")
    table = content.scorecard.weak_slices
    table = table[table["candidate"] == "gradient_boosting"]
    confirmed = table[table["status"] == "confirmed"]
    own = confirmed[confirmed["explained_by"].isna()]
    assert len(own) > 0
    assert [row.description for row in group.rows] == own["slice"].tolist()
    assert group.explained == len(confirmed) - len(own)
    words = section(content, "weak")
    assert f"{own['slice'].iloc[0].replace('>', '&gt;')} {own['n_all'].iloc[0]:,}" in words
    assert "carrier = WN" in lines_of(content)
    assert re.search(
        r"gradient_boosting: \d confirmed\. carrier = WN.*error rate 0\.\d+", lines_of(content)
    )


def test_nothing_confirmed_is_a_result_that_says_how_hard_was_looked(
    content: DashboardContent,
) -> None:
    search = content.scorecard.weak_searches["schedule_only"] | {"tested": 14, "confirmed": 0}
    nothing = with_scorecard(
        content,
        weak_slices=content.scorecard.weak_slices.iloc[:0],
        weak_searches={
            "schedule_only": search,
            "random_forest": search | {"reason": "all cases that were searched have the same loss"},
        },
    )
    words = section(nothing, "weak")
    assert f"None was confirmed. Of {search['possible']} possible slices" in words
    assert "14 were tested on the other 4,470, and none confirmed." in words
    assert "Nothing could be searched: all cases that were searched have the same loss." in words
    assert "gradient_boosting loss None was confirmed. Not searched." in words
    assert "  schedule_only: none confirmed. Of " in lines_of(nothing)


def test_what_got_worse_since_the_last_certificate_stands_with_both_losses(
    content: DashboardContent,
) -> None:
    groups = worsened_groups(content.scorecard, names_of(content))
    (group,) = (g for g in groups if g.candidate == "random_forest")
    table = content.scorecard.worsened[content.scorecard.worsened["candidate"] == "random_forest"]
    row = table[table["slice"] == "carrier = AA"].iloc[0]
    shown = {row.description: row for row in group.rows}["carrier = AA"]
    assert (shown.loss, shown.other_loss) == (row["loss_after"], row["loss_before"])
    assert group.looked_at == len(table) > group.found
    calm = with_scorecard(content, worsened=content.scorecard.worsened.assign(status="not_shown"))
    assert f"None of {len(table)} slices was shown to be worse." in section(calm, "weak")
    assert f"in any of {len(table)} slices" in lines_of(calm)


def test_what_the_search_only_hoped_for_is_not_shown(content: DashboardContent) -> None:
    hoped = content.scorecard.weak_slices.assign(status="not_confirmed", explained_by=None)
    hoped.loc[hoped.index[0], "status"] = "too_few"
    card = replace(content.scorecard, weak_slices=hoped)
    groups = weak_groups(card, names_of(content))
    assert [group.rows for group in groups] == [[], [], [], []]
    assert [group.explained for group in groups] == [0, 0, 0, 0]
