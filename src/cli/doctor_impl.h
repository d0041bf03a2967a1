/* What the files of the verb doctor share: what was asked, what was answered, what it means. */
#pragma once
#include "fetch/fetch.h"

/* ---- findings (doctor_report.c) ---------------------------------------------------------------
 */

/* From MISSING on, the exit code says so. */
#define VERDICT_MAP(X)                                                                  \
    X(GOOD, "good", STYLE_GREEN)       /* does its work */                              \
    X(NOTE, "note", STYLE_DIM)         /* to know; nothing to do */                     \
    X(WEAK, "weak", STYLE_YELLOW)      /* would be better otherwise */                  \
    X(MISSING, "missing", STYLE_RED)   /* ought to be there */                          \
    X(CONFLICT, "conflict", STYLE_RED) /* contradicts itself, or something else here */ \
    X(BAD, "bad", STYLE_RED)           /* somebody can make use of it */

enum verdict {
#define X(id, word, style) VERDICT_##id,
    VERDICT_MAP(X)
#undef X
        VERDICT_COUNT
};
const char *verdict_word(enum verdict v);

struct finding {
    const char *group, *subject;
    enum verdict verdict;
    struct slice value; /* as it was sent; empty when there is none to show */
    struct slice text;  /* what it does here, and what would be better */
};

#define FINDINGS_MAX 128

struct report {
    struct arena *arena;
    const char *group; /* of what is added next */
    struct finding items[FINDINGS_MAX];
    size_t n; /* what goes beyond the room is left out */
    unsigned counts[VERDICT_COUNT];
};
void report_add(struct report *r, enum verdict verdict, const char *subject, struct slice value,
                const char *fmt, ...) PRINTF(5, 6);
bool report_is_fine(const struct report *r);

/* ---- what was asked (doctor_probe.c) ----------------------------------------------------------
 */

/* Another page's origin, to see whether it is let in. */
#define FOREIGN_ORIGIN "https://elsewhere.example"

enum probe_kind {
    PROBE_PAGE,      /* the URL itself, redirects followed; all others ask where it ended */
    PROBE_FOREIGN,   /* with the origin of another site */
    PROBE_NULL,      /* with the origin "null", which any page can have */
    PROBE_LOOKALIKE, /* with an origin that begins like ours */
    PROBE_PREFLIGHT, /* may another site POST with Authorization? */
    PROBE_PLAIN,     /* the same without TLS; only of https on its usual port */
    PROBE_WS_OWN,    /* a WebSocket, from a page of ours */
    PROBE_WS_FOREIGN,
    PROBE_COUNT
};

struct probe {
    bool is_asked, is_answered, is_whole; /* not whole: the head, then `error` */
    size_t body_bytes;                    /* decoded, up to PROBE_BODY_MAX */
    const char *origin;
    struct fetch_answer answer;
    struct err error;
};

#define PROBE_BODY_MAX (1u << 20)

struct probes {
    struct arena *arena;
    const char *websocket; /* the path of --websocket; NULL: the page's own */
    const char *ca_file;
    uint32_t max_ms;    /* for each */
    const char *origin; /* of the page, once it is there: "https://a.example:8443" */
    const char *host;   /* its name alone */
    bool is_tls, is_loopback, is_private;
    struct probe all[PROBE_COUNT];
};
/* False when the page itself cannot be had; the other probes may fail one by one. */
bool probes_run(struct probes *p, const char *url, struct err *e);
void probes_done(struct probes *p);

/* ---- what it means: pure ----------------------------------------------------------------------
 */

bool probe_is_html(const struct probe *p);
void judge_headers(const struct probes *p, struct report *r); /* doctor_headers.c */
void judge_others(const struct probes *p, struct report *r);  /* doctor_others.c */
/* doctor_csp.c: the policies, all in force at once, with commas between them; ptr NULL: none. */
void judge_csp(struct slice policies, struct slice x_frame_options, struct report *r);
