"""The quantile behind every Wald interval."""

Z95 = 1.959963984540054
"""The 97.5% quantile of the normal distribution: a Wald 95% interval is an estimate ± Z95 standard errors."""
