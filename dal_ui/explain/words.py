"""The Explain page's texts; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from dal_core.acquisition.registry import Group
from dal_core.explain.information import Information
from dal_core.explain.parts import Parts
from dal_core.explain.pool import Place
from dal_core.protocol.posteriors import PosteriorEntry
from dal_core.results.titles import display_name
from dal_core.run.state import RunState
from dal_ui.shared.markdown import plain

_CELLS = (
    ", each cell the probability of a class, the orange dot the likeliest class. The column on the "
    "right shows how uncertain each {row} is by itself (its *entropy*)."
)
SUMS = (
    "An *acquisition function* turns the matrix into one number: how much the network would "
    "learn from the label. All functions but Random use the same rows."
)
_SETTLES = "Each score is an estimate from T rows: noisy with few, steadier with more."
_MORE_DROPOUT = (
    " More dropout makes the passes differ more, which raises every score that measures difference."
)
FUNCTIONS = (
    "Same network, same pool: which images would each function ask for now, and in which order? "
    "The number below an image is its score, or what it adds to the images before it. An orange "
    "frame marks an image that several functions choose. Its number says how many. Point at an "
    "image to see which, and to find it in the other rows."
)
GROUPS: Mapping[Group, tuple[str, str]] = {
    "scores": (
        "Scores of single images",
        "Each image gets a number of its own. The highest are asked for, even if they are alike.",
    ),
    "noise": (
        "Scores with chance",
        "The same score, but images are drawn at random, those with a high score more often. "
        "So a batch is less of one kind.",
    ),
    "joint": (
        "What labels tell together",
        "These compare the predictions of many images under the same network. BatchBALD chooses "
        "ten whose labels together tell most; EPIG asks what a label tells about other labels.",
    ),
    "places": (
        "Where images lie",
        "These choose images that are unlike each other, or that stand for many others. Distances "
        "are measured between pixels or in the last hidden layer.",
    ),
    "labels": ("The labels so far", "These choose by the labels given so far."),
    "random": ("Random", "The baseline: no function at all."),
}
MAP = (
    "The convolutions turn each image into a list of numbers, its *features*. The map shows the "
    "two directions in which the features vary most (*principal components*). Images that are "
    "close together look alike to the current network. Move the slider to see each query."
)


def ambiguous(share: float, rows: str = "passes") -> str:
    """Why the image was found; `share` of its entropy is disagreement between the rows."""
    return (
        f"**Ambiguous**: the {rows} agree that several classes are possible. Entropy is high, and "
        f"{share:.0%} of it is disagreement (BALD), less than in any other image of such entropy. "
        "BALD prefers other images: this label would teach little."
    )


def quarrel(share: float, rows: str = "passes") -> str:
    """Why the image was found; `share` of its entropy is disagreement between the rows."""
    return (
        f"**Quarrel**: the {rows} disagree on this image more than on any other of such entropy. "
        f"{share:.0%} of its entropy is disagreement (BALD). BALD asks for it: its label would "
        f"prove some {rows} wrong."
    )


def left_out(problems: Mapping[str, str]) -> list[str]:
    """Which functions have no batch here, a line for each reason.

    Args:
        problems: the reason by function, such as `asked_by` raises it.
    """
    names: dict[str, list[str]] = {}
    for name, problem in problems.items():
        reason = problem.partition("; allowed")[0].removeprefix(f"acquisition is {name!r}, which ")
        names.setdefault(reason, []).append(display_name(name))
    return [
        f"**Not for this network:** {', '.join(those)} ({plain(reason)})."
        for reason, those in names.items()
    ]


def redundancy(batch_size: int, by_chance: float, low: float, high: float) -> str:
    """What the columns of the table of redundancy are."""
    return (
        f"**Classes predicted**: how many different classes the network predicts for the "
        f"{batch_size} images. **Similarity**: how near two of them are in their pixels, on "
        f"average, from 0 to 1; random batches have {by_chance:.3f}, nine in ten of them between "
        f"{low:.3f} and {high:.3f}. Odd images are unlike everything, so a low value alone is no "
        "merit. **Joint share**: what the labels tell together, as a share of "
        "the sum of the images' BALD scores; the lower, the more a batch asks the same thing again."
        " **Covered**: how much of the weight beside no label lies beside the batch (see the tab "
        "“What coverage covers”)."
    )


def information(found: Mapping[str, Information]) -> str:
    """What the chart of joint information says, in its own numbers."""
    said = [
        f"{display_name(name)}'s batch: {one.joint[-1]:.2f} nats together, {one.summed[-1]:.2f} "
        f"by the sum ({one.share or 0:.0%})"
        for name, one in found.items()
    ]
    first = next(iter(found.values()))
    return (
        "Solid: what the labels of the first images tell together. Dashed: the sum of their BALD "
        f"scores, which counts twice what two images both tell. {'. '.join(said)}. BatchBALD "
        f"maximises the joint information. With {first.n_samples} samples no batch tells more than "
        f"ln {first.n_samples} = {first.bound:.2f} nats."
    )


def coverage(weight: str) -> str:
    """What the map of coverage shows."""
    return (
        f"Each point is an image of the pool. Its colour is its weight ({display_name(weight)}), "
        "as far as no labelled or chosen image is close to it. Coverage picks the image that takes "
        "most of this weight away, again and again. Move the slider to see what is left after "
        "each pick."
    )


def coverage_legend(n_labelled: int, shown: float, n_images: int) -> str:
    """What the marks of the map are, and how much it can show."""
    return (
        f"Orange rings: the picks, in their order. Blue diamonds: the {n_labelled} labelled images."
        f" {n_images:,} images are to be covered. Closeness is measured in 64 directions of the "
        f"pixels; the two drawn hold {shown:.0%} of their variance, so points may be close here "
        "and far apart there. Point at a mark to see its image."
    )


def covered(shares: Mapping[str, float]) -> str:
    """How much of the weight each batch covers."""
    said = ", ".join(f"{display_name(name)} {share:.1%}" for name, share in shares.items())
    return f"Of the weight beside no label, the whole batch covers: {said}."


def sum_of(name: str, parts: Parts) -> str:
    """How a score is computed, in this image's own numbers."""
    n_passes, n_classes = parts.probs.shape
    if name == "max_entropy":
        return "entropy of mean"
    if name == "bald":
        return f"{parts.entropy_of_mean:.3f} − {parts.mean_of_entropies:.3f}"
    if name == "variation_ratios":
        return f"1 − {parts.votes.max()} of {n_passes} votes"
    if name == "variation_ratios_mean":
        return f"1 − {parts.mean.max():.3f}"
    if name == "mean_std":
        return f"{parts.spreads.sum():.3f} / {n_classes}"
    return "drawn at random" if name == "random" else ""


