"""Files of other programs: reading and converting."""
