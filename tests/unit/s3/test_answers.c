/* XML and what is read out of it: errors, lists, uploads; what is no such document is refused. */
#include "s3/s3_impl.h"
#include "unit.h"

#include <stdio.h>

static enum xml_event last_event(const char *text)
{
    struct xml x;
    enum xml_event event;
    xml_init(&x, slice_from(text));
    while ((event = xml_next(&x)) < XML_END)
        ;
    assert_int_equal(xml_next(&x), event); /* and it stays so */
    return event;
}

static void test_documents(void **state)
{
    static const char *const good[] = {
        "<a/>",
        "<a></a>",
        " \n<?xml version='1.0'?> <a b=\"c>\" d='e'> <x:b /> </a>\n",
        "<a>text</a>",
        "<a><b>/></b></a>",
        "\xef\xbb\xbf<a/>",
    };
    static const char *const bad[] = {
        "",
        "a",
        "<a>",
        "</a>",
        "<a></b>",
        "<a/><b/>",
        "<a>x<b/></a>",
        "<a><b/>x</a>",
        "<a/>x",
        "<!DOCTYPE a><a/>",
        "<a><![CDATA[x]]></a>",
        "<a><!-- x --></a>",
        "<a b></a>",
        "<a b=c></a>",
        "<a b=\"<\"/>",
        "<1/>",
        "<a",
        "<a b=\"",
        "< a/>",
        "<?xml version='1.0'?>",
        "<a><a><a><a><a><a><a><a><a/></a></a></a></a></a></a></a></a>",
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(last_event(good[i]), XML_END);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(last_event(bad[i]), XML_BAD);
}

static void test_texts(void **state)
{
    static const char *const bad[] = {"&",        "&amp",           "&x;",     "&#0;",
                                      "&#xd800;", "&#x110000;",     "&#;",     "&#x;",
                                      "\xff",     "&#99999999999;", "&#xfffe;"};
    struct arena a;
    struct slice s;
    (void)state;
    arena_init(&a, 1u << 16);
    assert_true(
        xml_decode(SLICE("&lt;&gt;&amp;&quot;&apos;&#65;&#xFC;&#x65e5;&#128512;x"), &a, &s));
    assert_true(slice_is(s, "<>&\"'Aü日😀x"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(xml_decode(slice_from(bad[i]), &a, &s));
    struct buf to;
    buf_init(&to, 100);
    xml_escape(&to, SLICE("<>&\"'ü"));
    assert_true(xml_decode(buf_slice(&to), &a, &s) && slice_is(s, "<>&\"'ü"));
    buf_done(&to);
    assert_true(xml_can_hold(SLICE("a\tb\n")) && !xml_can_hold(SLICE("\r")));
    assert_false(xml_can_hold(SLICE("\a")) || xml_can_hold(SLICE("\xff")));
    arena_done(&a);
}

static void test_errors(void **state)
{
    struct s3_error e;
    (void)state;
    assert_true(
        s3_error_read(SLICE("<?xml version=\"1.0\"?><Error><Code>No Such\nKey</Code>"
                            "<Details><Code>x</Code></Details><Region>eu-1</Region></Error>"),
                      &e));
    assert_string_equal(e.code, "NoSuchKey"); /* cleaned */
    assert_string_equal(e.region, "eu-1");
    assert_false(s3_error_read(SLICE("<Error></Error>"), &e));
    assert_false(s3_error_read(SLICE("<html><Code>x</Code></html>"), &e));
    assert_false(s3_error_read(SLICE("<Error><Code>x</Code>"), &e));
}

static void test_lists(void **state)
{
    struct arena a;
    struct s3_page p;
    (void)state;
    arena_init(&a, 1u << 20);
    assert_true(
        s3_list_read(SLICE("<ListBucketResult xmlns=\"x\"><IsTruncated>true</IsTruncated><Contents>"
                           "<Key>a+b%2Bc%25</Key><Size>7</Size><ETag>&quot;e&quot;</ETag>"
                           "<LastModified>2026-01-02T03:04:05.000Z</LastModified>"
                           "<Owner><ID>1</ID></Owner></Contents><EncodingType>url</EncodingType>"
                           "</ListBucketResult>"),
                     &a, &p));
    assert_int_equal(p.n, 1);
    assert_true(slice_is(p.items[0].key, "a b+c%") && slice_is(p.items[0].etag, "\"e\""));
    assert_true(p.items[0].size == 7 && p.items[0].modified_ms == 1767323045000);
    assert_true(slice_is(p.next, "a b+c%"));
    assert_true(s3_list_read(SLICE("<ListBucketResult><Contents><Key>a+b%2B</Key></Contents>"
                                   "</ListBucketResult>"),
                             &a, &p));
    assert_true(slice_is(p.items[0].key, "a+b%2B") && p.next.len == 0); /* not asked: as it is */
    assert_false(
        s3_list_read(SLICE("<ListBucketResult><Contents></Contents></ListBucketResult>"), &a, &p));
    assert_false(s3_list_read(
        SLICE("<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"), &a, &p));
    assert_false(
        s3_list_read(SLICE("<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents>"
                           "</ListBucketResult>"),
                     &a, &p));
    arena_done(&a);
}

static void test_uploads_and_deletions(void **state)
{
    struct arena a;
    struct s3_uploads u;
    struct slice id, *keys;
    size_t n;
    (void)state;
    arena_init(&a, 1u << 20);
    assert_true(
        s3_upload_id_read(SLICE("<InitiateMultipartUploadResult><UploadId>a&amp;b</UploadId>"
                                "</InitiateMultipartUploadResult>"),
                          &a, &id));
    assert_true(slice_is(id, "a&b"));
    assert_true(s3_uploads_read(
        SLICE("<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k"
              "</NextKeyMarker><NextUploadIdMarker>i</NextUploadIdMarker><Upload><Key>k</Key>"
              "<UploadId>i</UploadId><Initiated>2026-01-02T03:04:05Z</Initiated></Upload>"
              "</ListMultipartUploadsResult>"),
        &a, &u));
    assert_true(u.n == 1 && u.has_more && u.items[0].began_ms == 1767323045000);
    assert_false(s3_uploads_read(SLICE("<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>"
                                       "</ListMultipartUploadsResult>"),
                                 &a, &u));
    assert_true(s3_undeleted_read(
        SLICE(
            "<DeleteResult><Deleted><Key>x</Key></Deleted><Error><Key>a</Key><Code>NoSuchKey"
            "</Code></Error><Error><Code>InternalError</Code><Key>b</Key></Error></DeleteResult>"),
        &a, &keys, &n));
    assert_true(n == 1 && slice_is(keys[0], "b"));
    arena_done(&a);
}

static void test_md5(void **state)
{
    static const struct {
        const char *text, *hex;
    } cases[] = {
        {"", "d41d8cd98f00b204e9800998ecf8427e"},
        {"abc", "900150983cd24fb0d6963f7d28e17f72"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         "57edf4a22be3c955ac49da2e2107b67a"},
        {"1234567890123456789012345678901234567890123456789012345",
         "c9ccf168914a1bcfc3229f1948e67da0"},
        {"12345678901234567890123456789012345678901234567890123456",
         "49f193adce178490e34d1b3a4ec0064c"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char sum[MD5_LEN];
        char hex[2 * MD5_LEN + 1];
        md5_of(slice_from(cases[i].text), sum);
        for (size_t j = 0; j < MD5_LEN; j++)
            snprintf(hex + 2 * j, 3, "%02x", sum[j]);
        assert_string_equal(hex, cases[i].hex);
    }
}

TESTS(cmocka_unit_test(test_documents), cmocka_unit_test(test_texts), cmocka_unit_test(test_errors),
      cmocka_unit_test(test_lists), cmocka_unit_test(test_uploads_and_deletions),
      cmocka_unit_test(test_md5))
