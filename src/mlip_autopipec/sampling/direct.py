"""DIRECT sampling: clusters in the space of principal components, one frame of each."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.cluster import Birch
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

_CONSTANT = 1e-10  # a feature that varies less than this says nothing (SOAP is of order one)


def principal_components(vectors: np.ndarray) -> np.ndarray:
    """Standardised features projected on the principal components with eigenvalue above one, each weighted by the
    share of variance it explains (Qi, Ko, Wood, Pham, Ong, npj Comput. Mater. 10, 43, 2024).

    Args:
        vectors: (frames, features).

    Returns:
        (frames, components); at least one component; constant features are left out.
    """
    varying = vectors[:, vectors.std(axis=0) > _CONSTANT]
    if varying.shape[1] == 0:
        return np.zeros((len(vectors), 1))
    scaled = (varying - varying.mean(axis=0)) / varying.std(axis=0)
    pca = PCA(n_components=min(scaled.shape), svd_solver="full").fit(scaled)
    number = max(1, int((pca.explained_variance_ > 1.0).sum()))
    weighted: np.ndarray = pca.transform(scaled)[:, :number] * pca.explained_variance_ratio_[:number]
    return weighted


def direct(components: np.ndarray, number: int) -> np.ndarray:
    """Indices of `number` frames, the one nearest to the centre of each BIRCH cluster, in ascending order.

    With as many frames as asked, or fewer, all are taken. Frames that are alike to the last digit can only make one
    cluster: fewer indices than asked come back then.
    """
    if len(components) <= number:
        return np.arange(len(components))
    scale = float(components.std()) or 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer clusters than asked: said by the caller's record
        labels = Birch(threshold=1e-3 * scale, n_clusters=number).fit_predict(components)
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        centre = components[members].mean(axis=0)
        chosen.append(members[np.argmin(((components[members] - centre) ** 2).sum(axis=1))])
    return np.sort(np.array(chosen))
