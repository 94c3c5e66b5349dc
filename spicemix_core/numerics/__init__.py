"""Numerical routines that know nothing of biology: quadratic programs, projections, products, threads."""
