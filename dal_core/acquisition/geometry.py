"""Functions of where images lie: beside each other and beside the labelled ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dal_core.acquisition.confidence import margin
from dal_core.acquisition.registry import AcquisitionFunction, register

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from dal_core.acquisition.batch import Batch, Candidates, Places

MAX_CLUSTERS = 500  # of TypiClust
N_NEIGHBOURS = 20  # among which TypiClust measures how typical an image is
OVERSAMPLING = 10  # Cluster-margin clusters that many times the batch


def farthest_first(places: Places, size: int, start: int) -> tuple[list[int], list[float]]:
    """Greedy k-centre: each image is the farthest from all labelled and chosen ones.

    max_n min_{l labelled or chosen} |x_n - x_l|   (Sener and Savarese 2018, algorithm 1)

    The largest distance left is at most twice the smallest possible. O((b + L) N D).

    Args:
        places: [N, D] and [L, D].
        start: the first choice if nothing is labelled.

    Returns:
        Positions in order, and the distance of each when it was chosen (0 for such a first one).
    """
    import torch

    from dal_core.acquisition.coordinates import squared_distances

    points = places.candidates
    nearest = torch.full((len(points),), torch.inf)
    for block in places.labelled.split(1000) if len(places.labelled) else ():
        nearest = torch.minimum(nearest, squared_distances(points, block).amin(1))
    open_ = torch.ones(len(points), dtype=torch.bool)
    chosen: list[int] = []
    gains: list[float] = []
    while len(chosen) < min(size, len(points)):
        first = not chosen and not len(places.labelled)
        best = start if first else int(torch.where(open_, nearest, -1.0).argmax())
        gains.append(0.0 if first else float(nearest[best].sqrt()))
        chosen.append(best)
        open_[best] = False
        nearest = torch.minimum(nearest, squared_distances(points, points[best : best + 1])[:, 0])
    return chosen, gains


def _choose_coreset(candidates: Candidates, size: int) -> Batch:
    start = int(candidates.priority.argmin())
    return candidates.batch(*farthest_first(candidates.features(), size, start))


def gradient_seeding(
    mean: Tensor,
    hidden: Tensor,
    size: int,
    generator: np.random.Generator,
    before: tuple[Tensor, Tensor] | None = None,
) -> tuple[list[int], list[float]]:
    """k-means++ seeding of gradient embeddings (BADGE; Ash et al. 2020, algorithm 1).

    The embedding g_n = (m_n - e_n) x h_n is the gradient of the loss of the last layer if the
    likeliest class, whose unit vector is e_n, were the label. The first image has the largest
    norm. Each further one is drawn with a probability proportional to its squared distance to the
    nearest chosen one. The embeddings [N, C F] are never formed, since their products factorise:
    g_i . g_j = (q_i . q_j) (h_i . h_j). O(b N (C + F)).

    Args:
        mean: m, [N, C] mean prediction.
        hidden: h, [N, F] last hidden layer.
        before: m and h of images that count as chosen already.

    Returns:
        Positions in order, and the squared distance of each when it was chosen (the squared norm
        for the first, if nothing came before).
    """
    import torch

    n = len(mean)
    known = before or (mean[:0], hidden[:0])
    q = torch.cat([mean, known[0]]).double()  # [N + A, C]
    q[torch.arange(len(q)), q.argmax(1)] -= 1
    h = torch.cat([hidden, known[1]]).double()
    norms = q.square().sum(1) * h.square().sum(1)

    def distances(to: int) -> Tensor:
        return (norms[:n] + norms[to] - 2 * (q[:n] @ q[to]) * (h[:n] @ h[to])).clamp_(min=0)

    chosen: list[int] = []
    gains: list[float] = []
    if len(q) == n:
        chosen, gains = [int(norms.argmax())], [float(norms.max())]
    nearest = torch.stack([distances(to) for to in [*chosen, *range(n, len(q))]]).amin(0)
    nearest[chosen] = 0
    while len(chosen) < min(size, n):
        ends = nearest.cumsum(0)
        if ends[-1] <= 0:  # all that is left equals a chosen image
            left = torch.ones(n, dtype=torch.bool)
            left[chosen] = False
            best = int(left.double().argmax())
        else:
            at = torch.tensor(generator.random(), dtype=torch.double) * ends[-1]
            best = int(torch.searchsorted(ends, at, right=True).clamp(max=n - 1))
        gains.append(float(nearest[best]))
        chosen.append(best)
        nearest = torch.minimum(nearest, distances(best))
        nearest[chosen] = 0
    return chosen, gains


def _choose_badge(candidates: Candidates, size: int) -> Batch:
    own, before = _mean_and_hidden(candidates), None
    if candidates.before is not None:
        before = _mean_and_hidden(candidates.before)
    return candidates.batch(*gradient_seeding(*own, size, candidates.generator, before))


def _mean_and_hidden(candidates: Candidates) -> tuple[Tensor, Tensor]:
    return candidates.probs.mean(0).cpu(), candidates.features().candidates


def typical_of_clusters(
    places: Places, size: int, batch_size: int, seed: int
) -> tuple[list[int], list[float]]:
    """The most typical image of each cluster without a label (TypiClust; Hacohen et al. 2022).

    All images, labelled ones included, form min(L + b, 500) clusters by k-means. Clusters are
    taken by the fewest labelled or chosen images, then by size. Of each, the image with the
    smallest mean distance to its 20 nearest neighbours within the cluster is chosen; typicality is
    the inverse of that distance. O(N (L + b) D) for each round of k-means.

    Args:
        places: [N, D] and [L, D].
        batch_size: b.
        seed: seed of k-means.

    Returns:
        Positions in order, and how typical each is.
    """
    import numpy as np
    import torch
    from sklearn.cluster import KMeans, MiniBatchKMeans

    n = len(places.candidates)
    points = torch.cat([places.candidates, places.labelled]).numpy()
    n_clusters = min(len(places.labelled) + batch_size, MAX_CLUSTERS, len(points))
    method = KMeans if n_clusters <= 50 else MiniBatchKMeans
    clusters = method(n_clusters, n_init=1, random_state=seed).fit_predict(points)
    taken = np.bincount(clusters[n:], minlength=n_clusters)
    sizes = np.bincount(clusters, minlength=n_clusters)
    waiting: dict[int, list[tuple[float, int]]] = {}
    chosen: list[int] = []
    gains: list[float] = []
    open_ = {int(c) for c in np.unique(clusters[:n])}
    while len(chosen) < min(size, n):
        cluster = min(open_, key=lambda c: (taken[c], -sizes[c], c))
        if cluster not in waiting:
            members = np.flatnonzero(clusters[:n] == cluster)
            typical = _typicality(torch.from_numpy(points[clusters == cluster]), len(members))
            waiting[cluster] = sorted(zip(-typical, members.tolist(), strict=True), reverse=True)
        worth, position = waiting[cluster].pop()
        chosen.append(position)
        gains.append(float(-worth))
        taken[cluster] += 1
        if not waiting[cluster]:
            open_.discard(cluster)
    return chosen, gains


def _typicality(points: Tensor, n: int) -> np.ndarray:
    """1 / mean distance to the nearest neighbours, of the first n of a cluster's points."""
    import torch

    from dal_core.acquisition.coordinates import squared_distances

    k = min(N_NEIGHBOURS, len(points) - 1)
    if k == 0:
        return torch.zeros(n).numpy()
    found = []
    for block in points[:n].split(1000):
        nearest = squared_distances(block, points).topk(k + 1, largest=False).values
        found.append(nearest.sqrt()[:, 1:].mean(1))
    return (1 / torch.cat(found).clamp(min=1e-12)).numpy()


