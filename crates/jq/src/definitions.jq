# What jq 1.6 defines and jaq lacks, or defines otherwise. (What begins with an underscore calls
# natives of ours.)

def error(message): message | if . == null then empty else error_empty as $none | . end;
def error: error(.);
def map_values(f): _modify(.[]; f);
def _assign(paths; $value): _modify(paths; $value);
def recurse_down: recurse;
def leaf_paths: paths(scalars);
def scalars_or_empty:
  select(type | . != "array" and . != "object"), select((type | . == "array" or . == "object") and length == 0);
def getpath($path):
  if $path | type != "array" then error("Path must be specified as an array")
  else reduce $path[] as $key (.; .[$key]) end;
def del(f): delpaths([path(f)]);

def to_entries: [keys_unsorted[] as $key | {key: $key, value: .[$key]}];
def from_entries:
  map({(.key // .Key // .name // .Name // .k // .K):
       (if has("value") then .value elif has("v") and (has("Value") | not) then .v else .Value end)})
  | add + {};
def with_entries(f): to_entries | map(f) | from_entries;

def sort_by(f): _sort_by(map([f]));
def flatten: _flatten(-1);
def flatten($depth):
  if $depth < 0 then error("flatten depth must not be negative") else _flatten($depth) end;
def range($to): _count(0; $to);
def range($from; $to): _count($from; $to);
def transpose:
  if . == [] then [] else
    (map(length) | max) as $width
    | [range(0; $width) as $column | [range(0; length) as $row | .[$row][$column]]]
  end;
def combinations:
  if length == 0 then [] else .[0][] as $first | (.[1:] | combinations) as $rest | [$first] + $rest end;
def combinations(n): . as $items | [range(n) | $items] | combinations;
def index($part): indices($part) | .[0];
def rindex($part): indices($part) | .[-1:][0];
def join($between): [.[] | if type == "null" then ""
    elif type == "boolean" or type == "number" then tostring else . end]
  | if . == [] then "" else reduce .[1:][] as $part ("" + .[0]; . + ($between + $part)) end;

def limit($n; f): if $n < 0 then f else _limit(if $n == 0 then 1 else $n end; f) end;
def last(f): reduce f as $output (null; $output);
def nth($n; f):
  if $n < 0 then error("nth doesn't support negative indices") else last(limit($n + 1; f)) end;
def IN(s): any(s == .; .);
def IN(source; s): any(source == s; .);
def INDEX(stream; f):
  reduce stream as $row ({}; reduce ($row | f | tostring) as $key (.; . + {($key): $row}));
def INDEX(f): INDEX(.[]; f);
def JOIN($index; f): [.[] | [., $index[f]]];
def JOIN($index; stream; f): stream | [., $index[f]];
def JOIN($index; stream; f; join): stream | [., $index[f]] | join;

def isfinite: type == "number" and (isinfinite | not);
def normals: select(isnormal);
def finites: select(isfinite);
def gamma: lgamma;
def drem($x; $y): remainder($x; $y);
def nexttoward($x; $y): nextafter($x; $y);

def todateiso8601: strftime("%Y-%m-%dT%H:%M:%SZ");
def fromdateiso8601: strptime("%Y-%m-%dT%H:%M:%SZ") | mktime;
def todate: todateiso8601;
def fromdate: fromdateiso8601;

# A pattern is a string, or an array of it and its flags.
def _pattern(f):
  if type == "string" then [., null] | f
  elif type == "array" and length > 0 then [.[0], .[1]] | f
  else error("\(type) not a string or array") end;
def match($pattern; $flags): _match($pattern; $flags)[];
def match($pattern): . as $in | $pattern | _pattern(. as [$pattern, $flags] | $in | match($pattern; $flags));
def test($pattern; $flags): _test($pattern; $flags);
def test($pattern): . as $in | $pattern | _pattern(. as [$pattern, $flags] | $in | test($pattern; $flags));
def capture($pattern; $flags):
  match($pattern; $flags)
  | reduce (.captures[] | select(.name != null)) as $group ({}; . + {($group.name): $group.string});
def capture($pattern): . as $in | $pattern | _pattern(. as [$pattern, $flags] | $in | capture($pattern; $flags));
def scan($pattern):
  match($pattern; "g") | if .captures | length > 0 then [.captures[].string] else .string end;
def split($pattern; $flags): _split($pattern; "g" + $flags);
def splits($pattern; $flags): split($pattern; $flags)[];
def splits($pattern): splits($pattern; null);
def sub($pattern; f; $flags): _pieces($pattern; $flags) | _join_pieces(f);
def sub($pattern; f):
  . as $in | $pattern
  | _pattern(. as [$pattern, $flags] | $in | sub($pattern; f; ($flags // "") | split("g") | join("")));
def gsub($pattern; f; $flags): sub($pattern; f; $flags + "g");
def gsub($pattern; f): sub($pattern; f; "g");

def @sh:
  [if type == "array" then .[] else . end | if . >= "" then "'\(escape_sh)'" else tojson end] | join(" ");
def format($name):
  if $name == "text" then @text elif $name == "json" then @json elif $name == "csv" then @csv
  elif $name == "tsv" then @tsv elif $name == "html" then @html elif $name == "uri" then @uri
  elif $name == "sh" then @sh elif $name == "base64" then @base64 elif $name == "base64d" then @base64d
  else error("\($name) is not a valid format") end;
