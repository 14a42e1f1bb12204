#!/usr/bin/env python3
"""Makes the table of jq 1.6's regular expressions: python3 jq-1.6-regex.py 1 3000 > jq-1.6-regex.tsv

Takes a seed and how many cases. Writes for each `{"p": pattern, "f": flags, "t": text, "op": function}`
and what jq makes of it, in an array, or `!` where it fails. Cases in which jq crashes or hangs (it
does on matches of nothing in texts beyond ASCII) are left out. Needs jq 1.6 as `jq`.
"""
import json, random, subprocess, sys

assert subprocess.run(["jq", "--version"], capture_output=True, text=True).stdout == "jq-1.6\n"
random.seed(int(sys.argv[1]))
one, chance = random.choice, lambda share: random.random() < share

CHARS = list("aabbcAB_ -0kKsS\n{}],&:#<>") + ["é", "É", "ß", "\u212a", "ſ", "İ", "٣", "🦊"]
ESCAPES = r"\w \W \d \D \s \S \w \d \s \h \H \v \n \t \. \- \< \> \x61 \x{e9} \x{212a} \o{141} \0 \e \N \O \u0061 \é".split()
RARE = r"\R \X \p{Ll} \pL \Qa.b\E \1 \k<n> \K \G \cA \xe9 \y \141 \g<n>".split()
ANCHORS = r"^ $ \A \z \Z \b \B".split()
POSIX = "alpha digit upper lower space punct alnum word xdigit cntrl print graph blank ascii none".split()
RANGES = "a-c A-C 0-9 a-z é-ê !-~ À-ÿ +-- a-é".split()
WITHIN = r"\w \W \d \s \S \D \n \- \] \b \x61 \x{e9} \141 \h \v \e \0 \. \\ [ && - -- ~~".split()
QUANTIFIERS = "* + ? *? +? ?? {2} {1,2} {0,2}? {2,} {0,} {1} {,2} {1 {a} {2}? {0} {2,1} *+ ++ ?+ {2}+".split()
FLAGS = "(?i:%s) (?-i:%s) (?s:%s) (?m:%s) (?x:%s) (?i)%s (?m)%s (?s-i)%s (?#c)%s (?x:a%s)".split()
REFUSED = r"(?=%s) (?!%s) (?<=%s) (?>%s) (?~%s) (?P<n>%s) (%s)\1 (?<n>%s)\k<n> (?(1)%s) (*%s)".split()


def part_of_class():
    kind = random.random()
    if kind < 0.4:
        return one([c for c in CHARS if c != "]"])
    if kind < 0.6:
        return one(RANGES)
    return one(WITHIN) if kind < 0.9 else f"[:{one(['', '^'])}{one(POSIX)}:]"


def leaf():
    kind = random.random()
    if kind < 0.5:
        return one(CHARS)
    if kind < 0.6:
        return one([".", ".", ""])
    if kind < 0.72:
        return one(ESCAPES) if chance(0.85) else one(RARE)
    if kind < 0.85:
        return one(ANCHORS)
    parts = "".join(part_of_class() for _ in range(random.randint(1, 3)))
    return f"[{one(['', '', '^'])}{']' if chance(0.06) else ''}{parts}]"


def pattern(depth):
    kind = random.random()
    if depth == 0 or kind < 0.25:
        return leaf()
    inner = lambda: pattern(depth - 1)
    if kind < 0.5:
        return "".join(inner() for _ in range(random.randint(1, 3)))
    if kind < 0.62:
        return one(["(%s)", "(?:%s)", "%s"]) % "|".join(inner() for _ in range(random.randint(2, 3)))
    if kind < 0.84:
        return one(["(?:%s)", "(%s)", "%s"]) % inner() + one(QUANTIFIERS) + (one(QUANTIFIERS) if chance(0.06) else "")
    if kind < 0.91:
        return one(["(%s)", "(?:%s)", "(?<n>%s)", "(?'m'%s)"]) % inner()
    return (one(FLAGS) if chance(0.7) else one(REFUSED)) % inner()


def case():
    text = "".join(one(CHARS + list("\rvhi")) for _ in range(random.choice([0, 1, 2, 3, 4, 5, 6, 8])))
    flags = one(["", "", "g", "g", "i", "gi", "x", "gx", "s", "n", "gn", "gp", "p", "gin"])
    function = one(["match", "match", "match", "test", "split", "capture", "sub"])
    if not text.isascii() and ("g" in flags or function == "split") and "n" not in flags:
        flags += "n"
    return json.dumps({"p": pattern(random.randint(1, 4)), "f": flags, "t": text, "op": function}, ensure_ascii=False)


PROGRAM = open(sys.argv[0].replace(".py", ".jq")).read()


def outcomes(cases):
    """Each case's, nothing where jq comes to no end."""
    try:
        done = subprocess.run(["jq", "-c", f"try ({PROGRAM}) catch \"!\""], input="\n".join(cases), text=True,
                              capture_output=True, timeout=1)
        lines = done.stdout.split("\n")[:-1]
        if done.returncode == 0 and len(lines) == len(cases):
            return lines
    except subprocess.TimeoutExpired:
        pass
    if len(cases) == 1:
        return [None]
    half = len(cases) // 2
    return outcomes(cases[:half]) + outcomes(cases[half:])


cases = [case() for _ in range(int(sys.argv[2]))]
for start in range(0, len(cases), 50):
    for text, outcome in zip(cases[start:start + 50], outcomes(cases[start:start + 50])):
        if outcome is not None:
            print(text, "!" if outcome == '"!"' else outcome, sep="\t")