def _choose_typiclust(candidates: Candidates, size: int) -> Batch:
    seed = int(candidates.generator.integers(2**31))
    places = candidates.pixels()
    return candidates.batch(*typical_of_clusters(places, size, candidates.batch_size, seed))


def round_robin(scores: np.ndarray, clusters: np.ndarray, size: int) -> list[int]:
    """One image of each cluster in turn, the smallest cluster first (Citovsky et al. 2021).

    Args:
        scores: [n]; within a cluster the highest comes first.
        clusters: [n] cluster of each image.

    Returns:
        Positions in order.
    """
    import numpy as np

    sizes = np.bincount(clusters)
    queues = {
        int(c): sorted(np.flatnonzero(clusters == c), key=lambda n: (-scores[n], n), reverse=True)
        for c in np.unique(clusters)
    }
    chosen: list[int] = []
    while len(chosen) < min(size, len(scores)):
        for c in sorted(queues, key=lambda c: (sizes[c], c)):
            if queues[c] and len(chosen) < size:
                chosen.append(int(queues[c].pop()))
    return chosen


def _choose_cluster_margin(candidates: Candidates, size: int) -> Batch:
    from sklearn.cluster import AgglomerativeClustering

    scores = margin(candidates.probs).cpu().numpy()
    n_clustered = max(OVERSAMPLING * candidates.batch_size, size)
    order = candidates.best(scores, n_clustered)
    points = candidates.features().candidates[order].numpy()
    n_clusters = min(candidates.batch_size, len(order))
    clusters = (
        AgglomerativeClustering(n_clusters, linkage="average").fit_predict(points)
        if len(order) > 1
        else order * 0
    )
    positions = order[round_robin(scores[order], clusters, size)]
    return candidates.batch(positions, scores[positions])


_ENTRIES = (
    (
        "coreset", "CoreSet", "picks the images farthest from all labelled ones",
        r"\max_n \min_{l} \lVert h_n - h_l \rVert", "Sener and Savarese 2018", "sand",
        _choose_coreset,
    ),
    (
        "badge", "BADGE", "picks unlike images whose labels would change the network most",
        r"g_n = (m_n - e_{\hat y_n}) \otimes h_n", "Ash et al. 2020", "violet", _choose_badge,
    ),
    (
        "typiclust", "TypiClust", "picks the most typical image of each cluster without a label",
        r"\Big(\frac{1}{20} \sum_{j \in \text{NN}(n)} \lVert x_n - x_j \rVert\Big)^{-1}",
        "Hacohen et al. 2022", "brown", _choose_typiclust,
    ),
    (
        "cluster_margin", "Cluster-margin", "picks close decisions, in turn from unlike clusters",
        r"1 - \big(m_{n,(1)} - m_{n,(2)}\big)", "Citovsky et al. 2021", "lime",
        _choose_cluster_margin,
    ),
)  # fmt: skip

for _name, _title, _hint, _equation, _source, _colour, _choose in _ENTRIES:
    register(
        AcquisitionFunction(
            name=_name,
            title=_title,
            short_title=_title,
            hint=_hint,
            equation=_equation,
            source=_source,
            record_name=_name,
            bounds=lambda n_classes, n_passes: (0, float("inf")),
            needs="features",
            colour=_colour,
            choose=_choose,
            prefix=_name not in ("typiclust", "cluster_margin"),
        )
    )
