"""Where a fit runs: processor, graphics card (PyTorch), cluster (Dask), or Gurobi as the solver."""
