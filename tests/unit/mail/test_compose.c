/* Letters and messages: addresses, words and pages from the same parts, headers that hold. */
#include "mail/mail_impl.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

static struct buf out;

static int make(void **state)
{
    (void)state;
    buf_init(&out, MESSAGE_MAX);
    return 0;
}

static int end(void **state)
{
    (void)state;
    buf_done(&out);
    return 0;
}

static bool has(const char *text)
{
    return slice_search(buf_slice(&out), slice_from(text)) >= 0;
}

/* ---- addresses ------------------------------------------------------------------------------- */

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void addresses(void **state)
{
    static const struct {
        const char *text;
        bool is_one;
    } rows[] = {
        {"ada@example.com", true},
        {"a@b", true},
        {"Ada.Lovelace+news@Mail.Example.COM", true},
        {"o'brien@example.com", true},
        {"!#$%&'*+/=?^_`{|}~-@example.com", true},
        {"a@xn--bcher-kva.example", true},
        {"a@1.2.3.4", true},
        {A64 "@example.com", true},
        {A64 "a@example.com", false},
        {"", false},
        {"@", false},
        {"ada", false},
        {"@example.com", false},
        {"ada@", false},
        {"a@b@c", false},
        {".a@example.com", false},
        {"a.@example.com", false},
        {"a..b@example.com", false},
        {"a b@example.com", false},
        {"\"a\"@example.com", false},
        {"a,b@example.com", false},
        {"<a@example.com>", false},
        {"a@example.com>", false},
        {"a@example.com\r\nBcc: b@example.com", false},
        {"a@example.com\n", false},
        {"a\r@example.com", false},
        {"a@exa mple.com", false},
        {"a@example..com", false},
        {"a@.example.com", false},
        {"a@example.com.", false},
        {"a@-example.com", false},
        {"a@example-.com", false},
        {"a@[127.0.0.1]", false},
        {"a@" A64 ".com", false},
        {"m\xc3\xbcller@example.com", false},
        {"a@b\xc3\xbc"
         "cher.example",
         false},
        {"a@b\x7f", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (mail_is_address(slice_from(rows[i].text)) != rows[i].is_one)
            fail_msg("%s", rows[i].text);
    }
    assert_false(mail_is_address((struct slice){"a\0b@example.com", 15}));
    char longest[400] = "a@";
    for (int i = 0; i < 63; i++)
        memcpy(longest + 2 + 4 * i, "abc.", 4);
    longest[254] = '\0';
    longest[253] = 'x';
    assert_true(mail_is_address(slice_from(longest)));
    memcpy(longest + 254, "x", 2);
    assert_false(mail_is_address(slice_from(longest)));
}

static void senders(void **state)
{
    static const struct {
        const char *from, *name, *address;
    } rows[] = {
        {"", "", "dais@localhost"},
        {"desk@example.com", "", "desk@example.com"},
        {"Desk <desk@example.com>", "Desk", "desk@example.com"},
        {"\"Desk, the\" <desk@example.com>", "Desk, the", "desk@example.com"},
        {"Desk <no>", "Desk", "dais@localhost"},
        {"<desk@example.com>", "", "desk@example.com"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sender s = sender_of(slice_from(rows[i].from));
        assert_true(slice_is(s.name, rows[i].name));
        assert_true(slice_is(s.address, rows[i].address));
    }
}

/* ---- words and pages ------------------------------------------------------------------------- */

static const struct letter simple = {
    .to = SLICE_INIT("ada@example.com"),
    .subject = SLICE_INIT("Sign in to Notes"),
    .app = SLICE_INIT("Notes"),
    .greeting = SLICE_INIT("Hello,"),
    .text = SLICE_INIT("Somebody asked for\nthis link.\n\n\nIt works once."),
    .link = SLICE_INIT("https://n.example/in?a=1&b=2#x"),
    .button = SLICE_INIT("Sign in"),
    .code = SLICE_INIT("magic"),
};

static void words(void **state)
{
    (void)state;
    compose_words(&out, &simple);
    assert_string_equal(out.data, "Hello,\n\nSomebody asked for this link.\n\nIt works once.\n\n"
                                  "Sign in:\nhttps://n.example/in?a=1&b=2#x\n\n-- \nNotes\n");
}

static void page(void **state)
{
    (void)state;
    compose_page(&out, &simple);
    assert_true(has("<title>Sign in to Notes</title>"));
    assert_true(has("<p>Hello,</p>\n<p>Somebody asked for this link.</p>\n<p>It works once.</p>"));
    assert_true(has("<a href=\"https://n.example/in?a=1&amp;b=2#x\" style=\"display"));
    assert_true(has("\">https://n.example/in?a=1&amp;b=2#x</a>"));
    assert_true(has("content=\"light dark\""));
    assert_true(out.len < 2000);
}

static void hostile_parts_stay_text(void **state)
{
    struct letter l = simple;
    (void)state;
    l.greeting = SLICE("<script>x</script>\"'&\r\nBcc: eve@example.com\x1b[2J\xff\xe2\x80\xae!");
    l.subject = SLICE("</title><b>");
    l.app = SLICE("A\nB");
    compose_page(&out, &l);
    assert_false(has("<script>") || has("</title><b>") || has("\x1b") || has("\xff") ||
                 has("\xe2\x80\xae"));
    assert_true(has("&lt;script&gt;x&lt;/script&gt;"));
    assert_true(has("<strong>A B</strong>"));
    buf_clear(&out);
    compose_words(&out, &l);
    assert_true(has("  Bcc: eve@example.com [2J\xef\xbf\xbd !\n"));
    assert_false(has("\nBcc"));
}

static void only_a_link_is_a_link(void **state)
{
    static const char *const bad[] = {
        "javascript:alert(1)", "https://a b", "http://x\"y", "ftp://x", "https://x\r\nBcc: y", "",
        "http://<b>"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct letter l = simple;
        l.link = slice_from(bad[i]);
        buf_clear(&out);
        compose_page(&out, &l);
        compose_words(&out, &l);
        assert_false(has("href") || has("Sign in:"));
    }
}

/* ---- messages -------------------------------------------------------------------------------- */

static const struct sender desk = {SLICE_INIT("The \"Desk\""), SLICE_INIT("desk@example.com")};

static struct posted row(const char *subject)
{
    return (struct posted){.id = SLICE("01abc"),
                           .to = SLICE("ada@example.com"),
                           .subject = slice_from(subject),
                           .words = SLICE("Hi =\xc3\xa4 \n.\n-- \nNotes\n"),
                           .page = SLICE("<p>Hi</p>\n"),
                           .created_ms = 784111777000};
}

static void golden(void **state)
{
    struct posted p = row("Sign in");
    (void)state;
    assert_true(message_add(&out, &p, &desk));
    assert_string_equal(out.data, "From: \"The \\\"Desk\\\"\"\r\n <desk@example.com>\r\n"
                                  "To: ada@example.com\r\n"
                                  "Subject: Sign in\r\n"
                                  "Date: Sun, 06 Nov 1994 08:49:37 +0000\r\n"
                                  "Message-ID: <01abc@example.com>\r\n"
                                  "Auto-Submitted: auto-generated\r\n"
                                  "MIME-Version: 1.0\r\n"
                                  "Content-Type: multipart/alternative;\r\n"
                                  " boundary=\"=_01abc\"\r\n"
                                  "\r\n--=_01abc\r\n"
                                  "Content-Type: text/plain; charset=utf-8\r\n"
                                  "Content-Transfer-Encoding: quoted-printable\r\n"
                                  "\r\nHi =3D=C3=A4=20\r\n.\r\n--=20\r\nNotes\r\n"
                                  "\r\n--=_01abc\r\n"
                                  "Content-Type: text/html; charset=utf-8\r\n"
                                  "Content-Transfer-Encoding: quoted-printable\r\n"
                                  "\r\n<p>Hi</p>\r\n"
                                  "\r\n--=_01abc--\r\n");
}

static void subjects(void **state)
{
    static const struct {
        const char *subject, *header;
    } rows[] = {
        {"a\r\nBcc: eve@example.com", "Subject: a  Bcc: eve@example.com\r\nDate"},
        {"\xc3\xa4", "Subject: =?UTF-8?B?w6Q=?=\r\nDate"},
        {"=?UTF-8?B?w6Q=?=", "Subject: =?UTF-8?B?PT9VVEYtOD9CP3c2UT0/PQ==?=\r\nDate"},
        /* whole characters: 36 bytes would cut the last of them */
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xc3\xa4",
         "Subject: =?UTF-8?B?YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=?=\r\n"
         " =?UTF-8?B?w6Q=?=\r\nDate"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct posted p = row(rows[i].subject);
        buf_clear(&out);
        assert_true(message_add(&out, &p, &desk));
        if (!has(rows[i].header))
            fail_msg("%s", out.data);
    }
}

/* Every line, with its CRLF taken off; none may be longer, and there is no CR or LF beside them. */
static size_t longest_line(void)
{
    struct slice all = buf_slice(&out), line;
    size_t longest = 0;
    while (slice_cut(&all, '\n', &line)) {
        assert_true(line.len && line.ptr[line.len - 1] == '\r');
        assert_true(slice_index(line, '\r') == (ptrdiff_t)line.len - 1);
        longest = line.len - 1 > longest ? line.len - 1 : longest;
    }
    return longest;
}

static void long_words_are_folded(void **state)
{
    char text[3000];
    struct posted p = row("x");
    (void)state;
    for (size_t n = 60; n < 170; n++) {
        memset(text, 'w', n);
        p.words = (struct slice){text, n};
        p.subject = (struct slice){text, n};
        buf_clear(&out);
        assert_true(message_add(&out, &p, &desk));
        assert_in_range(longest_line(), 60, 76);
    }
    memset(text, ' ', sizeof text);
    p = row("x");
    p.words = (struct slice){text, sizeof text};
    buf_clear(&out);
    assert_true(message_add(&out, &p, &desk));
    assert_in_range(longest_line(), 60, 76);
    assert_false(has(" \r\n"));
}

/* A row that somebody else wrote cannot add a header either. */
static void rows_are_not_believed(void **state)
{
    struct posted p = row("x");
    (void)state;
    p.to = SLICE("a@b>\r\nBcc: c@d");
    assert_false(message_add(&out, &p, &desk));
    p = row("x");
    p.id = SLICE("a\r\nBcc: c@d");
    assert_false(message_add(&out, &p, &desk));
}

#define T(name) cmocka_unit_test_setup_teardown(name, make, end)
TESTS(T(addresses), T(senders), T(words), T(page), T(hostile_parts_stay_text),
      T(only_a_link_is_a_link), T(golden), T(subjects), T(long_words_are_folded),
      T(rows_are_not_believed))
