"""What the explaining page says, as text: plain words, each term of the field once; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from dal_core.explain.parts import Parts
from dal_core.explain.pool import Place
from dal_core.results.titles import display_name
from dal_core.run.state import RunState

MATRIX = (
    "Dropout switches a random part of the network off. With it left on, the same image gives "
    "another answer at every look: each row below is one look (a *stochastic forward pass*), each "
    "cell the probability it gives a digit, the orange dot its vote. "
    "At the right, how undecided each pass is by itself (its *entropy*)."
)
SUMS = (
    "An *acquisition function* turns that matrix into one number: how much the network would "
    "learn from the label. All but Random start from the same rows."
)
SETTLES = (
    "Each score is an estimate from T passes. Few passes give a jumpy one; it settles as they "
    "grow. More dropout makes the passes differ more, and with them every score that measures "
    "difference."
)
AMBIGUOUS = (
    "**Ambiguous**: the passes agree that it could be several digits. Its entropy is high, but "
    "little of it is disagreement, so BALD asks for others first: a label would settle little."
)
QUARREL = (
    "**Quarrel**: many passes are sure, but of different digits. Entropy is high and nearly all "
    "of it is disagreement, so BALD asks: a label would prove some of them wrong."
)
FUNCTIONS = (
    "The same network, the same pool: which ten would each function ask for now? An orange "
    "frame marks an image that several ask for, its number how many; point at one to find it in "
    "the other rows."
)
MAP = (
    "The convolutions turn each image into a list of numbers, its *features*. Here they are in "
    "the two directions in which they differ most (*principal components*), by the network as "
    "it is now: near means alike to the network. Move the slider to watch where each query fell."
)


def sum_of(name: str, parts: Parts) -> str:
    """How a score comes about, in this image's own numbers."""
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
    return "drawn by chance" if name == "random" else ""


def place(found: Place | None) -> str:
    """`3rd of 3,480`, and with how many it shares that place."""
    if found is None:
        return ""
    share = f", {found.equal:,} equal" if found.equal else ""
    return f"{ordinal(found.rank)} of {found.n_images:,}{share}"


def ordinal(n: int) -> str:
    """1st, 2nd, 3rd, 11th, 1,021st."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n:,}{ending}"


def scores_table(parts: Parts, scores: Mapping[str, float], places: Mapping[str, Place]) -> str:
    """The scores as a table in Markdown: function, how it comes about, value, place."""
    lines = ["| function | sum | score | place in the pool |", "|---|---|---:|---|"]
    for name, score in scores.items():
        line = (
            display_name(name),
            sum_of(name, parts),
            f"**{score:.3f}**",
            place(places.get(name)),
        )
        lines.append("| " + " | ".join(line) + " |")
    return "\n".join(lines)


def votes(parts: Parts) -> str:
    """`29 of 32 passes say 4, 3 say 9`."""
    order = sorted(range(len(parts.votes)), key=lambda digit: -int(parts.votes[digit]))
    said = [(digit, int(parts.votes[digit])) for digit in order if parts.votes[digit]]
    first, *others = said
    line = f"**{first[1]} of {len(parts.probs)} passes say {first[0]}**"
    return ", ".join([line, *(f"{n} say {digit}" for digit, n in others[:3])])


def whose_passes(is_own: bool, n_passes: int, run_passes: int) -> str:
    """Whether the numbers are the run's own."""
    if is_own and n_passes == run_passes:
        return "These are the very passes the run scored this image with."
    if is_own:
        return f"The run itself scored with T = {run_passes}; these begin with the same passes."
    return "Passes of the page's own: the run never scored this image with these settings."


def network_names(log: RunState, states: Sequence[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """What each stored network of a run is called: no two alike.

    Args:
        states: (last submission, last correction) in each network's training set.
    """
    names = {
        state: f"the network of {log.n_labelled_at(*state)} labels{before_corrections(log, *state)}"
        for state in states
    }
    counts = Counter(names.values())
    # Labels taken away may leave as many after one batch as after another.
    batches = [0, *(one.submission_id for one in log.submissions)]
    return {
        state: name if counts[name] == 1 else f"{name}, after batch {batches.index(state[0])}"
        for state, name in names.items()
    }


def before_corrections(log: RunState, after: int, corrected: int) -> str:
    """How many corrections a network's training set lacks, to be added to its name."""
    made = [one.correction_id for one in log.corrections if one.submission_id <= after]
    lacking = sum(correction_id > corrected for correction_id in made)
    if not lacking:
        return ""
    last = "" if lacking == len(made) else "last "
    return f", before the {last}{'correction' if lacking == 1 else f'{lacking} corrections'}"
