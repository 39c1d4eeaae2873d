"""InfluxQL's words, names, strings, durations and regular expressions."""
