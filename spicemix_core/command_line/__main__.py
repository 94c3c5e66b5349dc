"""``python -m spicemix_core.command_line``: the program ``spicemix`` where its script is not on the path."""

import sys

from spicemix_core.command_line import main

sys.exit(main())
