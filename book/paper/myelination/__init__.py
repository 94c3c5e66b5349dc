"""The paper's Fig. 4f: oligodendrocytes along their trajectory."""
