"""The settings of a study: frozen, validated at construction, unknown keys refused.

A study is data. Its dimensions, strata, scales, conditions and contrasts are named here and nowhere in the code;
`configs.load` reads them from YAML.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Annotated, Any, ClassVar, Literal, Self, TypeGuard, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SerializeAsAny,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_core.core_schema import CoreSchema, no_info_after_validator_function, str_schema

from configs.errors import Faults, Place, short
from configs.placebo import PLACEBO, with_placebos
from configs.urls import OPENAI, checked_address, host_of, is_openai, key_variable

CONTROL = "control"
"""The architecture untouched; every contrast may name it, no experiment defines it."""

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=80)]
HUB_NAME = re.compile(r"(?:[A-Za-z0-9_][\w.-]{0,95}/)?[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


def is_nothing(value: object) -> bool:
    """A later key at its default is left out where settings are written, so that what was made without it is found."""
    return not value


def is_hub_name(value: object) -> TypeGuard[str]:
    """Whether a value is the id of a repository of the hub, `ORG/NAME` or `NAME`, and no path and no address."""
    return isinstance(value, str) and HUB_NAME.fullmatch(value) is not None


def is_file_of_hub(name: str) -> bool:
    """Whether this can be the name of a file, or of a revision, within a repository of the hub."""
    path = PurePath(name)
    return not path.is_absolute() and ".." not in path.parts and ":" not in name and name.isprintable()


def _tell_of_hub(hub: str | None, revision: str | None, faults: Faults) -> None:
    if hub is not None and not is_hub_name(hub):
        faults.add(
            ("hub",), f"expected ORG/NAME of the hub; a folder of this machine is path: FOLDER; got {short(hub)}"
        )
    if hub and revision and not is_file_of_hub(revision):
        faults.add(("revision",), f"expected a branch, a tag or a commit, got {short(revision)}")


class FaultyKey:
    """Stands in for the value of a key that can't be there, so that pydantic tells of it beside all other errors; as a
    text it says what is wrong. `allowed`: the keys that could, where that is the fault. `below`: what is faulty within
    the model, where that is another place than the key."""

    def __init__(self, text: str, allowed: Iterable[str] = (), below: Place = ()) -> None:
        self._text, self._allowed, self.below = text, tuple(allowed), below

    def known_before_colon(self, key: str) -> bool:
        """Whether a key that could be there is followed by a colon and more, as in `title:Small`."""
        name, colon, more = key.partition(":")
        return bool(colon and more) and name in self._allowed

    def __repr__(self) -> str:
        return self._text


class HiddenFault:
    """Stands in for a value that may hold a secret, so that no error shows it, and tells what is wrong with it."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def __repr__(self) -> str:
        return "(not shown)"


FITTED_LATER = {"fitted": "later"}
"""The context of a validation whose caller collects what `find_faults` finds in all models, so that it sees it all."""


class Frozen(BaseModel):
    """Base of all settings: no key that is unknown, no number that is not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _tell_allowed_keys(cls, data: Any) -> Any:
        """Put the allowed keys into pydantic's error about an unknown one, beside all other errors."""
        if not isinstance(data, dict):
            return data
        allowed = cls.allowed_keys()
        known = {key: value for key, value in data.items() if key in allowed or isinstance(value, FaultyKey)}
        text = f"allowed: {', '.join(allowed)}"
        return known | {
            key: FaultyKey(f"unknown key {short(key)}; {text}", allowed) for key in data if key not in known
        }

    @classmethod
    def allowed_keys(cls) -> list[str]:
        """The keys that a file may give."""
        return list(cls.model_fields)

    def find_faults(self, faults: Faults) -> None:
        """Collect what does not fit together, once each value by itself is as it should be; places are within it."""

    @model_validator(mode="after")
    def _parts_fit(self, info: ValidationInfo) -> Self:
        if info.context is not FITTED_LATER:
            faults = Faults()
            self.find_faults(faults)
            faults.raise_any()
        return self


# ---- ratings


class Simulation(Frozen):
    """A simulated export: its size (the defaults are the paper's, Data Collection), and whose judgement is sharper."""

    participants: Count = 1095
    responses_each: Count = 5
    prompts: Count = 587
    responses_per_prompt: Annotated[int, Field(ge=2)] = 3
    slopes: dict[str, dict[str, dict[str, float]]] = {}
    """Dimension → attribute → value → the factor that multiplies the slope, on what a text shows of the dimension, of
    who declares the value: 2 tells texts apart twice as sharply, 0 not at all, -1 the other way round. Several factors
    multiply each other, those of several values of one attribute too. By default nobody's slope differs."""
    careless: Annotated[float, Field(ge=0, lt=1, exclude_if=is_nothing)] = 0.0
    """Share of participants who answer at random, every label as likely as any other, whatever the response."""

    def find_faults(self, faults: Faults) -> None:
        responses = self.prompts * self.responses_per_prompt
        if self.participants * self.responses_each < 2 * responses:
            given = f"{self.participants} participants x {self.responses_each} ratings"
            needed = f"can't give each of {responses} responses two raters; raise participants or lower prompts"
            faults.add((), f"{given} {needed}")


