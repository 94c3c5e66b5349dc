"""The paper's Fig. 2: the simulated cortex."""
