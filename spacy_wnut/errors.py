class WnutError(ValueError):
    """Bad input or a bad setting. The message names it and says what to do.

    The command line prints the message alone; a traceback is only shown for
    what is a bug.
    """