class Ratings(Frozen):
    """Where ratings come from, read through one or more codebooks.

    A folder with an export, a simulation, or a collection into which `pluralign land` has landed exports.
    """

    folder: str | None = None
    simulate: Simulation | None = None
    collection: Slug | None = None
    snapshot: str = "latest"
    """Which snapshot of the collection: the latest, or one by its id or how that begins (six digits or more)."""
    codebooks: Annotated[tuple[str, ...], Field(min_length=1)]

    @field_validator("snapshot", mode="before")
    @classmethod
    def _id_is_text(cls, value: object) -> object:
        if not isinstance(value, str):
            raise ValueError(f"an id of digits alone needs quotes, like '123456', or YAML reads the number {value}")
        return value

    def find_faults(self, faults: Faults) -> None:
        if sum(source is not None for source in (self.folder, self.simulate, self.collection)) != 1:
            faults.add((), "give exactly one of folder, simulate, collection")
        if self.snapshot != "latest" and self.collection is None:
            faults.add((), "snapshot: only a collection has snapshots")


class Dimension(Frozen):
    """What is rated. `better` says in which direction a rating is good."""

    title: str
    better: Literal["lower", "higher"]
    definition: str = ""
    german: str = ""
    """The definition in German, for a rubric in that language."""


class Stratum(Frozen):
    """A demographic group: participants who declare one of `values` for `attribute` (among others, if several)."""

    attribute: str
    values: Annotated[tuple[str, ...], Field(min_length=1)]
    title: str | None = None


class Half(Frozen):
    """One of two random halves of the raters of several strata together, drawn by a stable hash."""

    of: Annotated[tuple[str, ...], Field(min_length=1)]
    number: Count
    """Which division into halves."""
    second: bool = False
    """Which of both halves."""


# ---- experiments


Voices = Literal["equal", "population", "robust", "least-regret", "maxmin", "named", "merged"]
"""Each of an experiment's groups with the same weight; with its share of the population (`Study.population`); with the
weight that training gives it, more where the model serves it worse (`Robust`), or worse than its own adapter does; the
least of all groups' rewards (GRPO); with the same weight, and named to the model (`Recipe.name_sentence`); or the mean
of the adapters that groups have of their own, which trains nothing."""
OWN_NEEDED = ("least-regret", "merged")
"""Voices that start from each group's own adapter."""


class RaterFilter(Frozen):
    """Which of a condition's raters train nothing, as in `{drop: 0.1, by: person_fit}`."""

    drop: Share
    """The share of its raters who are left out, those with the most doubtful answers by the index first."""
    by: Literal["person_fit", "outfit", "even_odd", "long_string", "chance"] = "person_fit"
    """person_fit, outfit: answers that the ordinal models expect least (by l_z, by outfit). even_odd: the least
    consistent answers. long_string: the longest runs of one label. chance: as many raters, by a stable hash."""


class Condition(Frozen):
    """How feedback becomes training (paper, Experiment Setup)."""

    dimensions: Annotated[tuple[str, ...], Field(min_length=1)]
    stratum: str | None = None
    """Whose ratings; by default everybody's."""
    half: Half | None = None
    """Instead of a stratum: those of a random half of some raters, in a placebo contrast."""
    voices: Annotated[Voices | None, Field(exclude_if=is_nothing)] = None
    """How the ratings of the experiment's groups are put together; without it every preference counts alike."""
    raters: Annotated[RaterFilter | None, Field(exclude_if=is_nothing)] = None
    """Whom of these to leave out; by default nobody."""
    scale: str
    aggregation: Literal["all", "majority", "consensus", "first", "average"] = "all"
    method: str = "dpo"
    """Which training method: one of those that `tasks/methods` has."""
    within: Literal["prompt", "participant"] = "prompt"
    """Whose labels are compared: any two of a prompt's, or only those of the same participant."""

    @property
    def some_raters(self) -> bool:
        """Whether it asks some raters only: a stratum, a half, or those whom a filter leaves."""
        return bool(self.stratum or self.half or self.raters)

    @property
    def trains(self) -> bool:
        """Whether it takes training steps; an adapter that is merged from others takes none."""
        return self.voices != "merged"

    @property
    def robust(self) -> bool:
        """Whether training changes the weights of groups, towards those that it serves worst."""
        return self.voices in ("robust", "least-regret")

    @field_validator("method")
    @classmethod
    def _method_is_known(cls, name: str) -> str:
        if name not in known_methods():
            raise ValueError(f"unknown {name!r}; allowed: {', '.join(known_methods())}")
        return name

    def find_faults(self, faults: Faults) -> None:
        if self.within == "participant" and self.aggregation != "all":
            needed = f"needs aggregation: all; {self.aggregation} leaves no participants"
            faults.add((), f"within: participant {needed}")
        if self.stratum is not None and self.half is not None:
            faults.add((), "a stratum or a half, not both")
        if self.voices is not None and (self.stratum is not None or self.half is not None):
            faults.add((), "voices are those of the experiment's groups; leave out stratum and half")
        if self.voices is not None and self.voices not in known_methods()[self.method].voices:
            methods = [name for name, settings in known_methods().items() if self.voices in settings.voices]
            trained = f"{self.voices} can't be trained with {self.method}; with {' or '.join(methods)}"
            faults.add((), f"voices: {trained}")


class Published(Frozen):
    """A pooled effect as the paper prints it; either may be missing there. `p` is text: `".010"`, `"< .001"`."""

    estimate: float | None = None
    p: str | None = None


