# Object stores of others: every call against versitygw, which checks signatures, and boto3 against our own test server.
import os
import pathlib
import sys
import time
import urllib.request

import boto3
import pytest
from botocore.config import Config

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/e2e"))
from s3 import S3  # noqa: E402  pylint: disable=wrong-import-position
from s3_driver import Driver, Failed, build  # noqa: E402  pylint: disable=wrong-import-position
from stores import VERSITY, Bucket, versity  # noqa: E402  pylint: disable=wrong-import-position

HARD_KEYS = ["plain", "a b", "a+b", "100%", "a%20b", "ü/日本/😀", "q?x=1&y=2#z", "'\"<>&;", "~*!()", "=@,:$", "e\u0301"]
PART = 5 << 20


@pytest.fixture(scope="module", name="place")
def _place():
    if not VERSITY.exists():
        pytest.skip("versitygw is not there: make test-peers builds it where Go is installed")
    return {**Bucket(versity()).env, "DRIVER_PART": PART}


@pytest.fixture(scope="module", autouse=True)
def _program():
    build()


@pytest.fixture(name="driver")
def _driver(place):
    with Driver(place) as driver:
        yield driver


def test_the_check_and_wrong_keys(place, driver):
    driver("check")
    for name, word in (("S3_SECRET_ACCESS_KEY", "S3_SECRET_ACCESS_KEY"), ("S3_ACCESS_KEY_ID", "S3_ACCESS_KEY_ID"),
                       ("S3_BUCKET", "has no bucket")):
        with Driver({**place, name: "nobody"}) as other, pytest.raises(Failed) as failed:
            other("check")
        assert word in failed.value.sentence
    with Driver({**place, "S3_REGION": "us-east-1"}) as other:
        other("check")


@pytest.mark.parametrize("size", [0, 100, 2 * PART, 2 * PART + 1, 3 * PART + 12345])
def test_there_and_back(driver, tmp_path, size):
    source, to = tmp_path / "from", tmp_path / "to"
    source.write_bytes(os.urandom(size))
    driver("put", "dir/x", source, "image/png")
    assert driver("head", "dir/x")[0] == str(size)
    driver("get", "dir/x", 0, size, to)
    assert to.read_bytes() == source.read_bytes()
    driver("get", "dir/x", size // 3, size // 2, to)
    assert to.read_bytes() == source.read_bytes()[size // 3:size // 3 + size // 2]
    driver("delete", "dir/x")
    driver("delete", "dir/x")
    with pytest.raises(Failed) as failed:
        driver("get", "dir/x", 0, 1, to)
    assert failed.value.slug == "not_found"


def test_keys_lists_urls(driver, tmp_path):
    source = tmp_path / "from"
    source.write_bytes(b"some bytes")
    for key in HARD_KEYS:
        driver("put", key, source, "text/plain")
        with urllib.request.urlopen(driver("presign", "GET", key, 60)[0], timeout=10) as answer:
            assert answer.read() == b"some bytes"
    after, *items = driver("list", "", "")
    assert items[::4] == sorted(HARD_KEYS, key=str.encode) and after == ""
    assert driver("list", "a", "a b")[1::4] == ["a%20b", "a+b"]
    driver("delete-many", *HARD_KEYS)
    assert driver("list", "", "") == [""]


def test_uploads_that_nobody_finishes(place, driver):
    client = boto3.client("s3", endpoint_url=place["S3_ENDPOINT_URL"], region_name=place["S3_REGION"],
                          aws_access_key_id=place["S3_ACCESS_KEY_ID"],
                          aws_secret_access_key=place["S3_SECRET_ACCESS_KEY"])
    for i in range(3):
        client.create_multipart_upload(Bucket=place["S3_BUCKET"], Key=f"up/{i} +")
    now = int(time.time() * 1000)
    assert driver("stale", "", now - 3600_000) == ["0"]
    assert driver("stale", "up/", now + 60_000) == ["3"]


def test_boto3_and_our_test_server():
    """What checks our signatures in `make test` takes those of the widest known client, and no others."""
    with S3(strict=False) as s3:
        config = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required",
                        response_checksum_validation="when_required", retries={"max_attempts": 1})

        def client(secret):
            return boto3.client("s3", endpoint_url=s3.url, region_name=s3.region, aws_access_key_id=s3.id,
                                aws_secret_access_key=secret, config=config)
        boto = client(s3.secret)
        for key in HARD_KEYS:
            boto.put_object(Bucket=s3.bucket, Key=key, Body=b"x", ContentType="text/plain")
            assert boto.get_object(Bucket=s3.bucket, Key=key)["Body"].read() == b"x"
        listed = [o["Key"] for o in boto.list_objects_v2(Bucket=s3.bucket)["Contents"]]
        assert listed == sorted(HARD_KEYS, key=str.encode)
        link = boto.generate_presigned_url("get_object", Params={"Bucket": s3.bucket, "Key": "a+b"}, ExpiresIn=60)
        with urllib.request.urlopen(link, timeout=10) as answer:
            assert answer.read() == b"x"
        with pytest.raises(boto.exceptions.ClientError) as refused:
            client("wrong").put_object(Bucket=s3.bucket, Key="x", Body=b"x")
        assert refused.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
