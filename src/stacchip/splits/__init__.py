"""Splits: rules that say whether a chip is for training, validation or test.

The files, in reading order:

```
cells    cells of a global grid, those of Major TOM
ground   the ground within some distance of chips
shares   how much each split gets, and which of them chance gives to something
by_cell  splits by cells of the grid
by_region, by_time, by_column
         splits by these
rules    what all of them are, and two of them together
```

It imports `grid` and knows no files: the modules of `index` record rules with an index, and
`selection` is what people use.
"""