class Contrast(str):
    """Two conditions, or a condition and the control, of which the second is taken from the first: `A - B`, a text.

    `Contrast("5-point - control")` has `first` "5-point" and `second` "control".

    Raises:
        ValueError: when it is not two different names with ` - ` between them.
    """

    first: str
    second: str

    def __new__(cls, name: str) -> Self:
        sides = [side.strip() for side in name.split(" - ")]
        if len(sides) != 2 or not all(sides) or sides[0] == sides[1]:
            raise ValueError(f"contrasts: {name!r} is not of the form 'A - B'")
        contrast = super().__new__(cls, " - ".join(sides))
        contrast.first, contrast.second = sides
        return contrast

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(cls, str_schema())

    @property
    def sides(self) -> tuple[str, str]:
        """Both names."""
        return self.first, self.second


class ContrastSettings(Frozen):
    """What is known beforehand about a contrast: the dimensions that the paper looks at, and its values."""

    focus: tuple[str, ...] = ()
    published: dict[str, Published] = {}


class RatioSettings(Frozen):
    """How many times as large the effect of contrast `of` is as that of contrast `to`; `published`: the paper's."""

    of: str
    to: str
    dimension: str
    published: float | None = None


class Experiment(Frozen):
    """Conditions, and the contrasts between them (`A - B`; B may be `control`).

    `extends` names another experiment of the study, whose settings this one takes over where it gives no others.
    """

    title: str
    question: str
    extends: Slug | None = None
    budget: Literal["epochs", "steps"] = "epochs"
    """epochs: each condition trains for the recipe's epochs, so that fewer pairs are fewer steps. steps: all
    conditions of a method take as many steps as the one with most data takes in its epochs."""
    groups: tuple[Slug, ...] = ()
    """The strata that the conditions with `voices` are to serve. Who is in several counts in each of them."""
    conditions: Annotated[dict[Slug, Condition], Field(min_length=1)]
    contrasts: Annotated[dict[Contrast, ContrastSettings], Field(min_length=1)]
    ratios: tuple[RatioSettings, ...] = ()
    """Of pooled effects, as in "53% more than"."""
    figure: str = ""
    """Which figure of the paper shows the same, for who puts both side by side."""

    @model_validator(mode="before")
    @classmethod
    def _parse_contrasts(cls, data: Any) -> Any:
        """Here rather than key by key, so that the message says of which experiment the contrast is."""
        contrasts = data.get("contrasts") if isinstance(data, dict) else None
        if not isinstance(contrasts, dict):
            return data
        parsed: dict[Any, Any] = {}
        faulty: dict[str, FaultyKey] = {}
        for name, settings in contrasts.items():
            try:
                parsed[Contrast(name) if isinstance(name, str) else name] = settings
            except ValueError as error:
                faulty[f"contrasts {name}"] = FaultyKey(str(error), below=("contrasts", name))
        if faulty and not parsed:
            raise ValueError("; ".join(map(str, faulty.values())))
        return data | {"contrasts": parsed} | faulty

    def find_faults(self, faults: Faults) -> None:
        for name, condition in self.conditions.items():
            place = ("conditions", name, "voices")
            least = 2 if condition.voices in ("robust", "maxmin", "named", *OWN_NEEDED) else 1
            if condition.voices and len(self.groups) < least:
                wanted = "two groups or more" if least == 2 else "groups"
                faults.add(place, f"{condition.voices} needs {wanted}: groups: [STRATUM, …]")
            lacking = [] if condition.voices not in OWN_NEEDED else self.own_conditions(condition).items()
            for group, own in lacking:
                if own is None:
                    needed = f"a condition with stratum: {group}, the same but for its voices"
                    faults.add(place, f"{condition.voices} needs {needed}")
        if len(set(self.groups)) < len(self.groups):
            faults.add(("groups",), f"named twice: {', '.join(sorted(self.groups))}")
        if CONTROL in self.conditions:
            faults.add(("conditions",), f"{CONTROL!r} is the untouched architecture; choose another name")
        sides = (*self.conditions, *([] if CONTROL in self.conditions else [CONTROL]))
        misnamed = [(name, side) for name in self.contrasts for side in name.sides if side not in sides]
        for name, side in misnamed:
            faults.unknown(("contrasts", name), side, sides)
        for number, ratio in enumerate(() if misnamed else self.ratios):  # which may mean one of these
            for key, contrast in (("of", ratio.of), ("to", ratio.to)):
                if contrast not in self.contrasts:
                    faults.unknown(("ratios", number, key), contrast, self.contrasts)

    @property
    def own(self) -> dict[str, str]:
        """Group → the condition of its own adapter, where each group has one that is like a condition with voices."""
        own = [self.own_conditions(condition) for condition in self.conditions.values() if condition.voices]
        whole = [names for names in own if None not in names.values()]
        return {group: str(name) for group, name in whole[0].items()} if whole else {}

    def own_conditions(self, condition: Condition) -> dict[str, str | None]:
        """Group → the condition that trains on its ratings alone, else as this one does; None where there is none."""

        def as_trained(own: Condition) -> Condition:
            return own.model_copy(update={"stratum": None, "voices": None})

        alike = {own.stratum: name for name, own in self.conditions.items() if as_trained(own) == as_trained(condition)}
        return {group: alike.get(group) for group in self.groups}

    @property
    def compared_strata(self) -> dict[Contrast, tuple[str, str]]:
        """Contrasts of two conditions that are trained on the ratings of different strata, with these strata."""
        of_side = {name: condition.stratum for name, condition in self.conditions.items()}
        strata = {contrast: (of_side.get(contrast.first), of_side.get(contrast.second)) for contrast in self.contrasts}
        return {contrast: (a, b) for contrast, (a, b) in strata.items() if a and b and a != b}


