"""The package's statistics: estimates with intervals, tests, resampling, trade-offs, and tables of them."""
