"""Cumulative link mixed models with up to two crossed random intercepts (logit link, Laplace approximation).

Read `likelihood` (one rating), `crossing` and `factor` (the random effects' curvature), `laplace` (the objective and
its gradient), `maximise` (the search and the standard errors), `model` (arrays in, `Fit` out), `formula` (tables in).
"""
