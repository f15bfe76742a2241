"""The posterior under a half-normal prior against quadrature over μ and τ, and where it is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from tasks.meta_analysis.half_normal import half_normal
from tests.tasks.meta_analysis.test_correlated import random_covariance


@pytest.mark.parametrize("correlated", [False, True])
def test_moments_are_those_of_the_joint_posterior_of_mu_and_tau(correlated: bool) -> None:
    # ∫∫ (1, μ, μ², τ, τ²) N(y; μ, V + τ²I) exp(-τ² / 2 scale²) dμ dτ
    errors = np.array([0.1, 0.2, 0.15])
    v = random_covariance(np.random.default_rng(4), errors) if correlated else np.diag(errors**2)
    y, scale = np.array([0.1, 0.4, -0.1]), 0.15

    def integrand(places: np.ndarray) -> np.ndarray:
        mu, tau = places.T
        sigma = v + tau[:, None, None] ** 2 * np.eye(3)
        r = y - mu[:, None]
        q = np.einsum("ni,nij,nj->n", r, np.linalg.inv(sigma), r)
        density = np.linalg.det(sigma) ** -0.5 * np.exp(-0.5 * q - 0.5 * (tau / scale) ** 2)
        return density[:, None] * np.column_stack([np.ones_like(mu), mu, mu**2, tau, tau**2])

    total, *moments = integrate.cubature(integrand, [-4, 0], [4, 8 * scale], rtol=1e-10, atol=0).estimate
    mean, square, tau, tau_square = np.array(moments) / total
    ours = half_normal(y, v, scale)
    assert ours[:2] == pytest.approx((mean, math.sqrt(square - mean**2)), rel=1e-8)
    assert (ours.tau, ours.tau_sd) == pytest.approx((tau, math.sqrt(tau_square - tau**2)), rel=1e-8)


def test_intervals_hold_95_of_100_of_the_posterior() -> None:
    generator = np.random.default_rng(8)
    errors = np.array([0.1, 0.2, 0.15, 0.3])
    v, y, scale = random_covariance(generator, errors), np.array([0.1, 0.4, -0.1, 0.3]), 0.15
    ours = half_normal(y, v, scale)
    taus = np.linspace(0, 8 * scale, 4001)
    density, means, sds = [], [], []
    for tau in taus:
        sigma = v + tau**2 * np.eye(4)
        w = np.linalg.inv(sigma)
        means.append(w.sum(axis=0) @ y / w.sum())
        sds.append(w.sum() ** -0.5)
        r = y - means[-1]
        density.append(sds[-1] / math.sqrt(np.linalg.det(sigma)) * math.exp(-0.5 * (r @ w @ r + (tau / scale) ** 2)))
    total = integrate.simpson(density, x=taus)
    for value, share in ((ours.low, 0.025), (ours.high, 0.975)):
        below = stats.norm.cdf(value, means, sds)
        assert integrate.simpson(density * below, x=taus) / total == pytest.approx(share, abs=1e-9)
    for value, share in ((ours.pi_low, 0.025), (ours.pi_high, 0.975)):
        below = stats.norm.cdf(value, means, np.hypot(sds, taus))
        assert integrate.simpson(density * below, x=taus) / total == pytest.approx(share, abs=1e-9)
    # each tau beside the spline through the density on the plain grid
    cumulated = integrate.cumulative_simpson(density, x=taus, initial=0) / total
    for value, share in ((ours.tau_low, 0.025), (ours.tau_high, 0.975)):
        assert np.interp(value, taus, cumulated) == pytest.approx(share, abs=1e-5)


def test_one_effect_leaves_tau_at_its_prior() -> None:
    # half-normal: mean √(2/π), sd √(1 - 2/π), quantiles those of |z|; μ given τ is N(y, v + τ²)
    ours = half_normal(np.array([0.3]), np.array([[0.01]]), 0.1)
    assert (ours.tau, ours.tau_sd) == pytest.approx((0.1 * math.sqrt(2 / math.pi), 0.1 * math.sqrt(1 - 2 / math.pi)))
    assert (ours.tau_low, ours.tau_high) == pytest.approx((0.1 * 0.0313379821, 0.1 * 2.2414027276), rel=1e-6)
    assert (ours.mean, ours.sd) == pytest.approx((0.3, math.sqrt(0.01 + 0.01)))


def test_a_narrow_prior_is_the_fixed_effect_and_a_wide_one_trusts_the_data() -> None:
    y, v = np.array([0.0, 0.3, 0.6, 0.1]), 0.01 * (np.eye(4) + 0.5)
    narrow = half_normal(y, v, 1e-9)
    assert narrow.mean == pytest.approx(0.25)
    assert narrow.sd == pytest.approx(math.sqrt(0.01 * (0.25 + 0.5)))
    assert narrow.high - narrow.mean == pytest.approx(1.959963985 * narrow.sd)
    # of four effects the likelihood falls as 1 / τ³, so that a prior that is flat has a posterior
    wide, wider = half_normal(y, v, 1e4), half_normal(y, v, 1e6)
    assert (wide.mean, wide.low, wide.tau, wide.tau_high) == pytest.approx(
        (wider.mean, wider.low, wider.tau, wider.tau_high), rel=1e-3
    )


@pytest.mark.parametrize("unit", [1e-20, 1e20])
def test_the_unit_does_not_matter(unit: float) -> None:
    y, v = np.array([0.1, 0.4, -0.1]), np.diag([0.01, 0.04, 0.02])
    assert half_normal(unit * y, unit**2 * v, unit * 0.1) == pytest.approx(
        [unit * value for value in half_normal(y, v, 0.1)], rel=1e-8
    )


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_effects_far_beyond_the_prior_have_every_number(scale: float) -> None:
    ours = half_normal(np.array([-1e5, 0.3, 1e5]), np.diag([1e-4, 1e4, 1.0]), scale)
    assert np.isfinite(ours).all()
    assert ours.low < ours.mean < ours.high
    assert 0 < ours.tau_low < ours.tau < ours.tau_high


def test_no_effect_has_no_posterior_and_a_scale_must_be_above_zero() -> None:
    assert np.isnan(half_normal(np.array([np.nan]), np.array([[0.01]]), 0.1)).all()
    for scale in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="the scale of the prior must be above 0"):
            half_normal(np.array([0.1]), np.array([[0.01]]), scale)
