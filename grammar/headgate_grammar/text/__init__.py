"""Reads and writes parts of InfluxQL text: keywords, names, strings, durations and regexes."""
