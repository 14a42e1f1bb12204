;; A guest whose word on a record depends on what came before it, so that a replay decides differently:
;; an instance traps at its 23rd record and hangs at its 13th if that one's length is a multiple of 11.
;; Otherwise the length decides: a multiple of 7 is dropped, a multiple of 5 becomes three outputs, the
;; rest one. The outputs of a JSON object carry their number as the member "out".
(module
  (memory (export "memory") 16)
  (data (i32.const 16) ",\"out\":0}")
  (global $heap (mut i32) (i32.const 1024))
  (global $seen (mut i32) (i32.const 0))

  (func $alloc (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get $size)))
    (loop $more
      (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
        (then
          (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
          (br $more))))
    (local.get $at))

  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (call $alloc (local.get 3)))

  (func (export "configure") (param i32 i32) (result i32)
    (local $ret i32)
    (local.set $ret (call $alloc (i32.const 12)))
    (i32.store8 (local.get $ret) (i32.const 0))
    (local.get $ret))

  ;; Output number $n of a record, 16 bytes at $out.
  (func $output (param $out i32) (param $n i32) (param $data i32) (param $len i32)
    (local $copy i32)
    (i32.store (local.get $out) (local.get $data))
    (i32.store offset=4 (local.get $out) (local.get $len))
    (i32.store offset=8 (local.get $out) (i32.const 0))
    (i32.store offset=12 (local.get $out) (i32.const 0))
    (if (i32.eqz (local.get $len)) (then (return)))
    (if (i32.ne
          (i32.load8_u (i32.sub (i32.add (local.get $data) (local.get $len)) (i32.const 1)))
          (i32.const 125)) ;; }
      (then (return)))
    (local.set $copy (call $alloc (i32.add (local.get $len) (i32.const 8))))
    (memory.copy (local.get $copy) (local.get $data) (i32.sub (local.get $len) (i32.const 1)))
    (local.set $data (i32.add (local.get $copy) (i32.sub (local.get $len) (i32.const 1))))
    (memory.copy (local.get $data) (i32.const 16) (i32.const 9))
    (i32.store8 offset=7 (local.get $data) (i32.add (i32.const 48) (local.get $n)))
    (i32.store (local.get $out) (local.get $copy))
    (i32.store offset=4 (local.get $out) (i32.add (local.get $len) (i32.const 8))))

  (func $one (param $to i32) (param $data i32) (param $len i32)
    (local $list i32)
    (global.set $seen (i32.add (global.get $seen) (i32.const 1)))
    (if (i32.eq (global.get $seen) (i32.const 23)) (then unreachable))
    (if (i32.and
          (i32.eq (global.get $seen) (i32.const 13))
          (i32.eqz (i32.rem_u (local.get $len) (i32.const 11))))
      (then (loop $ever (br $ever))))
    (if (i32.eqz (i32.rem_u (local.get $len) (i32.const 7)))
      (then
        (i32.store8 (local.get $to) (i32.const 2))
        (return)))
    (if (i32.eqz (i32.rem_u (local.get $len) (i32.const 5)))
      (then
        (local.set $list (call $alloc (i32.const 48)))
        (call $output (local.get $list) (i32.const 0) (local.get $data) (local.get $len))
        (call $output (i32.add (local.get $list) (i32.const 16)) (i32.const 1)
          (local.get $data) (local.get $len))
        (call $output (i32.add (local.get $list) (i32.const 32)) (i32.const 2)
          (local.get $data) (local.get $len))
        (i32.store8 (local.get $to) (i32.const 1))
        (i32.store offset=4 (local.get $to) (local.get $list))
        (i32.store offset=8 (local.get $to) (i32.const 3))
        (return)))
    (i32.store8 (local.get $to) (i32.const 0))
    (call $output (i32.add (local.get $to) (i32.const 4)) (i32.const 0)
      (local.get $data) (local.get $len)))

  (func (export "transform") (param $records i32) (param $count i32) (result i32)
    (local $ret i32) (local $list i32) (local $i i32) (local $record i32)
    (local.set $ret (call $alloc (i32.const 12)))
    (local.set $list (call $alloc (i32.mul (local.get $count) (i32.const 20))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $count)))
        (local.set $record (i32.add (local.get $records) (i32.mul (local.get $i) (i32.const 16))))
        (call $one
          (i32.add (local.get $list) (i32.mul (local.get $i) (i32.const 20)))
          (i32.load (local.get $record))
          (i32.load offset=4 (local.get $record)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (i32.store8 (local.get $ret) (i32.const 0))
    (i32.store offset=4 (local.get $ret) (local.get $list))
    (i32.store offset=8 (local.get $ret) (local.get $count))
    (local.get $ret))

  (func (export "cabi_post_transform") (param i32)
    (global.set $heap (i32.const 1024)))
)
