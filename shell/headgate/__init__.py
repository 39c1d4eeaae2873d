"""The command `headgate`: a file for each subcommand but `shell`, which is a package."""
