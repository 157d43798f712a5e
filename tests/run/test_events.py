"""What a query shows, and which answers fit it."""

from __future__ import annotations

from typing import Any

from dal_core.run.events import Answer, Query, Submission

QUERY = Query("q", 20, 20, (7, 3, 9, 4, 1), (0.5, 0.4, 0.3, 0.2, 0.1), batch_size=3)


def answers(labels: dict[int, Any]) -> list[Answer]:
    return [Answer(image_id, label) for image_id, label in labels.items()]


def test_a_query_shows_the_best_that_are_not_skipped() -> None:
    assert QUERY.shown() == (7, 3, 9)
    assert QUERY.shown([3]) == (7, 9, 4)
    assert QUERY.shown([3, 9, 7]) == (4, 1)


def test_a_submission_tells_labels_from_skips() -> None:
    given = tuple(answers({7: 0, 3: None, 9: 5, 4: 1}))
    submission = Submission(1, "q", "ana", "person", "2026-01-01T00:00:00.000Z", given)
    assert submission.labels == {7: 0, 9: 5, 4: 1}
    assert submission.skipped == (3,)
