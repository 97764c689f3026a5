# SPDX-License-Identifier: Apache-2.0
"""Run the lab's command line: ``python3 -m lab VERB``."""

import sys

from lab import cli

if __name__ == '__main__':
    sys.exit(cli.main(sys.argv[1:]))
