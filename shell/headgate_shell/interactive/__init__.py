"""The interactive shell: prompt, completion, colours, history, confirmations.

Exports nothing: scripts load neither this package nor prompt_toolkit.
"""
