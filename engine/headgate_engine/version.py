"""The version of Headgate, of which the distributions and all programs take theirs."""

VERSION = "0.2.0"
