#!/usr/bin/env python3
# An S3 server for tests: believes only what is rightly signed, counts calls, and fails as a test wants it to.
"""
with S3() as s3:
    s3.url, s3.env             where it is; the variables that dais reads (S3_ENDPOINT_URL, S3_BUCKET, ...)
    s3.objects[key].body       what the bucket holds; .etag, .type; s3.store(key, b"...") puts something there
    s3.calls                   Counter by kind: put get head delete delete-many list create part complete abort uploads
    s3.requests                (kind, key, status, headers) of each
    s3.errors                  what no client may do (Expect, Accept-Encoding, checksums); a test looks that it is empty
    s3.uploads                 begun and not ended: {id: Upload}
    s3.fail(kind, fault, times=1, **more)      kind "*": any. times=None: until s3.heal()
        "answer", status=503, code="SlowDown", retry_after=None   an error instead of the answer
        "cut", at=1000         the body (of the answer) ends there, and the connection
        "reset"                the request is read, then the connection is reset
        "early", status, code  an answer before the body was read, then a reset
        "lost"                 it is done, but the connection ends without an answer
        "hang-head", "hang-body"   nothing more comes (until heal() or the end)
        "etag"                 the answer has another ETag
        "inside", code         200 with an error in its body, to "complete"
        "noise"                200 with something that is no XML
        "empty"                200 with nothing in it and nothing done, to "complete"
    s3.clock_off = 3600        its clock, in seconds
    s3.region, s3.knows_bulk, s3.knows_ranges, s3.page (keys in a list), s3.token (of a session), s3.denied (kinds)

It checks SigV4 itself, in headers and URLs: hashlib, hmac, and nothing of dais. As a program it serves until it is
ended and prints its variables."""
import base64
import collections
import contextlib
import dataclasses
import datetime
import email.utils
import hashlib
import hmac
import http.server
import os
import pathlib
import re
import shutil
import socket
import ssl
import struct
import sys
import tempfile
import threading
import time
import urllib.parse
import uuid
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

SKEW, WEEK, PIECE = 15 * 60, 7 * 86400, 1 << 16
FORBIDDEN_HEADERS = re.compile(r"accept-encoding|expect|transfer-encoding|x-amz-(sdk-)?checksum.*|x-amz-trailer")
EMPTY = hashlib.sha256(b"").hexdigest()


@dataclasses.dataclass
class Object:
    path: pathlib.Path
    size: int
    etag: str
    type: str
    modified: float

    @property
    def body(self):
        return self.path.read_bytes()


@dataclasses.dataclass
class Upload:
    key: str
    type: str
    began: float
    parts: dict = dataclasses.field(default_factory=dict)


class Objects(dict):
    """Who goes through them goes through those of that moment: the server puts more there meanwhile."""

    def __iter__(self):
        return iter(self.keys())

    def keys(self):
        return list(super().keys())

    def values(self):
        return list(super().values())

    def items(self):
        return list(super().items())


@dataclasses.dataclass
class Fault:
    kind: str
    name: str
    times: int
    more: dict


class Refused(Exception):
    def __init__(self, status, code, extra="", headers=()):
        super().__init__(code)
        self.status, self.code, self.extra, self.headers = status, code, extra, headers


# ---- signatures -----------------------------------------------------------------------------------
def quoted(text, safe=""):
    return urllib.parse.quote(text, safe=safe + "-_.~")


def split_query(query):
    """Pairs as bytes that were sent, decoded; '+' is a plus, as for AWS."""
    pairs = [piece.partition("=")[::2] for piece in query.split("&") if piece]
    return [(urllib.parse.unquote_to_bytes(name), urllib.parse.unquote_to_bytes(value)) for name, value in pairs]


def derived_key(secret, day, region):
    key = b"AWS4" + secret.encode()
    for text in (day, region, "s3", "aws4_request"):
        key = hmac.new(key, text.encode(), hashlib.sha256).digest()
    return key


