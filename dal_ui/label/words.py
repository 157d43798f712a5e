"""What the labelling page says, as text: pure functions of a run's state.

A person's words, with the field's term beside them once. Draws nothing, reads nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from statistics import median

from dal_core.protocol.presets import describe_protocol
from dal_core.results.titles import display_name, noise_name
from dal_core.run.next_task import answers_itself
from dal_core.run.rows import Progress, SubmitOutcome
from dal_core.run.state import RunState
from dal_ui.label.actions import Revealed, View

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+.!<>|~$:-])")


def plain(text: str) -> str:
    """Text that somebody typed, for use in Markdown: shown as it is, whatever it holds."""
    return _MARKUP.sub(r"\\\1", text)


def about(log: RunState) -> str:
    """Who, how, on what: the left half of the header."""
    spec = log.run.spec
    return (
        f"**{plain(log.run.title or log.run.run_id)}** · {display_name(spec.acquisition)} · "
        f"{spec.protocol.dataset} · {describe_protocol(spec.protocol)} · seed {spec.seed} · "
        f"{log.run.mode}"
        f"{f' · {noise_name(spec.noise)}' if spec.noise else ''}"
    )


PLACES = "The first ten will appear here."


def first_fit(log: RunState) -> str:
    """What happens before there is anything to label; empty later."""
    if log.submissions or log.open_query is not None:
        return ""
    return f"The network is learning its first {log.n_labelled} digits, labelled already."


def set_aside(log: RunState) -> str:
    """How many images were skipped and batches taken back."""
    images, batches = len(log.skipped), log.n_retracted
    return (
        f"{images} {'image' if images == 1 else 'images'} skipped, "
        f"{batches} {'batch' if batches == 1 else 'batches'} taken back"
    )


def accuracy(view: View) -> str:
    """The newest accuracy against random's at the same labels."""
    latest, beside = view.latest, view.random_beside
    if latest is None:
        return "accuracy: not measured yet"
    line = f"**{latest.accuracy:.1%}** right at {latest.n_labelled} labels"
    return f"{line} · random {beside.accuracy:.1%}" if beside else line


def working(view: View, progress: Progress | None) -> tuple[float, str]:
    """How far the work is (0 to 1), and what it is."""
    lead = _lead(view)
    if progress is None or not progress.n_epochs or progress.part == "idle":
        return 0.0, f"{lead}Starting ..."
    done = progress.epoch or 0
    share = min(1.0, done / progress.n_epochs)
    left = "" if progress.seconds_left is None else f", {progress.seconds_left:.0f} s left"
    if progress.part == "train":
        loss = "" if progress.train_loss is None else f", training loss {progress.train_loss:.3f}"
        return share, (
            f"{lead}Training on {progress.n_labelled} labels: "
            f"epoch {done} of {progress.n_epochs}{loss}{left}"
        )
    what = "Looking for the next ten" if progress.part == "score" else "Measuring on test images"
    return share, f"{lead}{what}: {done:,} of {progress.n_epochs:,} images{left}"


def _lead(view: View) -> str:
    if answers_itself(view.log):
        return f"The oracle answers up to {view.log.run.oracle_until} labels. "
    if not view.log.submissions:
        return ""
    # In continuous mode the next ten are there already when the page says so.
    has_answered = view.log.open_query is None or view.log.run.mode == "continuous"
    return "Saved. " if has_answered else ""


def asked_by(log: RunState) -> str:
    """How old the model is that asked for what is on screen; empty where nobody need wonder."""
    query = log.open_query
    if query is None or log.run.mode == "strict":
        return ""
    age = query.n_labelled - query.asked_by
    old = f"{age} labels old" if age else "the newest there can be"
    return f"Asked for by the model of {query.asked_by} labels, {old}."


def waiting(log: RunState) -> str:
    """What a person is asked to do now."""
    name = display_name(log.run.spec.acquisition)
    return f"Waiting for you: the ten digits that {name} asks for."


def finished(reason: str) -> str:
    """Why nothing more is asked, and what can be done next."""
    return f"Finished: {reason}. Download the labels below, or start a new run."


def last_ten(revealed: Sequence[Revealed], source: str) -> str:
    """One line on the batch answered last; empty when there is none."""
    said = [one for one in revealed if one.said is not None]
    if not said:
        return ""
    agree = sum(one.agrees for one in said)
    judged = [one for one in said if one.believed is not None]
    guessed = sum(one.believed == one.truth for one in judged)
    who = "you" if source == "person" else "the oracle"
    line = f"Last {len(said)}: MNIST agrees with {who} on {agree}"
    return f"{line}; the network had {guessed} of them right." if judged else f"{line}."


def agreement(same: int, given: int) -> str:
    """How often the person and MNIST say the same, over the whole run."""
    if not given:
        return ""
    return f"You and MNIST agree on {same} of the {given} digits you labelled in this run."


def pace(seconds: Sequence[float]) -> str:
    """How long an image takes a person (the median), and all of them together."""
    if not seconds:
        return "no time measured yet"
    return f"{median(seconds):.1f} s an image, {sum(seconds) / 60:.1f} min"


def revealed(one: Revealed, source: str) -> str:
    """Three lines under an image."""
    who = "you" if source == "person" else "oracle"
    if one.said is None:
        said, mark = "can't tell", ""
    else:
        said, mark = f"**{one.said}**", " :green[✓]" if one.agrees else " :red[✗]"
    if one.believed is None or one.confidence is None:
        thought = "not asked"
    else:
        thought = f"{one.believed} at {one.confidence:.0%}"
    return f"{who} {said}{mark}  \nMNIST {one.truth}  \nnet {thought}"


def refused(outcome: SubmitOutcome) -> str:
    """Why a submission was not stored, and what is."""
    line = f"Your labels were not saved: {outcome.reason}."
    stored = outcome.submission
    if stored is None:
        return line
    labels = " ".join(str(label) for label in stored.labels.values())
    at = datetime.fromisoformat(stored.at).strftime("%H:%M")
    return f"{line} Stored is: {labels}, by {plain(stored.annotator)} at {at} UTC."
