"""The paper's Fig. 4a-e: the STARmap section."""
