/* Decides what to do after an attempt: nothing, give up, or repeat, and when. */
#include "s3/s3_impl.h"

#include <string.h>

const struct breaker_rule s3_breaker_rule = {
    .failures = 8, .pause_ms = 5000, .pause_max_ms = 30000};

/*      what a store says             then */
#define CODE_MAP(X)                     \
    X("RequestTimeTooSkewed", SET_TIME) \
    X("RequestExpired", SET_TIME)       \
    X("ExpiredToken", NEW_KEYS)         \
    X("InvalidToken", NEW_KEYS)         \
    X("TokenRefreshRequired", NEW_KEYS) \
    X("InvalidAccessKeyId", NEW_KEYS)   \
    X("RequestTimeout", REPEAT)         \
    X("IncompleteBody", REPEAT)         \
    X("BadDigest", REPEAT)              \
    X("OperationAborted", REPEAT)       \
    X("SlowDown", REPEAT)               \
    X("SlowDownRead", REPEAT)           \
    X("SlowDownWrite", REPEAT)          \
    X("InternalError", REPEAT)          \
    X("ServiceUnavailable", REPEAT)     \
    X("Throttling", REPEAT)             \
    X("ThrottlingException", REPEAT)    \
    X("RequestThrottled", REPEAT)       \
    X("TooManyRequests", REPEAT)        \
    X("XMinioServerNotInitialized", REPEAT)

static const struct {
    const char *code;
    enum s3_verdict verdict;
} codes[] = {
#define X(code, verdict) {code, S3_##verdict},
    CODE_MAP(X)
#undef X
};

/* What no repetition mends. */
static const CURLcode lasting[] = {
    CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE,
    CURLE_SSL_CERTPROBLEM,          CURLE_URL_MALFORMAT,
    CURLE_UNSUPPORTED_PROTOCOL,     CURLE_WRITE_ERROR,
    CURLE_FILESIZE_EXCEEDED,
};

/* Fifteen minutes are forgiven by AWS, five by others; a Date comes in whole seconds. */
#define CLOCK_OFF_MS (4 * 60 * 1000)

static bool is_clock_off(const struct s3_outcome *o)
{
    return o->clock_off_ms > CLOCK_OFF_MS || o->clock_off_ms < -CLOCK_OFF_MS;
}

static enum s3_verdict judge_transport(CURLcode code)
{
    for (size_t i = 0; i < sizeof lasting / sizeof *lasting; i++) {
        if (lasting[i] == code)
            return S3_GIVE_UP;
    }
    return S3_REPEAT;
}

enum s3_verdict s3_judge(const struct s3_outcome *o)
{
    if (o->transport != CURLE_OK)
        return judge_transport(o->transport);
    if (o->status >= 200 && o->status < 300 && !*o->code)
        return S3_DONE;
    if (o->names_region)
        return S3_SET_REGION;
    /* A wrong time is not always called so, and answers to HEAD name no reason at all. */
    if ((o->status == 403 || o->status == 400) && is_clock_off(o))
        return S3_SET_TIME;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (strcmp(codes[i].code, o->code) == 0)
            return codes[i].verdict == S3_SET_TIME ? S3_GIVE_UP : codes[i].verdict;
    }
    if (o->is_head && (o->status == 400 || o->status == 403))
        return S3_NEW_KEYS;
    bool is_passing = o->status == 408 || o->status == 429 || o->status == 500 ||
                      o->status == 502 || o->status == 503 || o->status == 504;
    return is_passing ? S3_REPEAT : S3_GIVE_UP;
}

bool s3_is_outage(const struct s3_outcome *o)
{
    return o->transport != CURLE_OK || o->status == 429 || (o->status >= 500 && o->status != 501);
}

static bool is_throttled(const struct s3_outcome *o)
{
    return o->transport == CURLE_OK && (o->status == 503 || o->status == 429);
}

uint32_t s3_pause_ms(const struct s3_outcome *o, unsigned n, uint32_t random)
{
    uint32_t most = is_throttled(o) ? 300 : 100;
    for (unsigned i = 1; i < n && most < 6400; i++)
        most *= 2;
    uint32_t pause = most / 2 + random % (most / 2 + 1);
    uint64_t told = (uint64_t)o->retry_after_s * 1000;
    return told > pause ? (uint32_t)(told < 3600000 ? told + pause : 3600000) : pause;
}

#define BYTES_IN_A_MS 16
#define GAP_MAX_MS    1000

void s3_budget_moved(struct s3_budget *b, uint64_t bytes, int64_t gap_ms)
{
    b->moved += bytes;
    b->moving_ms += gap_ms < GAP_MAX_MS ? gap_ms : GAP_MAX_MS;
}

int64_t s3_budget_left(const struct s3_budget *b, int64_t now_ms)
{
    int64_t earned = (int64_t)(b->moved / BYTES_IN_A_MS);
    int64_t free_ms = b->moving_ms < earned ? b->moving_ms : earned;
    return b->since_ms + b->call_ms + free_ms - now_ms;
}