@dataclasses.dataclass
class Signature:
    """What a request says about itself; `values` are the header's parts or the query's."""
    method: str
    raw_path: str
    pairs: list
    headers: list  # (name, value) as sent
    id: str
    day: str
    region: str
    date: str
    signed: list
    signature: str
    payload: str
    expires: int = 0

    def expected(self, secret):
        lines = []
        for name in self.signed:
            values = [" ".join(value.split()) for key, value in self.headers if key.lower() == name]
            lines.append(f"{name}:{','.join(values)}\n")
        path = quoted(urllib.parse.unquote_to_bytes(self.raw_path), "/")
        pairs = sorted((quoted(n), quoted(v)) for n, v in self.pairs if n != b"X-Amz-Signature")
        canonical = "\n".join([self.method, path, "&".join(f"{n}={v}" for n, v in pairs), "".join(lines),
                               ";".join(self.signed), self.payload])
        scope = f"{self.day}/{self.region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", self.date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        return hmac.new(derived_key(secret, self.day, self.region), text.encode(), hashlib.sha256).hexdigest()


def read_signature(method, raw_path, pairs, headers):
    get = {name.lower(): value for name, value in headers}.get
    query = {name.decode(): value.decode() for name, value in pairs}
    if "X-Amz-Signature" in query:
        if query.get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256" or not query.get("X-Amz-Expires", "").isdigit():
            raise Refused(400, "AuthorizationQueryParametersError")
        parts = {"Credential": query.get("X-Amz-Credential", ""), "Signature": query["X-Amz-Signature"],
                 "SignedHeaders": query.get("X-Amz-SignedHeaders", "")}
        date, payload, expires = query.get("X-Amz-Date", ""), "UNSIGNED-PAYLOAD", int(query["X-Amz-Expires"])
    else:
        text = get("authorization")
        if not text:
            raise Refused(403, "AccessDenied")
        algorithm, _, rest = text.partition(" ")
        if algorithm != "AWS4-HMAC-SHA256":
            raise Refused(400, "InvalidArgument")
        parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        date, payload, expires = get("x-amz-date", ""), get("x-amz-content-sha256", ""), 0
    try:
        key_id, day, region, service, end = parts["Credential"].split("/")
        signature = Signature(method, raw_path, pairs, headers, key_id, day, region, date,
                              parts["SignedHeaders"].split(";"), parts["Signature"], payload, expires)
    except (KeyError, ValueError):
        raise Refused(400, "AuthorizationHeaderMalformed") from None
    if (service, end) != ("s3", "aws4_request") or not date.startswith(day) or expires > WEEK:
        raise Refused(400, "AuthorizationHeaderMalformed")
    return signature


def check_time(signature, now):
    try:
        made = datetime.datetime.strptime(signature.date, "%Y%m%dT%H%M%SZ").replace(
            tzinfo=datetime.timezone.utc).timestamp()
    except ValueError:
        raise Refused(403, "AccessDenied") from None
    if signature.expires:
        if not made - SKEW <= now <= made + signature.expires:
            raise Refused(403, "AccessDenied")
    elif abs(now - made) > SKEW:
        raise Refused(403, "RequestTimeTooSkewed")


def check_signed(signature):
    """What must be among the signed headers, and what must not."""
    names = {name.lower() for name, _ in signature.headers}
    needed = {"host"} | {name for name in names if name.startswith("x-amz-")}
    if not signature.expires and "content-type" in names:
        needed.add("content-type")
    if signature.signed != sorted(set(signature.signed)) or not needed <= set(signature.signed) or \
            set(signature.signed) - names or "accept-encoding" in signature.signed:
        raise Refused(403, "AccessDenied", "<Message>headers that are not signed</Message>")


