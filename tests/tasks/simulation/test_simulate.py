"""The simulated export has the survey app's form, the paper's sizes, and statistics near the paper's."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from pathlib import Path

import krippendorff
import numpy as np
import pandas as pd
import pytest

from configs.codebook import Codebook
from configs.errors import InputError
from configs.load import load_codebook, load_study
from configs.schema import Simulation
from tasks.simulation import language
from tasks.simulation.simulate import (
    MODEL,
    PUBLISHED_EFFECTS,
    RatingModel,
    careless_participants,
    shown,
    simulate_export,
    simulate_tables,
)

SMALL = Simulation(participants=60, responses_each=5, prompts=40, responses_per_prompt=3)
CODEBOOKS = (load_codebook("survey-app-en"), load_codebook("survey-app-de"))
SPECTRUM = {
    text: term
    for codebook in CODEBOOKS
    for text, term in (codebook.participants.attributes["political-spectrum"].values or {}).items()
}
FILES = {
    "df_ratings.csv",
    "df_participants.csv",
    "df_prompts.csv",
    "df_ratings_german.csv",
    "df_participants_german.csv",
    "df_prompts_german_mapped.csv",
}
RATING_COLUMNS = [
    "participant_id",
    "question_id",
    "prompt_id",
    "gender_focused",
    "rating_stereotypical_bias",
    "rating_toxicity",
    "rating_emotional_awareness",
    "rating_sensitivity",
    "rating_helpfulness",
]
CHECK_COLUMNS = ["attention", "attention2", "attention3"]
PARTICIPANT_COLUMNS = [
    "participant_id",
    "age",
    "gender_identity",
    "country_of_residence",
    "ancestry",
    "ethnicity",
    "political_party",
    "political_spectrum",
]

Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module", params=["alike", "demo"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export at the paper's scale: of groups whose slopes are alike, and with what the demo plants."""
    demo = load_study("demo").ratings.simulate
    path = tmp_path_factory.mktemp("export")
    simulate_export(Simulation(slopes=demo.slopes if request.param == "demo" and demo else {}), 0, path)
    return path


@pytest.fixture(scope="module")
def tables(folder: Path) -> Tables:
    """The export at the paper's scale, as a reader of the files sees it."""
    return {path.name: pd.read_csv(path, keep_default_na=False) for path in folder.iterdir()}


def categories(tables: Tables) -> pd.DataFrame:
    """Ratings of both languages as categories 1 to 5, one column a dimension."""
    parts = []
    for codebook in CODEBOOKS:
        table = tables[codebook.ratings.file]
        columns = {
            name: table[column].map(codebook.ratings.labels) for name, column in codebook.ratings.dimensions.items()
        }
        parts.append(pd.DataFrame({**columns, "response": table["prompt_id"], "participant": table["participant_id"]}))
    return pd.concat(parts, ignore_index=True)


def people(tables: Tables) -> pd.DataFrame:
    return pd.concat([tables[codebook.participants.file] for codebook in CODEBOOKS], ignore_index=True)


# ---- form


def test_the_export_has_the_files_and_columns_of_the_survey_app(tables: Tables) -> None:
    assert set(tables) == FILES
    assert list(tables["df_ratings.csv"]) == RATING_COLUMNS
    assert list(tables["df_ratings_german.csv"]) == RATING_COLUMNS + CHECK_COLUMNS
    assert list(tables["df_participants.csv"]) == list(tables["df_participants_german.csv"]) == PARTICIPANT_COLUMNS
    assert list(tables["df_prompts.csv"])[:3] == ["prompt_id", "question_id", "source"]
    assert set(tables["df_prompts.csv"]["source"]) == {"simulated"}


@pytest.mark.parametrize("codebook", CODEBOOKS, ids=lambda codebook: codebook.name)
def test_every_label_is_one_that_the_codebook_knows(tables: Tables, codebook: Codebook) -> None:
    ratings = tables[codebook.ratings.file]
    for column in codebook.ratings.dimensions.values():
        assert set(ratings[column]) == set(codebook.ratings.labels)
    participants = tables[codebook.participants.file]
    for attribute in codebook.participants.attributes.values():
        cells = participants[attribute.column]
        texts = set(itertools.chain.from_iterable(map(json.loads, cells))) if attribute.many else set(cells)
        if attribute.values is not None:
            assert texts <= {*attribute.values, *codebook.participants.not_declared}


