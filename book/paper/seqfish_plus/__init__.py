"""The paper's Fig. 3: the seqFISH+ cortex."""
