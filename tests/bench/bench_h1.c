/* How long does parsing a request head take? Nanoseconds per head, best of many short rounds. */
#include "base/clock.h"
#include "wire/wire.h"

#include <stdio.h>
#include <string.h>

#define ROUNDS 200
#define PARSES 10000

static const char small_request[] = "GET /ping HTTP/1.1\r\nHost: localhost:8080\r\n\r\n";

static const char browser_request[] =
    "GET /app/assets/index-4f2a9c1b.js?v=20260102&lang=en HTTP/1.1\r\n"
    "Host: app.example.org\r\n"
    "Connection: keep-alive\r\n"
    "sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\", \"Google Chrome\";v=\"140\"\r\n"
    "sec-ch-ua-platform: \"Linux\"\r\n"
    "sec-ch-ua-mobile: ?0\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
    "\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: no-cors\r\n"
    "Sec-Fetch-Dest: script\r\n"
    "Referer: https://app.example.org/app/\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
    "Cookie: dais_app=dst_0123456789abcdef0123456789abcdef; theme=dark; sidebar=open; "
    "last=charts; "
    "csrf=4b1d7c02e9a8456f8d3b5a1c0e7f9d2b; consent=necessary; tz=Europe/Berlin\r\n"
    "If-None-Match: \"8f14e45fceea167a5a36dedd4bea2543\"\r\n\r\n";

static double measure(struct slice head, uint32_t *ret_headers)
{
    static struct h1_header headers[H1_HEADERS];
    struct h1_request rq = {.headers = headers};
    int64_t best = INT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = clock_mono_ns();
        for (int i = 0; i < PARSES; i++) {
            size_t scanned = 0;
            must(h1_parse_request(&rq, head, &scanned, &h1_default_limits, NULL) == IO_OK);
        }
        int64_t took = clock_mono_ns() - start;
        best = took < best ? took : best;
    }
    *ret_headers = rq.n_headers;
    return (double)best / PARSES;
}

int main(void)
{
    const struct slice heads[] = {{small_request, sizeof small_request - 1},
                                  {browser_request, sizeof browser_request - 1}};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        uint32_t n;
        double ns = measure(heads[i], &n);
        printf("h1: %4zu bytes, %2u headers: %6.1f ns, %5.2f GB/s\n", heads[i].len, n, ns,
               (double)heads[i].len / ns);
    }
    return 0;
}
