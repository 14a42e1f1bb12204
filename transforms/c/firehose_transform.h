/* A firehose transform in C, without a C library: include this header in one file, write the two
 * functions below, and compile it to a WebAssembly module with clang:
 *
 *   clang --target=wasm32-unknown-unknown -O2 -mbulk-memory -nostdlib -Wl,--no-entry -o mine.wasm mine.c
 *
 * The header speaks the contract, wit/transform.wit, as the canonical ABI lays it out in memory. The
 * daemon adds the description of the types that a component needs.
 */
#ifndef FIREHOSE_TRANSFORM_H
#define FIREHOSE_TRANSFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes somewhere in memory; a text is the same in UTF-8. Nothing ends with a zero byte. */
typedef struct {
    uint8_t *data;
    size_t len;
} fh_bytes;

/* The bytes of a string literal. */
#define FH(literal) ((fh_bytes){(uint8_t *)(literal), sizeof(literal) - 1})

typedef struct {
    fh_bytes name, value;
} fh_key;

typedef struct {
    fh_bytes data;
    int64_t arrival_ms; /* since the Unix epoch */
} fh_record;

typedef struct {
    fh_bytes data;
    fh_key *keys;
    size_t key_count;
} fh_output;

/* What became of a record; made by the functions below. */
typedef struct {
    uint8_t kind;
    union {
        fh_output ok;
        struct {
            fh_output *outputs;
            size_t count;
        } many;
        fh_bytes failed;
    };
} fh_outcome;

/* ---- What a transform writes -------------------------------------------------------------------- */

/* Called once, before any record, with the stream's [config] table as JSON. Returns an empty text, or
 * why the module cannot be used. What it allocates stays. */
static fh_bytes fh_configure(fh_bytes config);

/* Called for each record. `index` is for fh_origin_of. What it allocates is gone after the batch. */
static fh_outcome fh_transform(fh_record record, uint32_t index);

/* ---- What it has for that ------------------------------------------------------------------------ */

/* Memory that need not be freed; a trap when there is no more. */
static void *fh_alloc(size_t size);

static inline bool fh_equal(fh_bytes a, fh_bytes b) {
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++)
        if (a.data[i] != b.data[i]) return false;
    return true;
}

/* One record comes out. */
static inline fh_outcome fh_ok(fh_bytes data) {
    return (fh_outcome){.kind = 0, .ok = {.data = data}};
}

/* One record comes out, with partition keys. */
static inline fh_outcome fh_ok_with_keys(fh_bytes data, fh_key *keys, size_t count) {
    return (fh_outcome){.kind = 0, .ok = {.data = data, .keys = keys, .key_count = count}};
}

/* Several come out. */
static inline fh_outcome fh_many(fh_output *outputs, size_t count) {
    return (fh_outcome){.kind = 1, .many = {outputs, count}};
}

/* It is left out on purpose. */
static inline fh_outcome fh_dropped(void) { return (fh_outcome){.kind = 2}; }

/* It goes to the error prefix, with this message. */
static inline fh_outcome fh_failed(fh_bytes why) { return (fh_outcome){.kind = 3, .failed = why}; }

enum fh_level { FH_ERROR, FH_WARN, FH_INFO, FH_DEBUG };

__attribute__((import_module("firehose:transform/host@1.0.0"), import_name("log")))
void fh_log_import(uint32_t level, const uint8_t *data, size_t len);

/* Writes a line to the daemon's log. */
static inline void fh_log(enum fh_level level, fh_bytes line) {
    fh_log_import((uint32_t)level, line.data, line.len);
}

typedef struct {
    fh_bytes delivery_stream, shard, sequence_number;
    uint32_t sub_sequence_number;
    uint8_t has_partition_key;
    fh_bytes partition_key;
} fh_origin;

__attribute__((import_module("firehose:transform/host@1.0.0"), import_name("origin-of")))
void fh_origin_of_import(uint32_t index, fh_origin *origin);

/* Where a record came from. */
static inline fh_origin fh_origin_of(uint32_t index) {
    fh_origin origin;
    fh_origin_of_import(index, &origin);
    return origin;
}

/* Bytes that grow. Begin with {0}. */
typedef struct {
    fh_bytes bytes;
    size_t capacity;
} fh_buffer;

