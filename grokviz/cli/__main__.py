"""`python -m grokviz.cli` is `grokviz`."""

import sys

from grokviz.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
