"""SpiceMix."""
