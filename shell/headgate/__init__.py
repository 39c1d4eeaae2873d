"""The command `headgate`. Holds nothing itself: it hands on to the rooms."""