class Evaluation(Frozen):
    """Held-out prompts (a share of all, by a hash of the prompt's id) and the dimensions judged on them."""

    share: Share = 0.25
    dimensions: Annotated[tuple[str, ...], Field(min_length=1)]
    max_prompts: Count | None = None


Level = Literal["nominal", "ordinal", "interval"]
"""What Krippendorff's alpha takes two categories' distance to be: different or not, in ranks, or in steps."""


class PublishedChange(Frozen):
    """A term of an ordinal model as the paper prints it: 100 · (odds ratio - 1), and p as text."""

    percent: float
    p: str


class Survey(Frozen):
    """`draws`: bootstrap draws for the intervals of Krippendorff's alpha; `level`: its measure of distance."""

    draws: Count = 1000
    level: Level = "ordinal"
    positive_from: Count | None = None
    """Lowest category that counts as a positive rating in the co-occurrence matrix; by default above the middle."""
    reference: dict[str, str] = {}
    """Attribute → the value that the others are compared with, in a mixed ordinal model of each dimension."""
    published: dict[str, dict[str, dict[str, PublishedChange]]] = {}
    """Dimension → attribute → value → the paper's change in the odds."""
    min_participants: Count = 10
    """Values that fewer declare are pooled as `other`, and what concerns fewer is not shown."""

    def find_faults(self, faults: Faults) -> None:
        for dimension, attributes in self.published.items():
            for attribute in attributes:
                if attribute not in self.reference:
                    faults.unknown(("published", dimension), attribute, self.reference)


# ---- models


class Pooling(Frozen):
    """How effects are pooled beside the paper's way."""

    tau_scale: Positive = 0.1
    """Scale of the half-normal prior on τ, the standard deviation of the true effects of architectures: the prior says
    that τ is below twice this in 95 of 100 studies."""


class Tiny(Frozen):
    """An architecture built from its transformers config and pre-trained on the study's own training texts.

    `tilt` makes the families start from different places, as real models do: each reads its own diet, a text drawn
    with probability ∝ exp(tilt · z), z the text's standardised share of words that a hash of the family likes.
    """

    config: dict[str, int | float | bool | str] = {}
    tilt: float = 1.0


class Architecture(Frozen):
    """A causal language model: tiny (built here), from the hub, from a folder, or from a GGUF file."""

    name: Slug
    title: str
    family: str
    parameters: Positive
    """How many it has, about."""
    tiny: Tiny | None = None
    hub: str | None = None
    gated: bool = False
    """Whether the hub gives it only to who has accepted its licence, with a token."""
    path: str | None = None
    gguf: Annotated[str | None, Field(exclude_if=is_nothing)] = None
    """A GGUF file, whose weights are dequantised once; with `hub`, the name of a file of that repository."""
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "4-bit"] = "auto"
    """auto: a tiny model in float32, another in bfloat16 where the machine has instructions for it, else in float32.
    4-bit: weights in NF4, computation in bfloat16, for small GPUs; needs bitsandbytes."""
    target_modules: str | tuple[str, ...] = "all-linear"
    gpus: Count = 1
    """GPUs that one training run is sharded over (FSDP), for a model that is too large for one."""
    reasoning: bool = False
    """Whether it thinks before it answers; what stands before `</think>`, or a mark like it, is
    stripped before judging, and counted."""

    def find_faults(self, faults: Faults) -> None:
        alone = None if self.hub else self.gguf
        if sum(source is not None for source in (self.tiny, self.hub, self.path, alone)) != 1 or (
            self.gguf and (self.tiny or self.path)
        ):
            faults.add((), "give exactly one of tiny, hub, path, gguf; or hub with gguf, the name of a file in it")
        _tell_of_hub(self.hub, self.revision, faults)
        if self.hub and self.gguf and not is_file_of_hub(self.gguf):
            faults.add(("gguf",), f"expected the name of a file in the hub's repository, got {short(self.gguf)}")
        if self.gpus > 1 and self.dtype == "4-bit":
            faults.add(("gpus",), "weights in 4 bits can't be sharded; give gpus: 1 or dtype: bfloat16")


class Pretraining(Frozen):
    """How tiny bases are pre-trained (AdamW, cosine) and which tokenizer they get."""

    tokenizer: Literal["word", "bpe"] = "word"
    vocabulary: Count = 2000
    steps: Count = 400
    batch_size: Count = 16
    learning_rate: Positive = 4e-3


class Lora(Frozen):
    rank: Count = 8
    alpha: Count = 16