static inline void fh_put(fh_buffer *buffer, fh_bytes more) {
    size_t len = buffer->bytes.len + more.len;
    if (len > buffer->capacity) {
        size_t capacity = buffer->capacity * 2 > len ? buffer->capacity * 2 : len + 64;
        uint8_t *data = fh_alloc(capacity);
        if (buffer->bytes.len) __builtin_memcpy(data, buffer->bytes.data, buffer->bytes.len);
        buffer->bytes.data = data;
        buffer->capacity = capacity;
    }
    if (more.len) __builtin_memcpy(buffer->bytes.data + buffer->bytes.len, more.data, more.len);
    buffer->bytes.len = len;
}

static inline void fh_put_byte(fh_buffer *buffer, uint8_t byte) { fh_put(buffer, (fh_bytes){&byte, 1}); }

static inline void fh_put_number(fh_buffer *buffer, size_t number) {
    if (number > 9) fh_put_number(buffer, number / 10);
    fh_put_byte(buffer, (uint8_t)('0' + number % 10));
}

/* Appends a text as a JSON string. */
static inline void fh_put_json_string(fh_buffer *buffer, fh_bytes text) {
    static const char short_escape[] = "\b\f\n\r\t\"\\", letter[] = "bfnrt\"\\", hex[] = "0123456789abcdef";
    fh_put_byte(buffer, '"');
    size_t plain = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
        fh_put(buffer, (fh_bytes){text.data + plain, i - plain});
        plain = i + 1;
        size_t k = 0;
        while (k < sizeof(short_escape) - 1 && short_escape[k] != byte) k++;
        fh_put_byte(buffer, '\\');
        if (k < sizeof(short_escape) - 1) {
            fh_put_byte(buffer, (uint8_t)letter[k]);
        } else {
            fh_put(buffer, FH("u00"));
            fh_put_byte(buffer, (uint8_t)hex[byte >> 4]);
            fh_put_byte(buffer, (uint8_t)hex[byte & 15]);
        }
    }
    fh_put(buffer, (fh_bytes){text.data + plain, text.len - plain});
    fh_put_byte(buffer, '"');
}

