/* csv-to-json in C: a line of CSV becomes a JSON object with typed fields. It takes the [config] of
 * the Rust module, ../csv-to-json, and passes its pairs; the rules stand there. */

#include "firehose_transform.h"

enum kind { STRING, INT, FLOAT, BOOL };

static const fh_bytes KINDS[] = {
    [STRING] = FH("string"), [INT] = FH("int"), [FLOAT] = FH("float"), [BOOL] = FH("bool")};

typedef struct {
    fh_bytes name;
    enum kind kind;
    bool may_be_empty;
} column;

static column *columns;
static size_t column_count;
static uint8_t delimiter;
static bool header;
static bool has_null;
static fh_bytes null;

/* Puts texts after each other: a message. */
#define MESSAGE(...) message((fh_bytes[]){__VA_ARGS__}, sizeof((fh_bytes[]){__VA_ARGS__}) / sizeof(fh_bytes))

static fh_bytes message(const fh_bytes *parts, size_t count) {
    fh_buffer text = {0};
    for (size_t i = 0; i < count; i++) fh_put(&text, parts[i]);
    return text.bytes;
}

static fh_bytes number(size_t value) {
    fh_buffer text = {0};
    fh_put_number(&text, value);
    return text.bytes;
}

/* ---- [config] ---------------------------------------------------------------------------------------- */

static fh_bytes add_column(fh_bytes written) {
    fh_bytes name = written, type = FH("string");
    for (size_t i = written.len; i-- > 0;)
        if (written.data[i] == ':') {
            name.len = i;
            type = (fh_bytes){written.data + i + 1, written.len - i - 1};
            break;
        }
    column new = {.name = name, .may_be_empty = type.len && type.data[type.len - 1] == '?'};
    if (new.may_be_empty) type.len--;
    while (!fh_equal(type, KINDS[new.kind]))
        if (new.kind++ == BOOL)
            return MESSAGE(FH("column `"), name, FH("`: there is no type `"), type,
                           FH("`, only string, int, float and bool"));
    for (size_t i = 0; i < column_count; i++)
        if (fh_equal(columns[i].name, name)) return MESSAGE(FH("`columns` names `"), name, FH("` twice"));
    columns[column_count++] = new;
    return (fh_bytes){0};
}

/* Whether a field without quotes ends before this byte. */
static bool ends_field(uint8_t byte) { return byte == delimiter || byte == '\n' || byte == '\r'; }

static fh_bytes fh_configure(fh_bytes config) {
    fh_bytes separator = FH(",");
    bool has_columns = false;
    columns = fh_alloc(config.len * sizeof(column)); /* a column takes more than a byte there */
    fh_json json = fh_json_of(config);
    for (bool more = fh_json_enter(&json, '{'); more; more = fh_json_next(&json)) {
        fh_bytes key = fh_json_key(&json);
        if (fh_equal(key, FH("columns"))) {
            has_columns = true;
            for (bool next = fh_json_enter(&json, '['); next; next = fh_json_next(&json)) {
                fh_bytes fault = add_column(fh_json_string(&json));
                if (fault.len) return fault;
            }
        } else if (fh_equal(key, FH("delimiter"))) {
            separator = fh_json_string(&json);
        } else if (fh_equal(key, FH("header"))) {
            header = fh_json_peek(&json) == 't';
            fh_json_skip(&json);
        } else if (fh_equal(key, FH("null"))) {
            has_null = true;
            null = fh_json_string(&json);
        } else {
            return MESSAGE(FH("unknown field `"), key,
                           FH("`, expected one of `columns`, `delimiter`, `header`, `null`"));
        }
    }
    if (!has_columns) return FH("missing field `columns`");
    if (separator.len != 1) return FH("`delimiter` must be one ASCII character");
    delimiter = separator.data[0];
    if (delimiter == '"' || delimiter == '\n' || delimiter == '\r')
        return FH("`delimiter` can be neither a quote nor a line break");
    for (size_t i = 0; i < null.len; i++)
        if (ends_field(null.data[i]) || null.data[0] == '"')
            return FH("`null` must be what a field can be without quotes");
    if (column_count == 0) return FH("`columns` names no column");
    return (fh_bytes){0};
}

/* ---- A row's fields ---------------------------------------------------------------------------------- */

typedef struct {
    fh_bytes rest;
    bool is_done;
    size_t count;
    fh_bytes fault; /* why the row cannot be read on */
} row;

typedef struct {
    fh_bytes text;
    bool is_quoted;
} field;

/* Steps over the delimiter after a field that ends at `end`. */
static bool go_on(row *row, size_t end, fh_bytes otherwise) {
    if (end == row->rest.len) {
        row->is_done = true;
    } else if (row->rest.data[end] != delimiter) {
        row->fault = MESSAGE(FH("field "), number(row->count), FH(": "), otherwise);
        return false;
    }
    size_t step = row->is_done ? end : end + 1;
    row->rest = (fh_bytes){row->rest.data + step, row->rest.len - step};
    return true;
}

