"""The command `headgate`: a file for each subcommand. `shell` is the package headgate_shell."""