/* Whether bytes are UTF-8. */
static inline bool fh_is_utf8(fh_bytes text) {
    for (size_t i = 0; i < text.len;) {
        uint8_t first = text.data[i++];
        if (first < 0x80) continue;
        size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        if (first < 0xc2 || first > 0xf4 || text.len - i < more) return false;
        uint8_t second = text.data[i];
        if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
            (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
            return false;
        for (; more; more--)
            if ((text.data[i++] & 0xc0) != 0x80) return false;
    }
    return true;
}

/* ---- Reading the [config] table. The daemon wrote it, so it is valid JSON. ------------------------ */

/* A place in the table's text. */
typedef struct {
    const uint8_t *at, *end;
} fh_json;

static inline fh_json fh_json_of(fh_bytes text) { return (fh_json){text.data, text.data + text.len}; }

/* The byte that comes next after white space; 0 at the end. */
static inline uint8_t fh_json_peek(fh_json *json) {
    while (json->at < json->end && (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t'))
        json->at++;
    return json->at < json->end ? *json->at : 0;
}

/* Steps over a byte, if it is the next one. */
static inline bool fh_json_take(fh_json *json, uint8_t byte) {
    if (fh_json_peek(json) != byte) return false;
    json->at++;
    return true;
}

static inline uint32_t fh_json_hex(fh_json *json) {
    uint32_t value = 0;
    for (int i = 0; i < 4 && json->at < json->end; i++) {
        uint8_t digit = *json->at++;
        value = value << 4 | (digit & 15u) + (digit > '9' ? 9u : 0u);
    }
    return value;
}

/* Reads a string; an empty one where there is none. */
static inline fh_bytes fh_json_string(fh_json *json) {
    fh_buffer text = {0};
    if (!fh_json_take(json, '"')) return text.bytes;
    while (json->at < json->end && *json->at != '"') {
        uint8_t byte = *json->at++;
        if (byte != '\\' || json->at == json->end) {
            fh_put_byte(&text, byte);
            continue;
        }
        byte = *json->at++;
        if (byte != 'u') {
            static const char letter[] = "bfnrt", meaning[] = "\b\f\n\r\t";
            for (size_t k = 0; k < 5; k++)
                if (byte == letter[k]) { byte = (uint8_t)meaning[k]; break; }
            fh_put_byte(&text, byte);
            continue;
        }
        uint32_t c = fh_json_hex(json);
        if (c >= 0xd800 && c < 0xdc00 && json->end - json->at >= 6) {
            json->at += 2;
            c = 0x10000 + ((c - 0xd800) << 10) + (fh_json_hex(json) - 0xdc00);
        }
        if (c < 0x80) {
            fh_put_byte(&text, (uint8_t)c);
        } else {
            int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
            static const uint8_t mark[] = {0, 0xc0, 0xe0, 0xf0};
            fh_put_byte(&text, (uint8_t)(mark[more] | c >> 6 * more));
            while (more--) fh_put_byte(&text, (uint8_t)(0x80 | (c >> 6 * more & 0x3f)));
        }
    }
    fh_json_take(json, '"');
    return text.bytes;
}

/* Steps over a value of any kind. */
static inline void fh_json_skip(fh_json *json) {
    int depth = 0;
    do {
        uint8_t byte = fh_json_peek(json);
        if (byte == '"') {
            fh_json_string(json);
        } else if (byte) {
            depth += (byte == '{' || byte == '[') - (byte == '}' || byte == ']');
            json->at++;
        }
        byte = fh_json_peek(json);
        if (!byte || (depth == 0 && (byte == ',' || byte == '}' || byte == ']'))) return;
    } while (true);
}

/* Steps into an object ('{') or array ('['), then from one item to the next; false after the last:
 *
 *   for (bool more = fh_json_enter(&json, '{'); more; more = fh_json_next(&json)) { ... }
 */
static inline bool fh_json_enter(fh_json *json, uint8_t open) {
    return fh_json_take(json, open) && !fh_json_take(json, (uint8_t)(open + 2));
}

static inline bool fh_json_next(fh_json *json) {
    if (fh_json_take(json, ',')) return true;
    if (fh_json_peek(json)) json->at++;
    return false;
}

/* Reads a member's key and steps over the colon. */
static inline fh_bytes fh_json_key(fh_json *json) {
    fh_bytes key = fh_json_string(json);
    fh_json_take(json, ':');
    return key;
}

/* ---- The contract: nothing below is for a transform to call. --------------------------------------- */

extern uint8_t __heap_base;

/* Memory is handed out from the bottom to the top and taken back all at once, when the daemon has read
 * what a call returned; what configuring took lies below and stays. */
static uint8_t *fh_top = &__heap_base;
static uint8_t *fh_bottom = &__heap_base;

static void *fh_alloc_aligned(size_t size, size_t align) {
    const size_t page = 65536;
    uintptr_t start = ((uintptr_t)fh_top + align - 1) & ~(uintptr_t)(align - 1);
    size_t have = __builtin_wasm_memory_size(0) * page;
    if (size > UINTPTR_MAX - start) __builtin_trap();
    if (start + size > have) {
        size_t pages = (start + size - have + page - 1) / page;
        if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) __builtin_trap();
    }
    fh_top = (uint8_t *)(start + size);
    return (void *)start;
}

static void *fh_alloc(size_t size) { return fh_alloc_aligned(size, 16); }

/* The daemon asks for memory here, for what it passes in. */
__attribute__((export_name("cabi_realloc")))
void *fh_realloc(void *old, size_t old_size, size_t align, size_t size) {
    void *new = fh_alloc_aligned(size, align);
    if (old_size) __builtin_memcpy(new, old, old_size < size ? old_size : size);
    return new;
}

/* result<T, string>: what both functions return. */
static struct {
    uint8_t is_error;
    fh_bytes value;
} fh_result;

__attribute__((export_name("configure")))
void *fh_export_configure(uint8_t *config, size_t len) {
    fh_result.value = fh_configure((fh_bytes){config, len});
    fh_result.is_error = fh_result.value.len > 0;
    fh_bottom = fh_top;
    return &fh_result;
}

__attribute__((export_name("transform")))
void *fh_export_transform(fh_record *records, size_t count) {
    fh_outcome *outcomes = fh_alloc(count * sizeof(fh_outcome));
    for (size_t i = 0; i < count; i++) outcomes[i] = fh_transform(records[i], (uint32_t)i);
    fh_result.is_error = 0;
    fh_result.value = (fh_bytes){(uint8_t *)outcomes, count};
    return &fh_result;
}

__attribute__((export_name("cabi_post_transform")))
void fh_post_transform(void *result) {
    (void)result;
    fh_top = fh_bottom;
}

#endif
