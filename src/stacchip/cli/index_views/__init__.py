"""An index as a person looks at it: summed up, line by line, and as pictures.

In reading order:

- `summary`: what an index holds, for each source.
- `listing`: its items and its chips, line by line.
- `chosen`: the chips that a command line asks for.
- `absent_chips`: what to say of chips that it lacks.
- `colours`: the bands of an item to show.
- `pictures`: chips as pictures.
"""
