/* Letters from any bytes: a message whose headers are ours alone, in lines that may be sent. */
#include "mail/mail_impl.h"

#include <stdlib.h>

static void check_lines(struct slice all)
{
    struct slice line;
    size_t n_headers = 0;
    bool is_head = true;
    while (slice_cut(&all, '\n', &line)) {
        must(line.len && line.ptr[line.len - 1] == '\r');
        line.len--;
        must(slice_index(line, '\r') < 0 && line.len <= 300);
        for (size_t i = 0; i < line.len; i++)
            must(line.ptr[i] >= ' ' && line.ptr[i] <= '~');
        is_head = is_head && line.len;
        n_headers += is_head && line.ptr[0] != ' ';
    }
    must(n_headers ==
         8); /* From To Subject Date Message-ID Auto-Submitted MIME-Version Content-Type */
}

static void check_page(struct slice page)
{
    must(slice_search(page, SLICE("<script")) < 0);
    for (size_t i = 0; i < page.len; i++)
        must((unsigned char)page.ptr[i] >= ' ' || page.ptr[i] == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = {(const char *)data, size}, parts[9];
    struct buf words, page, message;
    for (size_t i = 0; i < 9; i++) {
        parts[i] = SLICE("");
        slice_cut(&all, '|', &parts[i]);
    }
    const struct letter l = {.to = parts[0],
                             .subject = parts[1],
                             .app = parts[2],
                             .greeting = parts[3],
                             .text = parts[4],
                             .link = parts[5],
                             .button = parts[6]};
    buf_init(&words, PART_MAX);
    buf_init(&page, PART_MAX);
    buf_init(&message, MESSAGE_MAX);
    compose_words(&words, &l);
    compose_page(&page, &l);
    const struct posted p = {.id = slice_first(parts[8], 20),
                             .to = l.to,
                             .subject = l.subject,
                             .words = buf_slice(&words),
                             .page = buf_slice(&page)};
    struct sender from = sender_of(parts[7]);
    must(mail_is_address(from.address));
    if (!words.full && !page.full && message_add(&message, &p, &from)) {
        check_lines(buf_slice(&message));
        check_page(buf_slice(&page));
    }
    buf_done(&words);
    buf_done(&page);
    buf_done(&message);
    return 0;
}
