class WnutError(ValueError):
    """Raised for invalid input or settings. The message names the problem, its place and
    the remedy.

    The command line prints the message without a traceback. All other exceptions are
    bugs.
    """
