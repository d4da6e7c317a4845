"""From the command line to the exit code: the application, its session, its context, and the log of its runs."""
