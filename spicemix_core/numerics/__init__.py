"""Numerical tools without biology: projections, products, threads."""
