"""The shell with a person in front of it: prompt, completion, colours, history, questions.

No names here: scripts never load this room within a room, nor prompt_toolkit.
"""
