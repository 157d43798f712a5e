"""The guided tour's words: six stops, each with one thing to do and one to see.

Plain language, the field's term once beside it; equations as in the code (`acquisition`), sources
named. Owns no numbers: what a stop says of the demo's runs is read off them (`tour`).
"""

from __future__ import annotations

from dataclasses import dataclass

IMAGE, FUNCTIONS, MAP, REPLAY = (
    "One image",
    "Five functions, one model",
    "A map of the pool",
    "Replay",
)


@dataclass(frozen=True)
class Stop:
    """One stop of the tour.

    Attributes:
        view: tab of the page that it looks at.
        beside: whether the random run stands beside the one that BALD chose for.
        n_labelled: the step of the replay to begin at; None where there is none.
        equation: LaTeX, or empty.
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


STOPS = (
    Stop(
        title="Two runs, one start",
        view=REPLAY,
        text="A network is to learn the ten digits, and every label costs somebody's time. Two "
        "runs start with the same twenty labelled images. One picks each next ten itself, by a "
        "rule called **BALD**; the other draws lots (**Random**). Nothing else differs: same "
        "initial weights, same test images. That is *active learning* beside its baseline.",
        do="Look at the ten images each run asks for next, then move the slider from 20 to 30.",
        see="With 20 labels both are the same network, right on exactly as many test images. "
        "From 30 on they part.",
        source="Report, section 3.1; Gal, Islam and Ghahramani 2017, section 5.1.",
        beside=True,
        n_labelled=20,
    ),
    Stop(
        title="Ask the same question many times",
        view=IMAGE,
        text="How can a network say how sure it is? *Dropout* switches a random part of it off. "
        "Left on while predicting, every look at an image is the opinion of another network that "
        "fits the labels about as well (*MC dropout*). T looks make T rows of ten probabilities; "
        "their mean is the prediction.",
        equation=r"m_{n,c} = \frac{1}{T} \sum_{t=1}^{T} p_{t,n,c}",
        do="Move *Passes T* from 1 upwards, then pick another of the images it asks for.",
        see="One image, many different rows. The more passes, the less each score still moves.",
        source="Gal and Ghahramani 2016, Dropout as a Bayesian Approximation; report, "
        "section 2.1.1.",
    ),
    Stop(
        title="Two ways of not knowing",
        view=IMAGE,
        text="A smudged digit leaves every pass undecided: no label helps. Another splits the "
        "passes into camps, each sure of itself: there a label proves some of them wrong. "
        "*Entropy* of the mean cannot tell the two apart. **BALD** takes the passes' own entropy "
        "off, and what is left is their disagreement (*mutual information*).",
        equation=r"\mathbb{I} = \mathbb{H}\Big[\frac{1}{T}\sum_t p_t\Big] - "
        r"\frac{1}{T}\sum_t \mathbb{H}[p_t]",
        do="Choose *Ambiguous*, then *Quarrel*, and read the sums under *From the matrix to a "
        "number*.",
        see="Entropy is high for both. BALD is high only for the quarrel.",
        source="Houlsby et al. 2011; report, section 2.2.2, equation 2.",
    ),
    Stop(
        title="Five ways to choose",
        view=FUNCTIONS,
        text="The rules, called *acquisition functions*, turn the same T rows into one number an "
        "image: entropy of the mean, BALD, the share of passes that vote against the majority "
        "(*variation ratios*), the spread of the probabilities (*mean std*), or no number at all "
        "(*random*). Each asks for the ten highest.",
        equation=r"\begin{gathered} \mathrm{VR} = 1 - \frac{1}{T}\max_c \sum_t "
        r"\mathbb{1}\big[\arg\max p_t = c\big] \\[6pt] "
        r"\mathrm{MSTD} = \frac{1}{C}\sum_c \mathrm{std}_t\, p_{t,c} \end{gathered}",
        do="Find an image with an orange frame: several functions want it.",
        see="They agree on some images and not on others, and a ten often holds look-alikes: each "
        "image is chosen without a thought for the other nine.",
        source="Report, section 2.2, equations 1 to 4; Freeman 1965 for variation ratios.",
    ),
    Stop(
        title="Where the questions fall",
        view=MAP,
        text="To the network an image is a list of *features*. Drawn in the two directions in "
        "which these differ most (*principal components*), images that look alike to it lie "
        "together.",
        do="Colour the map by a score, then move its slider through the run's queries.",
        see="Few questions fall into a cluster that holds one digit alone, more where several "
        "digits run into each other. Two directions show only a part of it: the line under the "
        "map says how much.",
        source="Features: what the convolutions of the run's own network give, the same in every "
        "pass (report, table 1).",
    ),
    Stop(
        title="Was it worth it?",
        view=REPLAY,
        text="Count labels, not steps: how many does each run need for the same accuracy? Then "
        "change one thing. A *fork* shares the labels up to a step and goes on another way: by "
        "another function, or with a teacher who errs now and then. Wrong answers are a known "
        "worry about asking for the hardest images; *A noisy annotator*, under the replay, shows "
        "what they cost each function here.",
        do="Move the slider to the end. Then *Fork from here* at some step with another function, "
        "or with 20% wrong answers, and watch the fork's curve.",
        see="Which run reaches 90% first, which digits it still confuses, and how its labelled "
        "classes differ from the pool's.",
        source="Report, section 3.2 and tables 2 and 3; Settles 2009, section 6.2, on noisy "
        "oracles.",
        beside=True,
        n_labelled=120,
    ),
)