# ---- the server -----------------------------------------------------------------------------------
class S3:
    def __init__(self, bucket="files", region="eu-test-1", tls=None, strict=True):
        """`tls`: certificate and key. `strict`: what no client of ours does is an error."""
        self.bucket, self.region, self.strict, self.tls = bucket, region, strict, tls
        self.id, self.secret, self.token = "ID" + uuid.uuid4().hex[:14], uuid.uuid4().hex + "/+secret", ""
        self.objects, self.uploads = Objects(), {}
        self.calls, self.requests, self.errors, self.faults = collections.Counter(), [], [], []
        self.clock_off, self.page, self.knows_bulk, self.knows_ranges = 0, 1000, True, True
        self.denied = set()
        self.lock, self.healing = threading.RLock(), threading.Event()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="dais-s3-"))
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.s3 = self
        self.port = self.server.server_address[1]
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.heal()
        self.server.shutdown()
        self.server.server_close()
        self.server.end_all()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self):
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    @property
    def env(self):
        env = {"S3_ENDPOINT_URL": self.url, "S3_BUCKET": self.bucket, "S3_REGION": self.region,
               "S3_ACCESS_KEY_ID": self.id, "S3_SECRET_ACCESS_KEY": self.secret}
        return {**env, "AWS_SESSION_TOKEN": self.token} if self.token else env

    def now(self):
        return time.time() + self.clock_off

    def fail(self, kind, fault, times=1, **more):
        with self.lock:
            self.faults.append(Fault(kind, fault, -1 if times is None else times, more))

    def heal(self):
        with self.lock:
            self.faults.clear()
            self.healing.set()
            self.healing = threading.Event()

    def take_fault(self, kind):
        with self.lock:
            for fault in self.faults:
                if fault.times and fault.kind in (kind, "*"):
                    fault.times -= 1
                    return fault
        return Fault(kind, "", 0, {})

    def store(self, key, body, kind="application/octet-stream"):
        path = self.folder / uuid.uuid4().hex
        path.write_bytes(body)
        self.keep(key, path, hashlib.md5(body).hexdigest(), kind)

    def keep(self, key, path, etag, kind):
        with self.lock:
            self.objects[key] = Object(path, path.stat().st_size, f'"{etag}"', kind, self.now())
            return self.objects[key]


