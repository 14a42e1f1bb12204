;; A guest that does to each record what the record's first byte says: all that a module can do, well
;; behaved and not. Written by hand against the canonical ABI, so that no toolchain is needed.
;;
;;   d dropped          f failed "bad"       2 two outputs       0 no outputs      k the key k = its data
;;   t trap             p logs, then traps   l endless loop      r endless recursion
;;   M takes memory     O huge result        A aliased results   c one outcome too few
;;   u bad UTF-8        e fails the batch    w logs and passes   n passes after a long loop
;;   g asks for more memory than there can be, as a loop does that gives up, and passes
;;   o asks for its origin, of which comes out: o, and what is longer than five, the stream; oo the shard;
;;     ooo the sequence number; ooooo the partition key
;;   anything else passes as it is
(module
  (import "firehose:transform/host@1.0.0" "log" (func $log (param i32 i32 i32)))
  (import "firehose:transform/host@1.0.0" "origin-of" (func $origin (param i32 i32)))
  (memory (export "memory") 4)
  (data (i32.const 16) "bad")
  (data (i32.const 32) "\ff\fe")
  (data (i32.const 48) "not today")
  (data (i32.const 64) "refused as configured")
  (data (i32.const 96) "k")
  (data (i32.const 112) "the guest says why")
  (global $heap (mut i32) (i32.const 1024))
  (global $short (mut i32) (i32.const 0))
  (global $err (mut i32) (i32.const 0))

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

  ;; A config that begins with {"refuse is refused, one that begins with {"trap traps.
  (func (export "configure") (param $at i32) (param $len i32) (result i32)
    (local $ret i32)
    (local.set $ret (call $alloc (i32.const 12)))
    (i32.store8 (local.get $ret) (i32.const 0))
    (if (i32.gt_u (local.get $len) (i32.const 3))
      (then
        (if (i32.eq (i32.load8_u (i32.add (local.get $at) (i32.const 2))) (i32.const 114)) ;; r
          (then
            (i32.store8 (local.get $ret) (i32.const 1))
            (i32.store offset=4 (local.get $ret) (i32.const 64))
            (i32.store offset=8 (local.get $ret) (i32.const 21))))
        (if (i32.eq (i32.load8_u (i32.add (local.get $at) (i32.const 2))) (i32.const 116)) ;; t
          (then unreachable))))
    (local.get $ret))

  (func $recurse (param i32) (result i32)
    (i32.add (call $recurse (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))

  ;; Writes an output (16 bytes at $out) with no keys.
  (func $output (param $out i32) (param $data i32) (param $len i32)
    (i32.store (local.get $out) (local.get $data))
    (i32.store offset=4 (local.get $out) (local.get $len))
    (i32.store offset=8 (local.get $out) (i32.const 0))
    (i32.store offset=12 (local.get $out) (i32.const 0)))

  ;; `many` with $count outputs of the same bytes.
  (func $many (param $to i32) (param $count i32) (param $data i32) (param $len i32)
    (local $list i32) (local $i i32)
    (local.set $list (call $alloc (i32.mul (local.get $count) (i32.const 16))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $count)))
        (call $output
          (i32.add (local.get $list) (i32.mul (local.get $i) (i32.const 16)))
          (local.get $data) (local.get $len))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (i32.store8 (local.get $to) (i32.const 1))
    (i32.store offset=4 (local.get $to) (local.get $list))
    (i32.store offset=8 (local.get $to) (local.get $count)))

  ;; Outcome of one record (20 bytes at $to).
  (func $one (param $to i32) (param $data i32) (param $len i32) (param $index i32)
    (local $do i32) (local $at i32)
    (if (local.get $len) (then (local.set $do (i32.load8_u (local.get $data)))))
    (i32.store8 (local.get $to) (i32.const 0))
    (call $output (i32.add (local.get $to) (i32.const 4)) (local.get $data) (local.get $len))
    (if (i32.eq (local.get $do) (i32.const 100)) ;; d
      (then (i32.store8 (local.get $to) (i32.const 2))))
    (if (i32.eq (local.get $do) (i32.const 102)) ;; f
      (then
        (i32.store8 (local.get $to) (i32.const 3))
        (i32.store offset=4 (local.get $to) (i32.const 16))
        (i32.store offset=8 (local.get $to) (i32.const 3))))
    (if (i32.eq (local.get $do) (i32.const 50)) ;; 2
      (then (call $many (local.get $to) (i32.const 2) (local.get $data) (local.get $len))))
    (if (i32.eq (local.get $do) (i32.const 48)) ;; 0
      (then (call $many (local.get $to) (i32.const 0) (local.get $data) (local.get $len))))
    (if (i32.eq (local.get $do) (i32.const 107)) ;; k
      (then
        (local.set $at (call $alloc (i32.const 16)))
        (i32.store (local.get $at) (i32.const 96))
        (i32.store offset=4 (local.get $at) (i32.const 1))
        (i32.store offset=8 (local.get $at) (local.get $data))
        (i32.store offset=12 (local.get $at) (local.get $len))
        (i32.store offset=12 (local.get $to) (local.get $at))
        (i32.store offset=16 (local.get $to) (i32.const 1))))
    (if (i32.eq (local.get $do) (i32.const 116)) (then unreachable)) ;; t
    (if (i32.eq (local.get $do) (i32.const 112)) ;; p
      (then
        (call $log (i32.const 0) (i32.const 112) (i32.const 18))
        unreachable))
    (if (i32.eq (local.get $do) (i32.const 108)) ;; l
      (then (loop $ever (br $ever))))
    (if (i32.eq (local.get $do) (i32.const 110)) ;; n
      (then
        (loop $count
          (br_if $count (i32.lt_u
            (local.tee $at (i32.add (local.get $at) (i32.const 1))) (i32.const 30000000))))))
    (if (i32.eq (local.get $do) (i32.const 103)) ;; g
      (then (drop (memory.grow (i32.const -2))) (drop (memory.grow (i32.const -1)))))
    (if (i32.eq (local.get $do) (i32.const 114)) ;; r
      (then (drop (call $recurse (i32.const 0)))))
    (if (i32.eq (local.get $do) (i32.const 77)) ;; M
      (then (loop $more (drop (memory.grow (i32.const 64))) (br $more))))
    (if (i32.eq (local.get $do) (i32.const 79)) ;; O
      (then
        (local.set $at (call $alloc (i32.const 8388608)))
        (i32.store offset=4 (local.get $to) (local.get $at))
        (i32.store offset=8 (local.get $to) (i32.const 8388608))))
    (if (i32.eq (local.get $do) (i32.const 65)) ;; A
      (then (call $many (local.get $to) (i32.const 100000) (i32.const 0) (i32.const 262144))))
    (if (i32.eq (local.get $do) (i32.const 99)) ;; c
      (then (global.set $short (i32.const 1))))
    (if (i32.eq (local.get $do) (i32.const 117)) ;; u
      (then
        (i32.store8 (local.get $to) (i32.const 3))
        (i32.store offset=4 (local.get $to) (i32.const 32))
        (i32.store offset=8 (local.get $to) (i32.const 2))))
    (if (i32.eq (local.get $do) (i32.const 101)) ;; e
      (then (global.set $err (i32.const 1))))
    (if (i32.eq (local.get $do) (i32.const 119)) ;; w
      (then (call $log (i32.const 1) (local.get $data) (local.get $len))))
    (if (i32.eq (local.get $do) (i32.const 111)) ;; o
      (then
        (local.set $at (call $alloc (i32.const 40)))
        (call $origin (local.get $index) (local.get $at))
        (if (i32.lt_u (local.get $len) (i32.const 6))
          (then
            (local.set $at
              (i32.add
                (local.get $at)
                (i32.mul (i32.sub (local.get $len) (i32.const 1)) (i32.const 8))))))
        (i32.store offset=4 (local.get $to) (i32.load (local.get $at)))
        (i32.store offset=8 (local.get $to) (i32.load offset=4 (local.get $at))))))

  (func (export "transform") (param $records i32) (param $count i32) (result i32)
    (local $ret i32) (local $list i32) (local $i i32) (local $record i32)
    (global.set $short (i32.const 0))
    (global.set $err (i32.const 0))
    (local.set $ret (call $alloc (i32.const 12)))
    (local.set $list (call $alloc (i32.mul (local.get $count) (i32.const 20))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $count)))
        (local.set $record (i32.add (local.get $records) (i32.mul (local.get $i) (i32.const 16))))
        (call $one
          (i32.add (local.get $list) (i32.mul (local.get $i) (i32.const 20)))
          (i32.load (local.get $record))
          (i32.load offset=4 (local.get $record))
          (local.get $i))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (i32.store8 (local.get $ret) (i32.const 0))
    (i32.store offset=4 (local.get $ret) (local.get $list))
    (i32.store offset=8 (local.get $ret) (i32.sub (local.get $count) (global.get $short)))
    (if (global.get $err)
      (then
        (i32.store8 (local.get $ret) (i32.const 1))
        (i32.store offset=4 (local.get $ret) (i32.const 48))
        (i32.store offset=8 (local.get $ret) (i32.const 9))))
    (local.get $ret))

  (func (export "cabi_post_transform") (param i32)
    (global.set $heap (i32.const 1024)))
)
