"""Methods that SpiceMix is compared with."""
