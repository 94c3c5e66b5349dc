"""How many metagenes: the study of the selection rule."""
