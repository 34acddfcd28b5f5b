"""``python -m cnnexp``."""

import sys

from cnnexp.app.main import main

if __name__ == "__main__":
    sys.exit(main())
