;; A guest of the world `transform-packed`, by hand and without metadata: every record passes, but of one
;; that begins with an x it says that two come out.
(module
  (memory (export "memory") 8)
  (global $next (mut i32) (i32.const 4096))

  (func $room (param $bytes i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $next))
    (global.set $next
      (i32.and (i32.add (i32.add (global.get $next) (local.get $bytes)) (i32.const 7)) (i32.const -8)))
    (local.get $at))

  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (call $room (local.get 3)))

  (func (export "configure") (param i32 i32) (result i32)
    (i32.const 0))

  (func (export "transform-packed")
    (param $data i32) (param $len i32) (param $ends i32) (param $records i32) (param $arrivals i32) (param i32)
    (result i32)
    (local $counts i32) (local $i i32) (local $start i32)
    (local.set $counts (call $room (i32.mul (local.get $records) (i32.const 4))))
    (loop $records
      (i32.store
        (i32.add (local.get $counts) (i32.mul (local.get $i) (i32.const 4)))
        (i32.add
          (i32.const 1)
          (i32.eq
            (i32.load8_u (i32.add (local.get $data) (local.get $start)))
            (i32.const 120))))
      (local.set $start
        (i32.load (i32.add (local.get $ends) (i32.mul (local.get $i) (i32.const 4)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $records (i32.lt_u (local.get $i) (local.get $records))))
    ;; ok; data, ends, counts; no failures, no keys
    (i32.store (i32.const 1024) (i32.const 0))
    (i32.store (i32.const 1028) (local.get $data))
    (i32.store (i32.const 1032) (local.get $len))
    (i32.store (i32.const 1036) (local.get $ends))
    (i32.store (i32.const 1040) (local.get $records))
    (i32.store (i32.const 1044) (local.get $counts))
    (i32.store (i32.const 1048) (local.get $records))
    (i32.const 1024))

  (func (export "cabi_post_transform-packed") (param i32)
    (global.set $next (i32.const 4096))))
