"""The guided tour's texts: seven stops, each with one thing to do and one to see."""

from __future__ import annotations

from dataclasses import dataclass

IMAGE, FUNCTIONS, COVERAGE, MAP, REPLAY = (
    "One image",
    "All functions, one model",
    "What coverage covers",
    "A map of the pool",
    "Replay",
)

PASSES = "passes"


@dataclass(frozen=True)
class Stop:
    """One stop of the tour.

    Attributes:
        view: the tab it opens.
        beside: whether the replay shows the Random run beside the BALD run.
        n_labelled: the step at which the replay begins; None for other tabs.
        equation: LaTeX, or empty.
        shows: which numbers of the page's network are added to `see`; empty for none.
    """

    title: str
    view: str
    text: str
    do: str
    see: str
    source: str
    equation: str = ""
    beside: bool = False
    n_labelled: int | None = None
    shows: str = ""


STOPS = (
    Stop(
        title="Two runs, one start",
        view=REPLAY,
        text="A network learns to read handwritten numbers, and every label costs a person's time. "
        "Two runs start with the same 20 labelled images. One chooses its next images by a rule "
        "called **BALD**; the other picks at random (**Random**). Nothing else differs: same "
        "initial weights, same test images. This is *active learning* beside its baseline.",
        do="Look at the images each run asks for next, then move the slider from 20 to 30.",
        see="With 20 labels both runs have the same network and the same accuracy. From 30 labels "
        "on they differ.",
        source="Report, section 3.1; Gal, Islam and Ghahramani 2017, section 5.1.",
        beside=True,
        n_labelled=20,
    ),
    Stop(
        title="Ask the same question many times",
        view=IMAGE,
        text="How certain is a network? *Dropout* switches off a random part of it. Left on while "
        "predicting, it makes each pass the prediction of another network that fits the labels "
        "about as well (*MC dropout*). T passes give T rows of class probabilities. Their mean is "
        "the prediction.",
        equation=r"m_{n,c} = \frac{1}{T} \sum_{t=1}^{T} p_{t,n,c}",
        do="Move *Passes T* up from 1, then choose another of the images it asks for.",
        see="One image, many different rows. With more passes, each score changes less.",
        source="Gal and Ghahramani 2016, Dropout as a Bayesian Approximation; report, "
        "section 2.1.1.",
    ),
    Stop(
        title="Two ways of not knowing",
        view=IMAGE,
        text="A smudged image leaves every pass undecided: no label helps. Another image divides "
        "the passes, each certain of a different class: a label proves some of them wrong. The "
        "*entropy* of the mean cannot tell these apart. **BALD** subtracts the passes' own "
        "entropy; the rest is their disagreement (*mutual information*).",
        equation=r"\mathbb{I} = \mathbb{H}\Big[\frac{1}{T}\sum_t p_t\Big] - "
        r"\frac{1}{T}\sum_t \mathbb{H}[p_t]",
        do="Choose *Ambiguous*, then *Quarrel*, and read *How each score is computed*.",
        see="How much of each entropy is disagreement.",
        shows=PASSES,
        source="Houlsby et al. 2011; report, section 2.2.2, equation 2.",
    ),
    Stop(
        title="Ways to choose",
        view=FUNCTIONS,
        text="Rules called *acquisition functions* turn the same T rows into one number per "
        "image: the entropy of the mean, BALD, the share of passes that vote against the majority "
        "(*variation ratios*), the spread of the probabilities (*mean std*), or a random number "
        "(*random*). Each of these asks for the images with the highest numbers; further down are "
        "functions that choose a batch as a whole.",
        equation=r"\begin{gathered} \mathrm{VR} = 1 - \frac{1}{T}\max_c \sum_t "
        r"\mathbb{1}\big[\arg\max p_t = c\big] \\[6pt] "
        r"\mathrm{MSTD} = \frac{1}{C}\sum_c \mathrm{std}_t\, p_{t,c} \end{gathered}",
        do="Find an image with an orange frame: several functions choose it.",
        see="Which images several functions choose from the same rows.",
        shows=FUNCTIONS,
        source="Report, section 2.2, equations 1 to 4; Freeman 1965 for variation ratios.",
    ),
    Stop(
        title="Why not just the top ten?",
        view=COVERAGE,
        text="A score looks at each image alone. A near copy of an image gets nearly the same "
        "score, so ten labels may teach one thing. **BALD-weighted coverage** chooses the ten "
        "together: a pick counts the BALD of all images close to it, except those that a labelled "
        "or chosen image is close to already.",
        equation=r"f(S) = \sum_i w_i \max\Big(c_i, \max_{j \in S} k(i, j)\Big)",
        do="Under *Batch of*, choose *BALD*, then *BALD-weighted coverage*. Move the slider of "
        "picks from 0 to 10 for each.",
        see="How much of the weight is left after each pick.",
        shows=COVERAGE,
        source="Nemhauser, Wolsey and Fisher 1978 on coverage; Kirsch et al. 2019 on why batches "
        "repeat themselves.",
    ),
    Stop(
        title="Where the queries are",
        view=MAP,
        text="To the network, an image is a list of *features*. The map shows the two directions "
        "in which they vary most (*principal components*): images that look alike to the network "
        "are close together.",
        do="Colour the map by a score, then move its slider through the run's queries.",
        see="Few queries are in clusters of a single class, more where classes overlap. Two "
        "directions show only part of the features; the line under the map says how much.",
        source="Features: what the convolutions of the run's own network give, the same in every "
        "pass (report, table 1).",
    ),
    Stop(
        title="Was it worth it?",
        view=REPLAY,
        text="How many labels does each run need for the same accuracy? Then change one thing. A "
        "*fork* shares the labels up to a step and continues differently: with another function, "
        "or with an oracle that is sometimes wrong. Wrong answers are a known risk of asking for "
        "the hardest images. *A noisy annotator*, below the replay, shows what they cost each "
        "function here.",
        do="Move the slider to the end. Then use *Fork from here* at any step, with another "
        "function or with 20% wrong answers, and watch the fork's curve.",
        see="Which run reaches 90% first, which classes it still confuses, and how its labelled "
        "classes differ from the pool's.",
        source="Report, section 3.2 and tables 2 and 3; Settles 2009, section 6.2, on noisy "
        "oracles.",
        beside=True,
        n_labelled=120,
    ),
)