def place(found: Place | None) -> str:
    """`3rd of 3,480`, and how many share that place."""
    if found is None:
        return ""
    share = f", {found.equal:,} equal" if found.equal else ""
    return f"{ordinal(found.rank)} of {found.n_images:,}{share}"


def ordinal(n: int) -> str:
    """1st, 2nd, 3rd, 11th, 1,021st."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n:,}{ending}"


def scores_table(parts: Parts, scores: Mapping[str, float], places: Mapping[str, Place]) -> str:
    """The scores as a table in Markdown: function, computation, value, place."""
    lines = ["| function | computation | score | place in the pool |", "|---|---|---:|---|"]
    for name, score in scores.items():
        line = (
            display_name(name),
            sum_of(name, parts),
            f"**{score:.3f}**",
            place(places.get(name)),
        )
        lines.append("| " + " | ".join(line) + " |")
    return "\n".join(lines)


def votes(parts: Parts, class_names: Sequence[str], rows: str = "passes") -> str:
    """`29 of 32 passes predict 4, 3 predict 9`; `rows` says what the rows of the matrix are."""
    order = sorted(range(len(parts.votes)), key=lambda label: -int(parts.votes[label]))
    said = [
        (plain(class_names[label]), int(parts.votes[label]))
        for label in order
        if parts.votes[label]
    ]
    first, *others = said
    line = f"**{first[1]} of {len(parts.probs)} {rows} predict {first[0]}**"
    return ", ".join([line, *(f"{n} predict {name}" for name, n in others[:3])])


def matrix(posterior: PosteriorEntry) -> str:
    """What the rows and cells of the T x C matrix are."""
    return posterior.origin + _CELLS.format(row=posterior.row)


def settles(has_dropout: bool) -> str:
    """How the scores depend on the rows they are computed from."""
    return _SETTLES + _MORE_DROPOUT if has_dropout else _SETTLES


def whose_passes(is_own: bool, n_passes: int, run_passes: int) -> str:
    """Whether the run used these passes."""
    if is_own and n_passes == run_passes:
        return "The run used exactly these passes."
    if is_own:
        return f"The run scored with T = {run_passes}; these begin with the same passes."
    return "Computed for this page; the run did not use these settings."


def network_names(log: RunState, states: Sequence[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """The name of each stored network of a run, all different.

    Args:
        states: (last submission, last correction) in each network's training set.
    """
    names = {}
    for state in states:
        n_labelled = log.n_labelled_at(*state)
        names[state] = f"network trained on {n_labelled} labels{before_corrections(log, *state)}"
    counts = Counter(names.values())
    # Corrections to "can't tell" may leave as many labels after one batch as after another.
    batches = [0, *(one.submission_id for one in log.submissions)]
    return {
        state: name if counts[name] == 1 else f"{name}, after batch {batches.index(state[0])}"
        for state, name in names.items()
    }


def before_corrections(log: RunState, after: int, corrected: int) -> str:
    """How many corrections a network's training set lacks, as an addition to its name."""
    made = [one.correction_id for one in log.corrections if one.submission_id <= after]
    lacking = sum(correction_id > corrected for correction_id in made)
    if not lacking:
        return ""
    last = "" if lacking == len(made) else "last "
    return f", before the {last}{'correction' if lacking == 1 else f'{lacking} corrections'}"
