"""The shell's own commands, one file each."""
