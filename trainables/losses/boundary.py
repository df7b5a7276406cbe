"""Boundary loss over labelled pixels."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from trainables.losses.task import Loss, LossTask


def boundary(task: LossTask) -> Loss:
    """Mean over labelled pixels of sum_c p_c (phi_c - phi_label), phi_c the signed distance to the boundary of class c.

    Kervadec et al. 2019, "Boundary loss for highly unbalanced segmentation", eq. 5, for several classes. Unlabelled
    pixels are outside of every class. phi is 0 for classes that are not in the image and for the ignored class.
    """
    described = task.described

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        # OpenCV runs on the CPU: with a GPU, this copy synchronises.
        masks = target.cpu().numpy()
        maps = np.stack([signed_distances(mask, described.num_classes) for mask in masks])
        distances = torch.from_numpy(maps).to(logits.device, non_blocking=True)
        if described.ignored_label is not None:
            distances[:, described.ignored_label] = 0
        # The paper sums p_c phi_c only. As probabilities add up to 1, subtracting phi_label adds a constant to each
        # pixel: the gradients stay the same, and the loss is 0 for a perfect prediction and positive for any other,
        # because only the distance of the true class is negative.
        costs = distances - distances.gather(1, target.clamp(min=0).unsqueeze(1))
        costs = costs * (target != task.ignore_index).unsqueeze(1)
        return (logits.softmax(1) * costs).sum() / task.labelled_pixels(target)

    return loss


def signed_distances(mask_hw: np.ndarray, num_classes: int) -> np.ndarray:
    """Return the signed distance of each pixel to the boundary of each class, in units of the longer image side.

    Args:
        mask_hw: (H, W) labels below `num_classes`; pixels of negative ones are outside of every class.
        num_classes: the number of classes.

    Returns:
        (num_classes, H, W) float32 in [-1, 1]: negative inside a class, positive outside, and never 0, as boundaries
        run between pixels; -1 for a class that fills the image. All 0 for a class that is not in the image.
    """
    present = np.flatnonzero(np.bincount(mask_hw[mask_hw >= 0], minlength=num_classes))
    maps = np.zeros((num_classes, *mask_hw.shape), np.float32)
    if not len(present):
        return maps
    outside = np.stack([_distance_to(mask_hw == label) for label in present])
    own = outside == 0
    # The nearest pixel outside of a pixel's own class is the nearest pixel of any other class.
    inside = np.where(own, np.inf, outside).min(0)
    # Distances are between pixel centres; the boundary is half a pixel nearer.
    signed = np.where(own, 0.5 - inside, outside - 0.5)
    maps[present] = np.clip(signed / max(mask_hw.shape), -1, 1)
    return maps


def _distance_to(region_hw: np.ndarray) -> np.ndarray:
    """Return the Euclidean distance in pixels to the nearest pixel of a non-empty region: (H, W) float32."""
    return cv2.distanceTransform((~region_hw).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