@pytest.mark.parametrize("codebook", CODEBOOKS, ids=lambda codebook: codebook.name)
def test_a_few_participants_declare_nothing_and_a_few_two_ethnicities(tables: Tables, codebook: Codebook) -> None:
    participants = tables[codebook.participants.file]
    (hidden,) = codebook.participants.not_declared
    assert 0 < (participants["gender_identity"] == hidden).mean() < 0.05
    ethnicities = participants["ethnicity"].map(json.loads)
    assert 0 < (ethnicities.map(len) == 2).mean() < 0.10
    assert all(len(set(several)) == len(several) for several in ethnicities)


def test_every_attention_check_passes(tables: Tables) -> None:
    for column, passes in CODEBOOKS[1].ratings.attention.items():
        assert set(tables["df_ratings_german.csv"][column]) == {passes}


def test_a_share_of_attention_checks_fails_when_asked_for() -> None:
    careless = RatingModel(**{**vars(MODEL), "failed_checks": 0.2})
    table = simulate_tables(SMALL, 0, careless)["df_ratings_german.csv"]
    passed = np.logical_and.reduce([table[name] == label for name, label in CODEBOOKS[1].ratings.attention.items()])
    assert 0.05 < 1 - passed.mean() < 0.35  # 150 rows: 0.2 ± 4.6 standard errors


def test_a_share_of_participants_answers_at_random_and_nobody_else_answers_otherwise() -> None:
    some = Simulation(**{**SMALL.model_dump(), "careless": 0.25})
    careless = careless_participants(some, 0)
    assert len(careless) == 15
    before, after = (categories(simulate_tables(simulation, 0)) for simulation in (SMALL, some))
    at_random = after["participant"].isin(careless)
    pd.testing.assert_frame_equal(before[~at_random], after[~at_random])
    answers = after.loc[at_random, list(language.DIMENSIONS)].to_numpy()
    assert answers.shape == (75, 5)
    assert np.unique(answers).tolist() == [1, 2, 3, 4, 5]
    assert answers.mean() == pytest.approx(3, abs=4 * np.sqrt(2 / answers.size))
    assert (answers != before.loc[at_random, list(language.DIMENSIONS)].to_numpy()).mean() > 0.5
    assert careless_participants(SMALL, 0) == frozenset()


def test_english_and_german_tables_share_ids_and_differ_in_text(tables: Tables) -> None:
    english, german = tables["df_prompts.csv"], tables["df_prompts_german_mapped.csv"]
    assert english[["prompt_id", "question_id"]].equals(german[["prompt_id", "question_id"]])
    assert (english["prompt"] != german["prompt"]).all()
    assert (english["response"] != german["response"]).all()
    for ratings in (tables["df_ratings.csv"], tables["df_ratings_german.csv"]):
        merged = ratings.merge(english, on="prompt_id")
        assert len(merged) == len(ratings)
        assert (merged["question_id_x"] == merged["question_id_y"]).all()


# ---- sizes


def test_the_totals_are_the_papers(tables: Tables) -> None:
    ratings = categories(tables)
    assert len(people(tables)) == people(tables)["participant_id"].nunique() == 1095
    assert tables["df_prompts.csv"]["question_id"].nunique() == 587
    assert ratings["response"].nunique() == 1761
    assert ratings[list(language.DIMENSIONS)].count().sum() == 27375


def test_every_response_has_two_raters_and_nobody_rates_one_twice(tables: Tables) -> None:
    ratings = categories(tables)
    raters = ratings.groupby("response")["participant"]
    assert raters.size().min() >= 2
    assert raters.size().mean() == pytest.approx(5475 / 1761)  # 3.1
    assert (raters.size() == raters.nunique()).all()
    assert set(ratings.groupby("participant").size()) == {5}


