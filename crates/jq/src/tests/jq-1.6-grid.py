#!/usr/bin/env python3
"""Makes the table of jq 1.6's outcomes: python3 jq-1.6-grid.py < jq-1.6-grid.txt > jq-1.6-grid.tsv

Reads inputs, an empty line, filters. Writes the inputs (`< JSON`), then for each filter its outputs
for every input as an array, or `!` where it fails; `~` where jq itself crashes, hangs or wants more
than 2 GB, `=` for the input in an array, nothing for the same as before. Needs jq 1.6 as `jq`.
"""
import json, resource, subprocess, sys


def limits():
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def jq(program, inputs):
    """Lines of output, or nothing if jq does not end well."""
    try:
        done = subprocess.run(
            ["jq", "-c", program], input="\n".join(inputs), encoding="utf-8", errors="replace",
            capture_output=True, timeout=10, preexec_fn=limits)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode == 3:  # does not compile
        return ['"!"'] * len(inputs)
    lines = done.stdout.splitlines()
    return lines if done.returncode == 0 and len(lines) == len(inputs) else None


assert subprocess.run(["jq", "--version"], capture_output=True, text=True).stdout == "jq-1.6\n"
inputs, filters = [part.splitlines() for part in sys.stdin.read().split("\n\n")]
for text in inputs:
    print("<", text)
for text in filters:
    program = f'try [{text}] catch "!"'
    cells = jq(program, inputs) or [(jq(program, [one]) or ["~"])[0] for one in inputs]
    cells = ["!" if cell == '"!"' else "=" if cell == f"[{one}]" else cell for cell, one in zip(cells, inputs)]
    print(text, *(c if i == 0 or c != cells[i - 1] else "" for i, c in enumerate(cells)), sep="\t")
