"""Commands that start at once: a process that somebody started (`mw warm`) keeps the program loaded and forks for each.

`asking` is the command's half, `keeping` the process that stays, `command` is `mw warm`; `speech` is what both say.
"""