class MethodSettings(Frozen):
    """Base of the recipe's blocks. Each is defined in its method's file, and known by the method's name from then on:
    `class DpoSettings(MethodSettings, method="dpo")`."""

    voices: ClassVar[frozenset[str]] = frozenset()
    """The values of a condition's `voices` that it can train."""
    shared: ClassVar[str]
    """The setting whose number of rows the GPUs of a sharded run share evenly."""
    _known: ClassVar[dict[str, type[MethodSettings]]] = {}

    def __init_subclass__(cls, method: str, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        MethodSettings._known[method] = cls


Block = TypeVar("Block", bound=MethodSettings)


def known_methods() -> dict[str, type[MethodSettings]]:
    """Method → the model of its block in the recipe.

    Raises:
        RuntimeError: no method has been imported yet.
    """
    if not MethodSettings._known:
        raise RuntimeError("no training method is known yet: import tasks.methods before settings are read")
    return MethodSettings._known


class Limits(Frozen):
    """What a training run must keep to; one that does not is marked wherever its numbers are used.

    Of its answers, beside the control's: a share of well-formed ones, and mean words, at least and at most so many
    times the control's; shares of those cut off at the limit of new tokens, of empty and of repetitive ones at most so
    much above the control's. Of its training, where it took ten steps: a margin above `margin`. Of the control itself:
    at least a share `control` of well-formed answers; below it the control and all runs of its architecture are marked.
    """

    well_formed: Annotated[float, Field(ge=0, le=1)] = 0.9
    shortest: Annotated[float, Field(ge=0, le=1)] = 0.5
    longest: Annotated[float, Field(ge=1)] = 2.0
    cut_off: Annotated[float, Field(ge=0, le=1)] = 0.1
    empty: Annotated[float, Field(ge=0, le=1)] = 0.05
    repetitive: Annotated[float, Field(ge=0, le=1)] = 0.1
    margin: float = 0.0
    control: Annotated[float, Field(ge=0, le=1)] = 0.1


class Robust(Frozen):
    """Training that looks after the group that the model serves worst (`voices: robust`).

    After each step the weight of group g grows by the factor exp(rate · (L_g + adjustment / √n_g)), L_g its loss and
    n_g its rows, and all are scaled to sum 1 (Sagawa et al. 2020; Ramesh et al. 2024).
    """

    rate: Annotated[float, Field(ge=0)] = 0.1
    """η_q; 0 leaves all groups with the same weight."""
    adjustment: Annotated[float, Field(ge=0)] = 0.0
    """C: how much more a small group counts than its loss says."""
    memory: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """L_g is a running mean over steps, of which the past has this part: a step may hold few rows of a small group."""


GROUP_NAME, NAME_SENTENCE = "{group}", "The user belongs to this group: {group}."
"""What stands for the name of a group in the sentence that tells it to a model, and that sentence by default."""


class Recipe(Frozen):
    """Hyperparameters of fine-tuning and generation; the paper's are not published, these are our choice.

    Beside these keys it has a block for each training method, under the method's name; a missing one has its defaults.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, SerializeAsAny[MethodSettings]]

    max_length: Count = 512
    """Longest training sequence, prompt and response, in tokens; longer ones are cut."""
    max_new_tokens: Count = 256
    generation_batch: Count = 64
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 300
    """A training run that is killed goes on from a checkpoint that is at most so old, and up to four steps."""
    lora: Lora = Lora()
    robust: Robust = Robust()
    name_sentence: Annotated[str, Field(exclude_if=NAME_SENTENCE.__eq__)] = NAME_SENTENCE
    """What the system turn says under `voices: named`, with the group's title in the place of `{group}`."""
    pretraining: Pretraining = Pretraining()

    @field_validator("name_sentence")
    @classmethod
    def _sentence_has_a_place_for_the_name(cls, sentence: str) -> str:
        if GROUP_NAME not in sentence:
            raise ValueError(f"no place for the group's name: {GROUP_NAME}")
        return sentence

    @model_validator(mode="before")
    @classmethod
    def _read_blocks(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        kinds: dict[str, Any] = {name: (kind, kind()) for name, kind in known_methods().items()}
        blocks = create_model("Blocks", **kinds).model_validate({key: data[key] for key in kinds if key in data})
        return data | dict(blocks)

    @classmethod
    def allowed_keys(cls) -> list[str]:
        return [*cls.model_fields, *known_methods()]

    @property
    def blocks(self) -> dict[str, MethodSettings]:
        """Method → its settings."""
        return dict(self.__pydantic_extra__ or {})

    def block(self, kind: type[Block]) -> Block:
        """The settings of one method, by their model."""
        return next(block for block in self.blocks.values() if isinstance(block, kind))


Measure = Literal["agreement", "weighted_kappa", "spearman", "alpha"]
"""How far a judge agrees with the humans: see `tasks/judging/proof.py`."""


class Proof(Frozen):
    """The judge against the humans, before it is used.

    `sample`: how many human-rated responses to held-out prompts it scores for that, chosen by a stable hash; by
    default all. `draws`: bootstrap draws for the intervals.
    """

    sample: Count | None = None
    draws: Count = 1000
    floor: dict[Measure, Share] = {}
    """What it must reach on every evaluated dimension, held against all raters; by default nothing."""
    below: Literal["stop", "mark"] = "stop"
    """Below the floor the study stops before anything is trained or judged, or goes on and says so in its report."""


class Price(Frozen):
    """US dollars a million tokens; for a batch, those of the batch."""

    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]


class BaseJudgeSettings(Frozen, ABC):
    """What the settings of every judge hold, and what they say of the judge before it is made ready.

    The settings' `kind` chooses the judge: `tasks/judging/judges.py` makes it.
    """

    learns: ClassVar[bool] = False
    """Whether it is fitted on the ratings of held-out prompts."""
    paid: ClassVar[bool] = False
    """Whether a verdict takes a call that may cost something."""
    proof: Proof = Proof()

    @property
    @abstractmethod
    def title(self) -> str:
        """What it is called within a sentence."""

    @property
    def subject(self) -> str:
        """What it is called where a sentence begins."""
        return self.title

    @property
    def method(self) -> str:
        """What gives the scores, where a sentence begins."""
        return self.title

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        """The models that it needs beside those of the study."""
        return ()

    @property
    def address(self) -> str:
        """Where its calls go, "" where it makes none."""
        return ""

    @property
    def key(self) -> str:
        """The environment variable in which its key is looked for, "" where it has none."""
        return ""

    @property
    def needs_key(self) -> bool:
        """Whether it can't do without the key that the variable `key` names."""
        return False

    def check_dimensions(self, dimensions: Mapping[str, Dimension], faults: Faults) -> None:
        """Add a fault, placed in the study, for each of these dimensions that it can't judge."""


class Encoder(Frozen):
    """A small model that makes a vector of a text, as the library sentence-transformers reads it: from the hub, or from
    a folder."""

    hub: str | None = None
    revision: str | None = None
    path: str | None = None

    def find_faults(self, faults: Faults) -> None:
        if (self.hub is None) == (self.path is None):
            faults.add((), "give exactly one of hub, path")
        _tell_of_hub(self.hub, self.revision, faults)
        if self.path and self.revision:
            faults.add((), "revision: only a model of the hub has one")

    @property
    def name(self) -> str:
        """What it is called where it can't be used."""
        return "judge.encoder"

    @property
    def title(self) -> str:
        """What it is called within a sentence."""
        return self.hub or PurePath(str(self.path)).name


Features = Literal["words", "embeddings", "both", "best"]
"""What the embedded judge reads of an answer; best: whichever of the three agrees most with the raters of prompts that
are left out of those that it learns from."""


class EmbeddedJudgeSettings(BaseJudgeSettings):
    """A text regression of the human ratings of held-out prompts."""

    learns = True
    kind: Literal["embedded"] = "embedded"
    features: Annotated[Features | None, Field(exclude_if=is_nothing)] = None
    """By default words, and best where an encoder is given."""
    encoder: Annotated[Encoder | None, Field(exclude_if=is_nothing)] = None
    """What makes sentence embeddings; needs `pip install 'pluralign[embeddings]'`."""

    def find_faults(self, faults: Faults) -> None:
        if self.features not in (None, "words") and self.encoder is None:
            faults.add((), f"features: {self.features} needs an encoder: {{hub: …}} or {{path: …}}")

    @property
    def reads(self) -> Features:
        """The features, or the default."""
        return self.features or ("best" if self.encoder else "words")

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        return (self.encoder,) if self.encoder and self.reads != "words" else ()

    @property
    def title(self) -> str:
        return "the embedded judge"

    @property
    def subject(self) -> str:
        return "The embedded judge" if self.reads == "best" else f"The embedded judge, which reads {self._reading},"

    @property
    def method(self) -> str:
        return f"A text regression of the ratings of held-out prompts (on {self._reading})"

    @property
    def _reading(self) -> str:
        words, encoder = "the words of an answer", self.encoder.title if self.encoder else ""
        vector = f"the sentence embedding by {encoder}"
        return {
            "words": words,
            "embeddings": f"{vector} of an answer",
            "both": f"{words} and {vector}",
            "best": f"{words}, {vector} or both, whichever agrees best with raters",
        }[self.reads]


class LlmJudgeSettings(BaseJudgeSettings):
    """A chat model behind an OpenAI-compatible endpoint.

    The key of OpenAI's address comes from `OPENAI_API_KEY` or Prefect's Secret block `openai-api-key`; any other
    host has a variable and a block of its own (`key`). A verdict is kept for the same model, rubric, `temperature`,
    `max_tokens`, prompt and answer; all else may change without asking again.
    """

    paid = True
    kind: Literal["llm"]
    model: str
    base_url: str | None = None
    """By default OpenAI's address."""
    language: Literal["en", "de"] = "en"
    """Of the rubric; `de` needs a `german` definition of every evaluated dimension."""
    temperature: Annotated[float, Field(ge=0)] | None = 0.0
    """null sends none, and the model takes its own; so does a model that refuses to be given one."""
    max_tokens: Count = 200
    """Longest verdict, in tokens; a model that reasons before it answers needs more."""
    max_tokens_as: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the endpoint calls `max_tokens`; where it refuses one of the two names, the other is tried."""
    batch: bool = False
    """Ask by the endpoint's Batch API: cheaper, and done within a day."""
    at_once: Count = 64
    """Calls in flight, at most; how many there are adapts to what the endpoint takes."""
    timeout: Positive = 60.0
    """Seconds that a call may take."""
    retries: Count = 6
    """How often a call that got no answer is repeated."""
    tries: Count = 2
    """How often a verdict is asked for that is refused, cut off or not one, before the answer stays unscored."""
    price: Price | None = None
    """For the estimate of `pluralign plan` and for `max_cost`; no price is assumed."""
    max_cost: Positive | None = None
    """US dollars that a run may spend on the judge; it stops before it would pass them."""

    @model_validator(mode="before")
    @classmethod
    def _hide_a_faulty_address(cls, data: Any) -> Any:
        """Put what is wrong in the place of an address that can't be one: there may be a password in it."""
        if isinstance(data, dict) and isinstance(url := data.get("base_url"), str):
            try:
                checked_address(url)
            except ValueError as fault:
                return data | {"base_url": HiddenFault(str(fault))}
        return data

    @field_validator("base_url", mode="before")
    @classmethod
    def _tell_a_faulty_address(cls, url: Any) -> Any:
        if isinstance(url, HiddenFault):
            raise ValueError(url.fault)
        return url

    def find_faults(self, faults: Faults) -> None:
        if self.max_cost is not None and self.price is None:
            faults.add((), "max_cost: needs price, or what is spent is not known")

    @property
    def title(self) -> str:
        return self.model

    @property
    def address(self) -> str:
        """Where the calls go."""
        return self.base_url or OPENAI

    @property
    def key(self) -> str:
        return key_variable(host_of(self.address))

    @property
    def needs_key(self) -> bool:
        return is_openai(host_of(self.address))

    def check_dimensions(self, dimensions: Mapping[str, Dimension], faults: Faults) -> None:
        for name, dimension in dimensions.items():
            if self.language == "de" and not dimension.german:
                faults.add(("dimensions", name, "german"), "missing, and judge.language is de")


JudgeSettings = Annotated[EmbeddedJudgeSettings | LlmJudgeSettings, Field(discriminator="kind")]


class Raters(Frozen):
    """How sure the results are of who was asked: the study trained again with its raters reweighted (Rubin 1981)."""

    replicates: Annotated[int, Field(ge=0)] = 0
    """How often; 0 leaves out who was asked from every interval, and the report says so. Eight tell a standard error to
    about a quarter of it."""
    experiments: tuple[Slug, ...] | None = None
    """Those whose trained cells are trained again; by default all."""

    @field_validator("replicates")
    @classmethod
    def _none_or_several(cls, count: int) -> int:
        if count == 1:
            raise ValueError("one replicate has no spread; allowed: 0, or 2 and more")
        return count


class Assumptions(Frozen):
    """What `pluralign design` is to take for a contrast's error in place of what was measured, on the 0–1 score.

    A value that is left out is the measured one where there is one, else our assumption, which the output names.
    """

    raters: Positive | None = None
    """Standard error from who was asked, with the study's own number of raters."""
    transfer: Positive | None = None
    """Without replicates: how far training moves the score, in units of how much higher the responses score that the
    raters prefer."""
    prompts: Positive | None = None
    """Standard deviation over held-out prompts of the difference in score that one architecture shows."""
    prompts_shared: Annotated[float, Field(ge=0, le=1)] | None = None
    """Correlation of these differences between two architectures."""
    architectures: Annotated[float, Field(ge=0)] | None = None
    """Standard deviation of the effect between architectures, τ."""
    seeds: Annotated[float, Field(ge=0)] | None = None
    """Standard deviation of an architecture's effect between training seeds."""


# ---- the study


class Runtime(Frozen):
    """How a study is run."""

    retries: Annotated[int, Field(ge=0, le=100)] = 2
    """Of a job whose process or machine was lost."""


class Study(Frozen):
    """Everything that a study is; names inside are checked against each other."""

    name: Slug
    title: str
    seed: Annotated[int, Field(ge=0)] = 0
    seeds: Count = 1
    """Training runs a cell, with the seeds seed, seed + 1, …; how much they differ is in the effects' errors."""
    ratings: Ratings
    dimensions: Annotated[dict[Slug, Dimension], Field(min_length=1)]
    strata: dict[Slug, Stratum] = {}
    scales: Annotated[dict[str, tuple[int | None, ...]], Field(min_length=1)]
    """Name → the label that each category of the questionnaire becomes, lowest first; null drops it."""
    survey: Survey = Survey()
    evaluation: Evaluation
    pooling: Pooling = Pooling()
    experiments: dict[Slug, Experiment] = {}
    population: dict[str, dict[str, Share]] = {}
    """Attribute → value → its share of the population that `voices: population` speaks for, such as a census's; the
    shares of an attribute sum to one. Several attributes are met at once (raking)."""
    placebo: Annotated[int, Field(ge=0)] = 0
    """So many contrasts between random halves of raters are added, as the experiment `placebo`."""
    models: Annotated[str | None, Field(exclude_if=is_nothing)] = None
    """A folder in which the hub's models are looked for first: ORG/NAME, NAME, or NAME….gguf."""
    architectures: tuple[Architecture, ...] = ()
    recipe: Annotated[Recipe, Field(default_factory=dict, validate_default=True)]
    limits: Limits = Limits()
    raters: Raters = Raters()
    judge: JudgeSettings = EmbeddedJudgeSettings()
    runtime: Annotated[Runtime, Field(exclude=True)] = Runtime()
    """How it is run; nothing that it gives depends on it."""

    @field_validator("dimensions", "strata")
    @classmethod
    def _all_is_everything(cls, named: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if "all" in named:
            raise ValueError(f"'all' means all {info.field_name} together in tables; choose another name")
        return named

    @property
    def label(self) -> str:
        """What a reader must know before believing a number: `""` where ratings and models are real."""
        parts = ["simulated raters"] if self.ratings.simulate else []
        if any(architecture.tiny for architecture in self.architectures):
            parts.append("tiny models")
        return ", ".join(parts)

    @model_validator(mode="before")
    @classmethod
    def _add_placebos(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        try:
            return with_placebos(data)
        except ValueError as error:
            return data | {"no placebo": FaultyKey(str(error), below=("placebo",))}

    def stratum_title(self, name: str) -> str:
        """One of its strata as people call it."""
        return self.strata[name].title or name

    def replicates_of(self, experiment: str) -> range:
        """The numbers of the experiment's rater replicates, from 1 on."""
        chosen = self.raters.experiments is None or experiment in self.raters.experiments
        return range(1, 1 + self.raters.replicates) if chosen else range(0)

    def find_faults(self, faults: Faults) -> None:
        for number, name in enumerate(self.evaluation.dimensions):
            if name not in self.dimensions:
                faults.unknown(("evaluation", "dimensions", number), name, self.dimensions)
        for key, experiment in self.experiments.items():
            self._check_experiment(faults, ("experiments", key), experiment)
        for attribute, shares in self.population.items():
            if abs(sum(shares.values()) - 1) > 1e-6:
                faults.add(("population", attribute), f"the shares sum to {sum(shares.values()):g}, not to 1")
        for number, name in enumerate(self.raters.experiments or ()):
            if name not in (*self.experiments, PLACEBO):
                faults.unknown(("raters", "experiments", number), name, self.experiments)
        for name in self.survey.published:
            if name not in self.dimensions:
                faults.unknown(("survey", "published"), name, self.dimensions)
        judged = {name: self.dimensions[name] for name in self.evaluation.dimensions if name in self.dimensions}
        self.judge.check_dimensions(judged, faults)
        self._check_architectures(faults)

    def _check_architectures(self, faults: Faults) -> None:
        names = [architecture.name for architecture in self.architectures]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            faults.add(("architectures",), f"named twice: {', '.join(twice)}")
        rows = {f"{name}.{block.shared}": getattr(block, block.shared) for name, block in self.recipe.blocks.items()}
        for architecture in self.architectures:
            for name, count in rows.items():
                if count % architecture.gpus:
                    shared = f"recipe.{name} is {count}, which its {architecture.gpus} gpus can't share evenly"
                    faults.add(("architectures",), f"{architecture.name}: {shared}")
        if self.experiments and not self.architectures:
            faults.add(("architectures",), "a study with experiments needs at least one")

    def _check_experiment(self, faults: Faults, place: Place, experiment: Experiment) -> None:
        for number, group in enumerate(experiment.groups):
            if group not in self.strata:
                faults.unknown((*place, "groups", number), group, self.strata)
        for name, condition in experiment.conditions.items():
            own = (*place, "conditions", name)
            if condition.voices == "population" and not self.population:
                needed = "population needs its shares: population: {ATTRIBUTE: {VALUE: SHARE}}"
                faults.add((*own, "voices"), needed)
            if condition.voices == "named":
                self._check_titles(faults, (*own, "voices"), experiment.groups)
            self._check_condition(faults, own, condition)
        judged = self.evaluation.dimensions
        if not set(judged) <= set(self.dimensions):  # which is told; any of the study's may be meant
            judged = (*judged, *self.dimensions)
        for name, contrast in experiment.contrasts.items():
            for dimension in dict.fromkeys((*contrast.focus, *contrast.published)):
                if dimension not in judged:
                    faults.unknown((*place, "contrasts", name), dimension, judged)
        for number, ratio in enumerate(experiment.ratios):
            if ratio.dimension not in judged:
                faults.unknown((*place, "ratios", number, "dimension"), ratio.dimension, judged)

    def _check_titles(self, faults: Faults, place: Place, groups: tuple[str, ...]) -> None:
        """A model that is told the groups' names must be able to tell any two of them apart."""
        known: dict[str, str] = {}
        for group in groups:
            if group not in self.strata:
                continue
            title = " ".join(self.stratum_title(group).split())
            if title in known:
                faults.add(place, f"named needs groups with different titles: {known[title]}, {group}")
            known.setdefault(title, group)

    def _check_condition(self, faults: Faults, place: Place, condition: Condition) -> None:
        for number, dimension in enumerate(condition.dimensions):
            if dimension not in self.dimensions:
                faults.unknown((*place, "dimensions", number), dimension, self.dimensions)
        if condition.scale not in self.scales:
            faults.unknown((*place, "scale"), condition.scale, self.scales)
        if condition.stratum is not None and condition.stratum not in self.strata:
            faults.unknown((*place, "stratum"), condition.stratum, self.strata)
        for number, stratum in enumerate(condition.half.of if condition.half else ()):
            if stratum not in self.strata:
                faults.unknown((*place, "half", "of", number), stratum, self.strata)
        if condition.raters and condition.raters.by == "even_odd" and len(self.dimensions) < 3:
            needed = f"even_odd needs three dimensions or more, and the study has {len(self.dimensions)}"
            faults.add((*place, "raters", "by"), needed)
