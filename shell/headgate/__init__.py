"""The command `headgate`. This package only dispatches to the other packages."""