/* Reads the next field; false after the last one or at a fault. */
static bool next_field(row *row, field *field) {
    if (row->is_done) return false;
    row->count++;
    fh_bytes rest = row->rest;
    size_t end = 0;
    field->is_quoted = rest.len && rest.data[0] == '"';
    if (!field->is_quoted) {
        while (end < rest.len && !ends_field(rest.data[end])) end++;
        field->text = (fh_bytes){rest.data, end};
        return go_on(row, end, FH("a line break outside of quotes; a record is one row"));
    }
    /* A doubled quote becomes one, in place: the record's bytes are ours. */
    uint8_t *text = rest.data + 1;
    size_t len = 0;
    for (end = 1; end < rest.len; end++) {
        if (rest.data[end] == '"') {
            end++;
            if (end == rest.len || rest.data[end] != '"') {
                field->text = (fh_bytes){text, len};
                return go_on(row, end, FH("text after the closing quote"));
            }
        }
        text[len++] = rest.data[end];
    }
    row->fault = MESSAGE(FH("field "), number(row->count), FH(": a quote is never closed"));
    return false;
}

/* ---- A field's value --------------------------------------------------------------------------------- */

/* How many digits a text begins with. */
static size_t digits(const uint8_t *at, const uint8_t *end) {
    size_t count = 0;
    while (at + count < end && at[count] >= '0' && at[count] <= '9') count++;
    return count;
}

/* Appends a number as JSON writes it. Its digits are looked at and never calculated with. */
static bool put_number(fh_buffer *out, fh_bytes text, bool is_float) {
    const uint8_t *at = text.data, *end = text.data + text.len;
    bool minus = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) at++;
    const uint8_t *whole = at;
    size_t count = digits(at, end);
    if (!count) return false;
    at += count;
    for (; count > 1 && *whole == '0'; count--) whole++;
    if (is_float && at < end && *at == '.') {
        if (!(count = digits(++at, end))) return false;
        at += count;
    }
    if (is_float && at < end && (*at | 32) == 'e') {
        if (++at < end && (*at == '-' || *at == '+')) at++;
        if (!(count = digits(at, end))) return false;
        at += count;
    }
    if (at != end) return false;
    if (minus) fh_put_byte(out, '-');
    fh_put(out, (fh_bytes){(uint8_t *)whole, (size_t)(end - whole)});
    return true;
}

static bool put_bool(fh_buffer *out, fh_bytes text) {
    static const fh_bytes words[] = {FH("true"), FH("false")};
    for (size_t w = 0; w < 2; w++) {
        size_t i = 0;
        while (i < text.len && i < words[w].len && (text.data[i] | 32) == words[w].data[i]) i++;
        if (i == text.len && i == words[w].len) {
            fh_put(out, words[w]);
            return true;
        }
    }
    return false;
}

static bool is_space(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r' && byte != '\v'); }

static bool put_value(fh_buffer *out, const column *column, field field) {
    bool is_null = (column->may_be_empty && field.text.len == 0) || (has_null && fh_equal(field.text, null));
    if (is_null && !field.is_quoted) {
        fh_put(out, FH("null"));
        return true;
    }
    if (column->kind == STRING) {
        fh_put_json_string(out, field.text);
        return true;
    }
    fh_bytes text = field.text;
    while (text.len && is_space(text.data[0])) text = (fh_bytes){text.data + 1, text.len - 1};
    while (text.len && is_space(text.data[text.len - 1])) text.len--;
    return column->kind == BOOL ? put_bool(out, text) : put_number(out, text, column->kind == FLOAT);
}

/* ---- A record ---------------------------------------------------------------------------------------- */

static fh_outcome fh_transform(fh_record record, uint32_t index) {
    (void)index;
    fh_bytes text = record.data;
    if (!fh_is_utf8(text)) return fh_failed(FH("the record is not UTF-8"));
    if (text.len && text.data[text.len - 1] == '\n') text.len--;
    if (text.len && text.data[text.len - 1] == '\r') text.len--;

    row row = {.rest = text};
    field field;
    fh_buffer out = {0};
    fh_bytes fault = {0};
    bool is_header = header;
    while (next_field(&row, &field)) {
        if (row.count > column_count) {
            is_header = false;
            continue;
        }
        const column *column = &columns[row.count - 1];
        is_header = is_header && fh_equal(field.text, column->name);
        fh_put_byte(&out, row.count == 1 ? '{' : ',');
        fh_put_json_string(&out, column->name);
        fh_put_byte(&out, ':');
        if (!fault.len && !put_value(&out, column, field)) {
            fh_buffer found = {0};
            fh_put_json_string(&found, field.text);
            fault = MESSAGE(FH("column `"), column->name, FH("`: expected "), KINDS[column->kind], FH(", found "),
                            found.bytes);
        }
    }
    if (is_header && !row.fault.len && row.count == column_count) return fh_dropped();
    if (fault.len) return fh_failed(fault);
    if (row.fault.len) return fh_failed(row.fault);
    if (row.count != column_count)
        return fh_failed(MESSAGE(FH("expected "), number(column_count), FH(" fields, found "), number(row.count)));
    fh_put_byte(&out, '}');
    return fh_ok(out.bytes);
}