class Server(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 64

    def __init__(self, *args):
        self.open, self.lock = set(), threading.Lock()
        super().__init__(*args)

    def process_request(self, request, client_address):
        with self.lock:
            self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        with self.lock:
            self.open.discard(request)
        super().shutdown_request(request)

    def end_all(self):
        with self.lock:
            for sock in self.open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        """A client that went away is nothing to print; anything else is a mistake of this file."""
        if not isinstance(sys.exc_info()[1], OSError):
            self.s3.errors.append(f"the server itself: {sys.exc_info()[1]!r}")
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version, disable_nagle_algorithm, timeout = "HTTP/1.1", True, 60
    wbufsize = -1

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return email.utils.formatdate(self.s3.now() if timestamp is None else timestamp, usegmt=True)

    @property
    def s3(self):
        return self.server.s3

    # ---- a request ----
    def serve(self):
        raw_path, _, query = self.path.partition("?")
        self.pairs = split_query(query)
        self.query = {name.decode(): value.decode() for name, value in self.pairs}
        self.sent_headers = list(self.headers.items())
        self.bucket, self.key = self._names(raw_path)
        self.kind = self._kind()
        with self.s3.lock:
            self.healing = self.s3.healing  # of this fault: it may be over before we get to hang
            self.fault = self.s3.take_fault(self.kind)
            self.s3.calls[self.kind] += 1
        if self.fault.name == "early":
            self._refuse(Refused(self.fault.more["status"], self.fault.more["code"]))
            return self._reset()
        body = self._read_body()
        try:
            if self.fault.name == "answer":
                raise Refused(self.fault.more.get("status", 503), self.fault.more.get("code", "SlowDown"),
                              headers=[("Retry-After", str(self.fault.more["retry_after"]))]
                              if self.fault.more.get("retry_after") is not None else [])
            if self.fault.name == "reset":
                return self._reset()
            if self.fault.name == "hang-head":
                return self._hang()
            self._check(raw_path, body)
            getattr(self, "do_" + self.kind.replace("-", "_"))(body)
        except Refused as e:
            self._refuse(e)
        finally:
            if body.path.exists() and not body.is_kept:
                body.path.unlink()
        return None

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = serve

    def _names(self, raw_path):
        path = urllib.parse.unquote_to_bytes(raw_path).decode("utf-8", "surrogateescape")
        host = self.headers.get("Host", "").rpartition(":")[0]
        if host.endswith(".s3.localhost"):
            return host[:-len(".s3.localhost")], path[1:]
        bucket, _, key = path[1:].partition("/")
        return bucket, key

    def _kind(self):
        method, query = self.command, self.query
        if method == "POST":
            return next((kind for name, kind in (("delete", "delete-many"), ("uploads", "create"),
                                                 ("uploadId", "complete")) if name in query), "unknown")
        if method == "GET" and not self.key:
            return "uploads" if "uploads" in query else "list"
        if "uploadId" in query:
            return {"PUT": "part", "DELETE": "abort"}.get(method, "unknown")
        return method.lower()

    def _read_body(self):
        body = Body(self.s3.folder / uuid.uuid4().hex)
        left = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        with open(body.path, "wb") as file:
            while left:
                piece = self.rfile.read(min(left, PIECE))
                if not piece:
                    raise ConnectionResetError
                body.add(piece)
                file.write(piece)
                left -= len(piece)
        return body

    def _check(self, raw_path, body):
        s3 = self.s3
        for name, _ in self.sent_headers if s3.strict and "X-Amz-Signature" not in self.query else []:
            if FORBIDDEN_HEADERS.fullmatch(name.lower()):
                s3.errors.append(f"{self.kind} sends {name}")
        if s3.strict and quoted(urllib.parse.unquote_to_bytes(raw_path), "/") != raw_path:
            s3.errors.append(f"{raw_path} is not escaped as it is signed")
        signature = read_signature(self.command, raw_path, self.pairs, self.sent_headers)
        if signature.id != s3.id:
            raise Refused(403, "InvalidAccessKeyId")
        check_time(signature, s3.now())
        if signature.region != s3.region:
            raise Refused(400, "AuthorizationHeaderMalformed", f"<Region>{s3.region}</Region>",
                          [("x-amz-bucket-region", s3.region)])
        check_signed(signature)
        if not hmac.compare_digest(signature.expected(s3.secret), signature.signature):
            raise Refused(403, "SignatureDoesNotMatch")
        token = self.headers.get("x-amz-security-token") or self.query.get("X-Amz-Security-Token", "")
        if token != s3.token:
            raise Refused(400, "ExpiredToken" if token and s3.token else "InvalidToken")
        self._check_body(signature, body)
        if self.bucket != s3.bucket:
            raise Refused(404, "NoSuchBucket")
        if self.kind in s3.denied:
            raise Refused(403, "AccessDenied")

    def _check_body(self, signature, body):
        if signature.payload == "UNSIGNED-PAYLOAD":
            if not signature.expires and not self.s3.tls:
                self.s3.errors.append(f"{self.kind}: an unsigned body without TLS")
        elif signature.payload != body.sha256.hexdigest():
            raise Refused(400, "XAmzContentSHA256Mismatch")
        digest = self.headers.get("Content-MD5")
        if digest and digest != base64.b64encode(body.md5.digest()).decode():
            raise Refused(400, "BadDigest")

    # ---- what is done ----
    def do_put(self, body):
        body.is_kept = True
        kept = self.s3.keep(self.key, body.path, body.md5.hexdigest(), self.headers.get("Content-Type", ""))
        self._answer(200, headers=[("ETag", kept.etag)])  # it may be removed by now

    def _object(self):
        with self.s3.lock:
            found = self.s3.objects.get(self.key)
        if not found:
            raise Refused(404, "NoSuchKey")
        wanted = self.headers.get("If-Match")
        if wanted and wanted != found.etag:
            raise Refused(412, "PreconditionFailed")
        return found

    def do_head(self, _):
        found = self._object()
        self._answer(200, headers=self._object_headers(found), length=found.size)

    def _object_headers(self, found):
        etag = '"other"' if self.fault.name == "etag" else found.etag
        return [("ETag", etag), ("Last-Modified", email.utils.formatdate(found.modified, usegmt=True)),
                ("Content-Type", found.type or "binary/octet-stream"), ("Accept-Ranges", "bytes")]

    def do_get(self, _):
        found = self._object()
        headers, first, last, status = self._object_headers(found), 0, found.size - 1, 200
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)?", self.headers.get("Range", ""))
        if wanted and self.s3.knows_ranges:
            first, last, status = int(wanted[1]), min(int(wanted[2] or last), last), 206
            if first > last:
                raise Refused(416, "InvalidRange")
            headers.append(("Content-Range", f"bytes {first}-{last}/{found.size}"))
        with open(found.path, "rb") as file:
            file.seek(first)
            self._answer(status, headers=headers, file=file, length=last - first + 1)

    def do_delete(self, _):
        with self.s3.lock:
            self.s3.objects.pop(self.key, None)
        self._answer(204)

    def do_delete_many(self, body):
        if not self.s3.knows_bulk:
            raise Refused(501, "NotImplemented")
        if not self.headers.get("Content-MD5"):
            raise Refused(400, "InvalidRequest")
        try:
            root = ET.fromstring(body.path.read_bytes())
        except ET.ParseError:
            raise Refused(400, "MalformedXML") from None
        keys = [element.text or "" for element in root.iter() if element.tag.endswith("}Key")]
        if not 0 < len(keys) <= 1000:
            raise Refused(400, "MalformedXML")
        failing = self.fault.more.get("keys", {}) if self.fault.name == "some" else {}
        text = ""
        for key in keys:
            if key in failing:
                text += f"<Error><Key>{escape(key)}</Key><Code>{failing[key]}</Code><Message>No</Message></Error>"
                continue
            with self.s3.lock:
                self.s3.objects.pop(key, None)
        self._xml("DeleteResult", text)

    def do_list(self, _):
        if self.query.get("list-type") != "2":
            raise Refused(501, "NotImplemented")
        prefix = self.query.get("prefix", "")
        after = self.query.get("continuation-token") or self.query.get("start-after", "")
        most = min(int(self.query.get("max-keys", "1000")), self.s3.page)
        with self.s3.lock:
            keys = sorted((key for key in self.s3.objects if key.startswith(prefix) and
                           key.encode() > after.encode()), key=str.encode)
            found = [(key, self.s3.objects[key]) for key in keys[:most]]
        text = "".join(f"<Contents><Key>{self._shown(key)}</Key><LastModified>{stamp(o.modified)}</LastModified>"
                       f"<ETag>{escape(o.etag, {chr(34): '&quot;'})}</ETag><Size>{o.size}</Size>"
                       "<StorageClass>STANDARD</StorageClass></Contents>" for key, o in found)
        more = len(keys) > most
        text = f"<Name>{self.bucket}</Name><IsTruncated>{str(more).lower()}</IsTruncated>" + text
        if more:
            text += f"<NextContinuationToken>{self._shown(found[-1][0])}</NextContinuationToken>"
        self._xml("ListBucketResult", text + self._encoding())

    def _encoding(self):
        return "<EncodingType>url</EncodingType>" if self.query.get("encoding-type") == "url" else ""

    def _shown(self, key):
        url = self.query.get("encoding-type") == "url"
        return escape(urllib.parse.quote_plus(key, safe="/*") if url else key)

    # ---- parts ----
    def do_create(self, _):
        upload_id = uuid.uuid4().hex + "+/=&"
        with self.s3.lock:
            self.s3.uploads[upload_id] = Upload(self.key, self.headers.get("Content-Type", ""), self.s3.now())
        self._xml("InitiateMultipartUploadResult", f"<Bucket>{self.bucket}</Bucket><Key>{escape(self.key)}</Key>"
                  f"<UploadId>{escape(upload_id)}</UploadId>")

    def _upload(self):
        with self.s3.lock:
            upload = self.s3.uploads.get(self.query["uploadId"])
        if not upload or upload.key != self.key:
            raise Refused(404, "NoSuchUpload")
        return upload

    def do_part(self, body):
        upload, number = self._upload(), int(self.query.get("partNumber", "0"))
        if not 1 <= number <= 10000:
            raise Refused(400, "InvalidArgument")
        body.is_kept = True
        upload.parts[number] = (body.path, body.md5)
        self._answer(200, headers=[("ETag", f'"{body.md5.hexdigest()}"')])

    def do_complete(self, body):
        if self.fault.name == "empty":
            return self._answer(200)
        upload = self._upload()
        if self.fault.name == "inside":
            return self._xml("Error", f"<Code>{self.fault.more['code']}</Code><Message>No</Message>", before=b" \n")
        try:
            root = ET.fromstring(body.path.read_bytes())
            wanted = [{child.tag.rpartition("}")[2]: child.text for child in part} for part in root]
            numbers = [int(part["PartNumber"]) for part in wanted]
        except (ET.ParseError, KeyError, ValueError):
            raise Refused(400, "MalformedXML") from None
        if not numbers or numbers != sorted(set(numbers)):
            raise Refused(400, "InvalidPartOrder")
        if any(number not in upload.parts or part["ETag"].strip('"') != upload.parts[number][1].hexdigest()
               for number, part in zip(numbers, wanted)):
            raise Refused(400, "InvalidPart")
        path = self.s3.folder / uuid.uuid4().hex
        with open(path, "wb") as file:
            for number in numbers:
                with open(upload.parts[number][0], "rb") as part:
                    shutil.copyfileobj(part, file)
        digest = hashlib.md5(b"".join(upload.parts[number][1].digest() for number in numbers)).hexdigest()
        self._end_upload()
        self.s3.keep(self.key, path, f"{digest}-{len(numbers)}", upload.type)
        return self._xml("CompleteMultipartUploadResult", f"<Key>{escape(self.key)}</Key>", before=b"  \n ")

    def _end_upload(self):
        with self.s3.lock:
            upload = self.s3.uploads.pop(self.query["uploadId"], None)
        if not upload:  # somebody who asked at the same time was quicker
            raise Refused(404, "NoSuchUpload")
        for path, _ in list(upload.parts.values()):
            with contextlib.suppress(OSError):
                path.unlink()

    def do_abort(self, _):
        self._upload()
        self._end_upload()
        self._answer(204)

    def do_uploads(self, _):
        prefix, most = self.query.get("prefix", ""), self.s3.page
        after = (self.query.get("key-marker", ""), self.query.get("upload-id-marker", ""))
        with self.s3.lock:
            found = sorted((u.key, name, u.began) for name, u in self.s3.uploads.items()
                           if u.key.startswith(prefix) and (u.key, name) > after)
        text = f"<IsTruncated>{str(len(found) > most).lower()}</IsTruncated>"
        for key, name, began in found[:most]:
            text += (f"<Upload><Key>{self._shown(key)}</Key><UploadId>{escape(name)}</UploadId>"
                     f"<Initiated>{stamp(began)}</Initiated></Upload>")
        if len(found) > most:
            key, name, _ = found[most - 1]
            text += f"<NextKeyMarker>{self._shown(key)}</NextKeyMarker>" \
                    f"<NextUploadIdMarker>{escape(name)}</NextUploadIdMarker>"
        self._xml("ListMultipartUploadsResult", text + self._encoding())

    def do_unknown(self, _):
        raise Refused(405, "MethodNotAllowed")

    # ---- answers ----
    def _note(self, status):
        with self.s3.lock:
            self.s3.requests.append((self.kind, self.key, status, dict(self.sent_headers)))

    def _refuse(self, e):
        text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{e.code}</Code><Message>No &amp; no</Message>' \
               f"{e.extra}<Resource>/{escape(self.key)}</Resource><RequestId>1</RequestId></Error>"
        self._send(e.status, list(e.headers) + [("Content-Type", "application/xml")], text.encode())

    def _xml(self, root, text, before=b""):
        body = b'<?xml version="1.0" encoding="UTF-8"?>\n' + before + \
            f'<{root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{text}</{root}>'.encode()
        if self.fault.name == "noise":
            body = b"<html>\n<p>Welcome<br>"
        self._answer(200, [("Content-Type", "application/xml")], body)

    def _answer(self, status, headers=(), body=b"", file=None, length=None):
        if self.fault.name == "lost":
            self.close_connection = True
            return
        self._send(status, headers, body, file, length)

    def _send(self, status, headers, body=b"", file=None, length=None):
        self._note(status)
        length = len(body) if length is None else length
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "HEAD" or status == 204:
            return
        at = {"cut": self.fault.more.get("at", 1000), "hang-body": length // 2}.get(self.fault.name, length)
        left = min(at, length)
        while left:
            piece = file.read(min(left, PIECE)) if file else body[:left]
            self.wfile.write(piece)
            left -= len(piece)
        self.wfile.flush()
        if self.fault.name == "hang-body":
            self._hang()
        self.close_connection = self.close_connection or at < length

    def _hang(self):
        self.healing.wait(60)
        self.close_connection = True

    def _reset(self):
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True


class Body:
    def __init__(self, path):
        self.path, self.sha256, self.md5, self.is_kept = path, hashlib.sha256(), hashlib.md5(), False

    def add(self, piece):
        self.sha256.update(piece)
        self.md5.update(piece)


def stamp(when):
    return datetime.datetime.fromtimestamp(when, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def main():
    with S3(*sys.argv[1:2]) as s3:
        for name, value in s3.env.items():
            print(f"export {name}={value}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    os.umask(0o077)
    main()
