/* Stamps JSON objects with the environment that they come from.
 *
 * [stream.NAME.transform.config]
 * env = "production"
 */

#include "firehose_transform.h"

static fh_bytes env;

static fh_bytes fh_configure(fh_bytes config) {
    fh_json json = fh_json_of(config);
    for (bool more = fh_json_enter(&json, '{'); more; more = fh_json_next(&json)) {
        if (!fh_equal(fh_json_key(&json), FH("env"))) return FH("there is one field, `env`");
        env = fh_json_string(&json);
    }
    return env.len ? (fh_bytes){0} : FH("`env` is empty");
}

static bool is_space(uint8_t byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }

/* Puts a member before the last brace. What stands between the braces is not looked at. */
static fh_outcome fh_transform(fh_record record, uint32_t index) {
    (void)index;
    fh_bytes text = record.data;
    while (text.len && is_space(text.data[text.len - 1])) text.len--;
    while (text.len && is_space(text.data[0])) text = (fh_bytes){text.data + 1, text.len - 1};
    if (text.len < 2 || text.data[0] != '{' || text.data[text.len - 1] != '}')
        return fh_failed(FH("the record is no JSON object"));
    do text.len--;
    while (is_space(text.data[text.len - 1]));
    if (text.len == 1) return fh_dropped();

    fh_buffer out = {0};
    fh_put(&out, text);
    fh_put(&out, FH(",\"env\":"));
    fh_put_json_string(&out, env);
    fh_put_byte(&out, '}');

    fh_key *key = fh_alloc(sizeof(fh_key));
    *key = (fh_key){FH("env"), env};
    return fh_ok_with_keys(out.bytes, key, 1);
}