def test_responses_to_a_prompt_differ(tables: Tables) -> None:
    assert not tables["df_prompts.csv"].duplicated(["question_id", "response"]).any()
    assert set(tables["df_prompts.csv"].groupby("question_id").size()) == {3}


@pytest.mark.parametrize(
    "simulation",
    [
        SMALL,
        Simulation(participants=2, responses_each=2, prompts=1, responses_per_prompt=2),
        Simulation(participants=7, responses_each=9, prompts=3, responses_per_prompt=3),
        Simulation(participants=5, responses_each=4, prompts=5, responses_per_prompt=2),
    ],
    ids=["small", "smallest", "everybody rates all", "exactly two raters"],
)
def test_small_simulations_keep_the_same_promises(simulation: Simulation) -> None:
    ratings = categories(simulate_tables(simulation, 1))
    raters = ratings.groupby("response")["participant"]
    assert len(raters) == simulation.prompts * simulation.responses_per_prompt
    assert raters.size().min() >= 2
    assert (raters.size() == raters.nunique()).all()
    assert set(ratings.groupby("participant").size()) == {simulation.responses_each}


@pytest.mark.parametrize(
    ("simulation", "message"),
    [
        (Simulation(participants=60, responses_each=10, prompts=3), "responses_each: 10 is more than the 9 responses"),
        (Simulation(participants=9000, prompts=2017), "prompts: 2017 asked for; allowed: 0 to 2016"),
        (Simulation(participants=9000, prompts=1, responses_per_prompt=7000), "replies: 7000 to a prompt asked for"),
    ],
)
def test_what_cannot_be_simulated_is_one_clear_error(simulation: Simulation, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        simulate_export(simulation, 0, tmp_path / "export")
    assert not (tmp_path / "export").exists()


# ---- determinism


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        simulate_export(SMALL, seed, tmp_path / name)
    for file in FILES:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert (tmp_path / "a" / "df_ratings.csv").read_bytes() != (tmp_path / "c" / "df_ratings.csv").read_bytes()


def test_other_files_in_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    simulate_export(SMALL, 0, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {*FILES, "notes.txt"}


# ---- statistics near the paper's


def test_disagreement_is_near_the_papers_in_every_dimension(tables: Tables) -> None:
    ratings = categories(tables)
    varies = ratings.groupby("response")[list(language.DIMENSIONS)].nunique() > 1
    assert varies.mean().between(0.82, 0.89).all()  # paper: .845 to .862


def test_alpha_on_toxicity_is_near_the_papers(tables: Tables) -> None:
    ratings = categories(tables)
    counts = pd.crosstab(ratings["response"], ratings["toxicity"]).to_numpy()
    alpha = krippendorff.alpha(value_counts=counts, value_domain=[1, 2, 3, 4, 5], level_of_measurement="ordinal")
    assert 0.33 <= alpha <= 0.44  # paper: .33 to .44 over strata


def test_emotionally_aware_replies_are_sometimes_toxic_and_more_often_biased(tables: Tables) -> None:
    positive = categories(tables)[list(language.DIMENSIONS)] >= 4
    aware = positive[positive["emotional-awareness"]]
    assert 0.15 <= aware["toxicity"].mean() <= 0.27  # paper: .208
    assert 0.27 <= aware["stereotypical-bias"].mean() <= 0.40  # paper: .335


def test_the_population_is_balanced_in_gender_and_uneven_elsewhere(tables: Tables) -> None:
    participants = people(tables)
    gender = participants["gender_identity"].value_counts(normalize=True)
    ethnicity = participants["ethnicity"].map(json.loads)
    assert gender["she/her/hers"] == pytest.approx(gender["he/him/his"], abs=0.08)
    assert 0.01 < 1 - gender["she/her/hers"] - gender["he/him/his"] < 0.10
    assert ethnicity.map(lambda several: bool({"White", "Weiss"} & set(several))).mean() > 0.5
    black = {"Black or African American", "Schwarz oder Afroamerikaner"}
    assert ethnicity.map(lambda several: bool(black & set(several))).mean() > 0.18
    terms = participants["political_spectrum"].map(SPECTRUM)
    share = terms.value_counts()
    assert share["liberal"] > share["centre"] > share["conservative"]


def test_published_effects_show_in_their_direction() -> None:
    # Means of the rated category over 40,000 ratings a dimension; the least effect, -18%, is about four standard
    # errors of the difference between 3,800 men and 3,900 women.
    tables = simulate_tables(Simulation(participants=8000, prompts=1500), 0)
    ratings = categories(tables).merge(people(tables), left_on="participant", right_on="participant_id")
    man, woman = ratings["gender_identity"] == "he/him/his", ratings["gender_identity"] == "she/her/hers"
    black = ratings["ethnicity"].str.contains("Black|Schwarz")
    older = ratings["age"] == "51-60"
    for dimension in ("toxicity", "stereotypical-bias"):
        assert ratings.loc[man, dimension].mean() < ratings.loc[woman, dimension].mean()
    spectrum = ratings["political_spectrum"].map(SPECTRUM)
    conservative, liberal = spectrum == "conservative", spectrum == "liberal"
    for dimension in ("emotional-awareness", "sensitivity"):
        assert ratings.loc[black, dimension].mean() > ratings.loc[~black, dimension].mean()
        assert ratings.loc[conservative, dimension].mean() > ratings.loc[liberal, dimension].mean()
    assert ratings.loc[older, "helpfulness"].mean() < ratings.loc[~older, "helpfulness"].mean()


def test_without_effects_nobody_differs_but_by_chance() -> None:
    # The same draws with and without effects: only men's toxicity and bias may move, and only downwards.
    plain = RatingModel(**{**vars(MODEL), "effects": {}})
    with_effects, without = categories(simulate_tables(SMALL, 5)), categories(simulate_tables(SMALL, 5, plain))
    gender = people(simulate_tables(SMALL, 5)).set_index("participant_id")["gender_identity"]
    man = (with_effects["participant"].map(gender) == "he/him/his").to_numpy()
    moved = with_effects["toxicity"] - without["toxicity"]
    assert (moved[~man] == 0).all()
    assert (moved[man] <= 0).all()
    assert moved.any()


def test_effects_are_read_as_log_odds() -> None:
    # exp(estimate) - 1 = -18%: estimate = log(0.82) = -0.19845
    assert MODEL.effects is PUBLISHED_EFFECTS
    assert MODEL.log_odds("toxicity") == {("gender", "he/him/his"): pytest.approx(-0.19845, abs=1e-5)}
    assert set(MODEL.log_odds("sensitivity")) == {
        ("political-spectrum", "conservative"),
        ("ethnicity", "Black or African American"),
    }


# ---- slopes


def digest(simulation: Simulation, seed: int, folder: Path) -> str:
    simulate_export(simulation, seed, folder)
    content = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        content.update(path.name.encode() + path.read_bytes())
    return content.hexdigest()


def test_without_slopes_an_export_is_to_the_byte_what_it_was_before_there_were_any(tmp_path: Path) -> None:
    # The digest was recorded before `slopes` was a setting. Another release of numpy may draw other numbers.
    assert digest(SMALL, 3, tmp_path / "a") == "76e5ae1e6dc9c52df6fce023f1b9eb8fa35f8c7b739c49d83c68e2af43e7a9ac"
    ones = {"toxicity": {"gender": {"she/her/hers": 1.0}}, "helpfulness": {}}
    same = SMALL.model_copy(update={"slopes": ones})
    assert digest(same, 3, tmp_path / "b") == digest(SMALL, 3, tmp_path / "c")


def with_slopes(slopes: dict[str, dict[str, dict[str, float]]], seed: int = 0) -> pd.DataFrame:
    """Ratings of 2,000 participants of 500 prompts, with z of toxicity and what their raters declare."""
    simulation = Simulation(participants=2000, prompts=500, slopes=slopes)
    tables = simulate_tables(simulation, seed)
    ratings = categories(tables).merge(people(tables), left_on="participant", right_on="participant_id")
    z = shown(simulation, seed)[:, :, language.DIMENSIONS.index("toxicity")].ravel()
    number = ratings["response"].str.removeprefix("sim-r-").astype(int)
    return ratings.assign(z=z[number - 1], spectrum=ratings["political_spectrum"].map(SPECTRUM))


def test_factors_show_in_how_far_each_group_follows_what_a_text_shows() -> None:
    # Some 4,000, 3,000 and 2,200 ratings: standard errors of a correlation are .02 and less.
    ratings = with_slopes({"toxicity": {"political-spectrum": {"liberal": 2.0, "centre": 0.0, "conservative": -1.0}}})
    follows = {name: own["toxicity"].corr(own["z"]) for name, own in ratings.groupby("spectrum")}
    alike = {name: own["toxicity"].corr(own["z"]) for name, own in with_slopes({}).groupby("spectrum")}
    assert follows["liberal"] > alike["liberal"] + 0.1
    assert abs(follows["centre"]) < 0.08
    assert follows["conservative"] == pytest.approx(-alike["conservative"], abs=0.08)
    assert max(alike.values()) - min(alike.values()) < 0.08


def test_an_ordinal_model_finds_the_factors() -> None:
    """Slopes of a logistic regression of category > 2, apart for each group, are in proportion to the factors.

    Items and persons vary beside the model, which makes all of its slopes smaller, by about the same share.
    """
    import statsmodels.api as sm

    ratings = with_slopes({"toxicity": {"gender": {"she/her/hers": 2.0, "he/him/his": 0.5}}})
    slopes = {}
    for name, own in ratings.groupby("gender_identity"):
        if len(own) > 1000:
            slopes[name] = sm.Logit(own["toxicity"] > 2, sm.add_constant(own["z"])).fit(disp=0).params["z"]
    assert slopes["she/her/hers"] / slopes["he/him/his"] == pytest.approx(4, rel=0.15)


def test_several_factors_multiply_each_other_and_leave_other_people_and_dimensions_alone() -> None:
    """2 and 0.5 on the same person make 1: the same draws give the ratings that she has without slopes."""
    alike = with_slopes({})
    both = with_slopes({"toxicity": {"gender": {"she/her/hers": 2.0}, "ethnicity": {"White": 0.5, "Asian": 2.0}}})
    woman = both["gender_identity"] == "she/her/hers"
    white, asian = (both["ethnicity"].str.contains(text) for text in ("White|Weiss", "Asian|Asiatisch"))
    one = woman & white & ~asian | ~woman & (white == asian)
    assert (~woman & white & asian).any()  # two values of one attribute: both count
    pd.testing.assert_series_equal(both.loc[one, "toxicity"], alike.loc[one, "toxicity"])
    assert (both.loc[~one, "toxicity"] != alike.loc[~one, "toxicity"]).mean() > 0.1
    others = [name for name in language.DIMENSIONS if name != "toxicity"]
    pd.testing.assert_frame_equal(both[others], alike[others])


def test_slopes_of_what_nobody_is_or_rates_are_told_all_at_once(tmp_path: Path) -> None:
    slopes = {
        "toxic": {"gender": {"she/her/hers": 2.0}},
        "toxicity": {"shoe-size": {"45": 2.0}, "gender": {"woman": 2.0, "she/her/hers": 0.5}, "age": {"18-30": 1.0}},
    }
    with pytest.raises(InputError) as fault:
        simulate_export(SMALL.model_copy(update={"slopes": slopes}), 0, tmp_path / "export")
    first, *lines = str(fault.value).splitlines()
    assert first == "ratings.simulate.slopes: 3 faults"
    assert [line.strip().partition("; allowed: ")[::2] for line in lines] == [
        ("ratings.simulate.slopes: unknown 'toxic'", ", ".join(language.DIMENSIONS)),
        (
            "ratings.simulate.slopes.toxicity: unknown 'shoe-size'",
            "gender, age, country, ethnicity, political-spectrum",
        ),
        ("ratings.simulate.slopes.toxicity.gender: unknown 'woman'", lines[2].partition("; allowed: ")[2]),
    ]
    assert lines[2].partition("; allowed: ")[2].startswith("she/her/hers, he/him/his, they/them/theirs, ")
    assert not (tmp_path / "export").exists()


def test_a_single_fault_of_slopes_is_one_line() -> None:
    one = Simulation(slopes={"toxicity": {"political-spectrum": {"left": 2.0}}})
    allowed = (
        "ratings.simulate.slopes.toxicity.political-spectrum: unknown 'left'; allowed: liberal, centre, conservative"
    )
    with pytest.raises(InputError, match=f"^{allowed}$"):
        simulate_tables(one, 0)


# ---- the language


def test_every_reply_of_the_export_is_well_formed(tables: Tables) -> None:
    assert all(map(language.is_well_formed, tables["df_prompts.csv"]["response"]))


def test_scrambled_cut_or_longer_replies_are_not_well_formed(tables: Tables) -> None:
    shuffle = random.Random(0)
    for reply in tables["df_prompts.csv"]["response"][:200]:
        words = reply.split(" ")
        shuffle.shuffle(words)
        sentences = reply.split(". ")
        assert not language.is_well_formed(" ".join(words))
        assert not language.is_well_formed(". ".join(sentences[:2]) + ".")
        assert not language.is_well_formed(f"{reply} {sentences[0]}.")
        assert not language.is_well_formed(reply[:-1])
    assert not language.is_well_formed("")


def test_a_reply_that_was_cut_off_is_well_formed_as_far_as_it_goes(tables: Tables) -> None:
    for reply in tables["df_prompts.csv"]["response"][:50]:
        assert all(language.is_well_formed(reply[:end], cut_off=True) for end in range(len(reply) + 1))
        first, *others = reply.split(". ")
        assert not language.is_well_formed(f"{reply} {first}", cut_off=True)  # a fourth sentence
        assert not language.is_well_formed(f"{first} {others[0]}", cut_off=True)  # no full stop
        assert not language.is_well_formed(f"{first[1:]}. {others[0]}", cut_off=True)


def test_sentence_kinds_of_a_reply_are_those_that_it_was_made_of() -> None:
    prompt = language.prompts(1)[0]
    for reply in language.replies(prompt, 50, np.random.default_rng(0)):
        assert language.sentence_kinds(reply.text.en) == reply.kinds
    assert language.sentence_kinds("Nothing of the kind.") is None


def test_the_language_has_the_promised_size_and_no_sentence_begins_another() -> None:
    every = language.prompts(2016)
    assert len({prompt.text.en for prompt in every}) == len({prompt.text.de for prompt in every}) == 2016
    made = [
        (prompt, reply) for prompt in every[:500] for reply in language.replies(prompt, 2, np.random.default_rng(0))
    ]
    tokens = [
        f"{prompt.text.en} {reply.text.en}".replace(".", " .").replace("?", " ?").split() for prompt, reply in made
    ]
    assert len(set(itertools.chain.from_iterable(tokens))) < 220
    assert np.mean([len(sequence) for sequence in tokens]) == pytest.approx(45, abs=4)
    sentences = {sentence for _, reply in made for sentence in reply.text.en.replace(". ", ".\n").split("\n")}
    assert not any(b.startswith(a) for a, b in itertools.permutations(sentences, 2))


def test_a_shorter_list_of_prompts_begins_a_longer_one() -> None:
    assert language.prompts(40) == language.prompts(60)[:40]


def test_the_tone_of_a_prompt_shapes_its_replies() -> None:
    rng = np.random.default_rng(0)
    mean: dict[str, list[float]] = {}
    for prompt in language.prompts(300):
        mean.setdefault(prompt.tone, []).extend(reply.scores["toxicity"] for reply in language.replies(prompt, 3, rng))
    assert np.mean(mean["hostile"]) > np.mean(mean["plain"]) > np.mean(mean["caring"])


def test_toxicity_and_emotional_awareness_oppose_each_other_without_being_the_same() -> None:
    rng = np.random.default_rng(0)
    scores = [reply.scores for prompt in language.prompts(500) for reply in language.replies(prompt, 3, rng)]
    r = np.corrcoef([s["toxicity"] for s in scores], [s["emotional-awareness"] for s in scores])[0, 1]
    assert -0.85 < r < -0.5
