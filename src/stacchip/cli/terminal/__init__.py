"""What a person at a terminal sees and presses: lines, progress, logs, help, Ctrl-C.

In reading order:

- `console`: runs a command line; every command goes through it, and prints through it.
- `command_line`: the classes of commands: what every one of them has.
- `common_options`: the options that every command has: `--verbose`, `--progress`, `--version`.
- `interrupts`: Ctrl-C ends a command within seconds.
- `help_pages`: help whose names are whole on any terminal.
- `hints`: advice of the library with options in place of Python arguments.
- `lines`: lines on standard output and standard error.
- `logs`: what is shown of the log.
- `progress`: how far a task is, as a bar, as lines, as JSON.

Nothing here knows of a particular command, or of chips.
"""
