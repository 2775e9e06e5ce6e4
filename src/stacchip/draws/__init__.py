"""How often an epoch takes each chip: draws by weights and classes, mixes of sources.

The files, in reading order:

```
draw           `Draw`: what a user asks for
mix            `Mix`: several sources in set proportions
column_values  the values of a column, or of an expression such as `month(datetime)`
chosen_rows    the rows of an index that a draw may choose from
weighing       weighs the chips of an index, and tells their classes
membership     tells of which part of a mix each chip is
places         the same ground, whatever the date or sensor
strata         the kinds of chips that a draw tells apart, and what an epoch takes of each
chances        how often each chip comes: expected, and then drawn
report         asked and got, repeats, and what it costs to read
chart          shares of classes before and after, as a picture
```

A draw looks at an index twice: once for the classes, and once for the weight and the class of each
chip. An epoch is then drawn from these, without the index. `stacchip.stream` keeps them, and puts
the chips drawn in order.
"""

from stacchip.draws.draw import Draw
from stacchip.draws.mix import Mix
from stacchip.draws.report import DrawReport, ValueShare

__all__ = ["Draw", "DrawReport", "Mix", "ValueShare"]
