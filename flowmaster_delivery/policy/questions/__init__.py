"""The gate's questions, each a pure function from what is asked to an answer in words.

Here: what meets a gate, what is missing, what would mend it and when. Not here: which gates an
environment asks for (its catalog says), how facts are read (flows), and how answers are shown.
"""
