. as {$p, $f, $t, $op} | $t
| [if $op == "match" then [match($p; $f)]
   elif $op == "test" then test($p; $f)
   elif $op == "split" then split($p; $f)
   elif $op == "capture" then [capture($p; $f)]
   else sub($p; "<\(.)>"; $f) end]
