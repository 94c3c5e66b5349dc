"""SpiceMix among other methods: the stored table of `benchmarks/rivals`, and its figures."""
