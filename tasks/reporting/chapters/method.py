"""What was done, step by step, and what the published values are."""

from __future__ import annotations

from configs.schema import Study
from tasks.audit.tables import Audit
from tasks.effects.tables import Cells, Effects
from tasks.meta_analysis.tables import Pooled
from tasks.methods import methods_of
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.document import Items, Paragraph, Part
from tasks.reporting.house.words import in_sentence, joined, many, spoken, whole
from tasks.reporting.run_facts import Facts


def _parts(results: Results) -> list[Part]:
    """The steps, with their counts; a survey says that it is no more than that."""
    trained = any(results.rows(table) for table in (Cells, Effects, Pooled))
    steps = [_ratings_step(results)]
    if results.study.experiments and (trained or results.rows(Audit)):
        steps.append(_preferences_step(results.facts))
        steps += _model_steps(results) if trained else []
    notes = _published(results.study) if trained else ["No models were trained: this is what the ratings say."]
    return [Items(steps, "steps"), *(Paragraph(note) for note in notes)]


def _preferences_step(facts: Facts) -> str:
    training, held_out = (_counted(facts, f"{kind} prompts") for kind in ("training", "evaluation"))
    split = f" Here {training} and {held_out}." if training and held_out else ""
    return (
        "Preferences. Where the ratings of two responses to one prompt differ, one is preferred. A condition says "
        "whose ratings count, on which scale, and what becomes of disagreement. Prompts are divided beforehand into "
        f"training and evaluation prompts; a held-out evaluation prompt trains no model.{split}"
    )


def _ratings_step(results: Results) -> str:
    study, facts = results.study, results.facts
    dimensions = joined(f"{in_sentence(item.title)} ({item.better} is better)" for item in study.dimensions.values())
    people = _counted(facts, "participants") or "Participants"
    ratings = _counted(facts, "ratings")
    objects = " to ".join(text for key in ("responses", "prompts") if (text := _counted(facts, key)))
    given = f"{people} gave {ratings}" if ratings else f"{people} gave ratings"
    if comparisons := _counted(facts, "comparisons"):
        return (
            f"Comparisons. {people} made {comparisons} between {objects}, on {dimensions}. Each is read as a rating of "
            "either side, higher for the one that is preferred, and only these two are held against each other. That "
            "says which response is better, not how good one is: so there is no regression of the ratings themselves, "
            "no difference between groups in them, and no index of single raters."
        )
    verb = "Simulated ratings. " if study.ratings.simulate else "Ratings. "
    return f"{verb}{given}{f' of {objects}' if objects else ''}, on {dimensions}."


def _model_steps(results: Results) -> list[str]:
    study = results.study
    judged = joined(spoken(study, name) for name in study.evaluation.dimensions)
    models = joined(f"{item.title} ({many(item.parameters)} parameters)" for item in study.architectures)
    methods = joined(sorted(method.title for method in methods_of(study)), " or ")
    return [
        f"Fine-tuning. Every condition fine-tunes each of {len(study.architectures)} architectures with LoRA, by "
        f"{methods}: {models}. The control is the architecture without fine-tuning. {_budgets(study)}",
        "Generation. Every model answers the held-out prompts with greedy decoding, so the same model gives the same "
        "answers again.",
        f"Judging. {study.judge.method} scores every answer from 0 to 1 on {judged}.",
        "Effects. For each architecture, an effect is the mean difference in score between two conditions on the same "
        "held-out prompts, with a standard error that is clustered by prompt and, where there are several, by training "
        "seed; 0.05 is five percentage points. A prompt that the judge could not score on either side is left out; "
        "outputs that are not well-formed are scored like any other.",
        "Pooling. Effects are pooled over the architectures by DerSimonian–Laird random effects with a Wald "
        f"interval{', as in the paper' if results.has_published else ''}. Since k, the number of architectures, is "
        "small, that interval is too narrow; the Hartung–Knapp–Sidik–Jonkman (HKSJ) interval stands beside it. "
        f"{_who_was_asked(study)} An effect is called clear where all of its intervals exclude zero. p is adjusted by "
        "Holm's method within an experiment where it says so.",
    ]


def _who_was_asked(study: Study) -> str:
    """Which intervals know that other raters might have given another effect."""
    count, replicated = study.raters.replicates, [name for name in study.experiments if study.replicates_of(name)]
    why = "all architectures learn from the same ratings, so other raters might have given another effect"
    if not replicated:
        return f"No interval knows who was asked: {why}."
    where = "" if len(replicated) == len(study.experiments) else (
        f" in {joined(study.experiments[name].title for name in replicated)}"
    )  # fmt: skip
    rest = "" if not where else "; elsewhere no interval knows who was asked"
    return (
        f"Since {why}, every model{where} was trained {count} times more with its raters reweighted at random, and the "
        f"full interval adds the spread of these effects{rest}. What it leaves out stands in the chapter on how sure "
        "this is."
    )


def _budgets(study: Study) -> str:
    """What every condition has the same number of, and what an effect is then confounded with."""
    epochs = (
        "for the same number of epochs, so a condition with fewer pairs takes fewer steps: an effect of more data is "
        "not told apart from one of better data"
    )
    steps = "for the same number of optimiser steps, so a condition with fewer pairs sees each of them more often"
    titles = {
        budget: [item.title for item in study.experiments.values() if item.budget == budget]
        for budget in ("epochs", "steps")
    }
    if not titles["steps"]:
        return f"All train {epochs}."
    if not titles["epochs"]:
        return f"All train {steps}."
    return f"Conditions of {joined(titles['epochs'])} train {epochs}; those of {joined(titles['steps'])} {steps}."


def _published(study: Study) -> list[str]:
    """What the published values are, where there are any."""
    if not any(contrast.published for item in study.experiments.values() for contrast in item.contrasts.values()):
        return []
    reason = f" Equality is not expected with {joined(study.label.split(', '))}." if study.label else ""
    return [
        "Published values beside ours are the paper's (arXiv 2511.14476). They come from other models, from the "
        f"paper's own participants and from another judge, so ours need not equal them.{reason}"
    ]


def _counted(facts: Facts, key: str) -> str:
    """`1,095 participants`; nothing where it isn't known."""
    return f"{whole(facts.counts[key])} {key}" if key in facts.counts else ""


CHAPTER = Chapter("method", "What was done", [Cells, Effects, Pooled, Audit], parts=_parts)
