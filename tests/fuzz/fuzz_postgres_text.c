/* Fuzzes what Postgres' texts are made of: addresses, messages, statements, names, numbers. */
#include "db/postgres_impl.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is quoted ends where it was meant to: an even number of quotes, at both ends one. */
static void check_quoted(struct slice text)
{
    struct buf to;
    size_t quotes = 0;
    buf_init(&to, 1 << 20);
    pg_add_literal(&to, text);
    for (size_t i = 0; i < to.len; i++)
        quotes += to.data[i] == '\'';
    must(quotes % 2 == 0 && to.data[0] == '\'' && to.data[to.len - 1] == '\'');
    buf_done(&to);
}

static void check_numbered(struct slice text)
{
    struct buf to;
    size_t marks = 0;
    if (slice_index(text, '$') >= 0)
        return; /* one or the other */
    buf_init(&to, 1 << 20);
    unsigned n = pg_number(text, &to);
    for (size_t i = 0; i < to.len; i++)
        marks += to.data[i] == '$';
    must(marks == n && to.len >= text.len);
    buf_done(&to);
}

/* A message that quotes the address as it is tells no password. */
static void check_address(struct slice url)
{
    struct err e;
    struct buf to;
    struct slice password = pg_url_password(url);
    buf_init(&to, 1 << 20);
    char *text = mem_alloc(url.len + 1);
    memcpy(text, url.ptr, url.len);
    text[url.len] = '\0';
    bool fine = pg_url_check(url, &e);
    must(fine || e.code == ERR_USAGE);
    pg_clean(text, url, &to);
    if (fine && password.len >= 8 && password.len < 1000 && slice_search(password, SLICE("*")) < 0)
        must(slice_search(buf_slice(&to), password) < 0);
    free(text);
    buf_done(&to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t number;
    struct err e;
    struct slice text = {(const char *)data, size};
    if (size > 4000)
        return 0;
    check_quoted(text);
    check_numbered(text);
    check_address(text);
    pg_schema_check(text, &e);
    pg_numeric_i64(text, &number);
    return 0;
}
