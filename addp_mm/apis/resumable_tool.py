"""How tools end that go on where they were stopped."""
from __future__ import annotations

import sys
from collections.abc import Callable

from .launch import EXIT_INTERRUPTED, EXIT_USER_ERROR

EXIT_STAGE_FAILED = 1


class StageError(RuntimeError):
    """A training cannot be run or has failed; the message says why and what to do."""


def run_resumable(main: Callable[[], object]) -> int:
    """Call the main function of a tool and turn what stops it into an exit code.

    Returns:
        0; 1 after a training that failed, and 2 after an error that the user can mend, both said
        on stderr; 130 after Ctrl-C. Everything else is raised.
    """
    try:
        main()
    except KeyboardInterrupt:
        sys.stderr.write('Interrupted. Run the same command again to go on.\n')
        return EXIT_INTERRUPTED
    except StageError as error:
        sys.stderr.write(f'{error}\n')
        return EXIT_STAGE_FAILED
    except (ImportError, OSError, ValueError) as error:
        sys.stderr.write(f'error: {" ".join(str(error).split())}\n')
        return EXIT_USER_ERROR
    return 0
