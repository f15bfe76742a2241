"""The table of the audit: whose voice is in the data, and what each condition does to it."""

from __future__ import annotations

from tasks.runtime.tables import Table, column


class FilteredRaters(Table):
    """One row a condition with a rater filter and a group of raters: whom the filter leaves out."""

    experiment: str = column("the experiment that the condition is of")
    condition: str = column("how feedback becomes training")
    stratum: str = column("the group of raters; all is everybody whose ratings the condition asks for")
    n_participants: int = column("its members who rated a training prompt on the condition's dimensions")
    left_out: int = column("those of them whom the filter leaves out")
    share_left_out: float = column("their share", "share")
    expected: float = column("the share that the filter leaves out of everybody", "share")
    p_chance: float = column(
        "chance that as many at random would leave out a number of the group's as unlikely as this, or more so; "
        "missing for everybody",
        missing=True,
    )
    n_ratings: int = column("ratings of these members")
    ratings_left_out: int = column("those of them that the filter leaves out")
    share_of_ratings_left_out: float = column("their share", "share")


class PopulationWeights(Table):
    """One row a condition with `voices: population` and a group of raters: what their weights cost."""

    experiment: str = column("the experiment that the condition is of")
    condition: str = column("how feedback becomes training")
    stratum: str = column("the group of raters; all is everybody in one of the experiment's groups")
    n_participants: int = column("its members who have a weight, and a label on the condition's dimensions")
    n_without: int = column("those with a label but no weight: the population's shares don't describe them")
    effective_participants: float = column("(Σw)² / Σw²: so many raters of equal weight would tell as much")
    design_effect: float = column("n_participants / effective_participants; 1 where all weigh the same")


class Audit(Table):
    """One row a condition and a group of raters; missing where a denominator is 0."""

    experiment: str = column("the experiment that the condition is of")
    condition: str = column("how feedback becomes training")
    stratum: str = column("the group of raters")
    n_participants: int = column("its members")
    n_ratings: int = column("their ratings of training prompts on the condition's dimensions")
    share_of_participants: float = column("their share of all participants", "share", missing=True)
    share_of_ratings: float = column("their share of all such ratings", "share", missing=True)
    retained: float = column("share of their ratings that the condition keeps", "share", missing=True)
    share_of_preferences: float = column("their share of the weight that trains", "share", missing=True)
    majority_loses: float = column(
        "of the response pairs on which their own ratings and the condition prefer one, the share where they differ",
        "share",
        missing=True,
    )
    majority_unheard: float = column(
        "share of their own majorities on which the condition prefers neither response", "share", missing=True
    )
    n_majorities: int = column("response pairs on which their own ratings prefer one response")
    chance_loses: float = column("majority_loses of random groups of the same size, mean", "share", missing=True)
    chance_sd: float = column("majority_loses of random groups of the same size, spread", "share", missing=True)
