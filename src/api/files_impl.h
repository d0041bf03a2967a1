/* What the calls for files share: the place that a request names, and being in its database. */
#pragma once
#include "api/api_impl.h"

#define FILES_BODY_MAX (64u << 10) /* of PATCH and of /sign */

struct file_call {
    struct files *files;
    struct file_place at;
    struct subject *who;
    bool has_link; /* the query's signature was right, and says who asks */
    bool is_sent;  /* its bytes are asked for, which may be in an object store */
};

/* The bucket and path that the request's path names, and who asks: by its signature alone where it
 * has one (on a lane then). FILE_CALL_MOVED: the handler returns true at once. */
enum file_called { FILE_CALLED, FILE_CALL_MOVED, FILE_CALL_REFUSED };
enum file_called file_call_begin(struct req *rq, struct file_call *ret, struct err *e);

/* The same for a request that cannot move, because its body is streamed: what it says, and then,
 * on a lane, whom its link lets in. `ret->who` is the caller's, empty. Slices are the request's. */
struct file_asked {
    const struct api *api;
    struct slice bucket, path, user, query;
    enum http_method method;
    struct arena *arena; /* what is found out lives here */
};
bool file_ask(struct req *rq, struct file_asked *ret, struct err *e);
bool file_call_of_link(const struct file_asked *q, struct file_call *ret, struct err *e);

/* Where a handler goes that may block. Bytes that come over a network have a lane of their own:
 * there they keep nobody else waiting. */
enum run file_lane(const struct file_call *call);
/* As api_enter() and api_failed(). */
enum enter file_enter(struct req *rq, const struct file_call *call, struct files_reading *r,
                      struct err *e);
void file_leave(struct req *rq, struct files_reading *r);
bool file_failed(struct req *rq, const struct file_call *call, struct err *e);
/* For who has no request at hand: r->files, arena and who are given. On the loop, false: not here,
 * nobody opened it or it is Postgres. */
bool file_enter_on_loop(struct loop *l, struct files_reading *r);
bool file_enter_on_lane(struct files_reading *r, struct err *e);
void file_leave_reading(struct files_reading *r);
/* In the database for a write, on a lane. */
bool file_db_open(struct files *f, struct err *e);
/* Does the query have a signature? It is judged by that alone then: see service.find. */
bool file_has_link(const struct req *rq);

/* 200 or 201 with the file as JSON, its ETag and, when it is new, its Location. */
bool file_reply_json(struct req *rq, int status, const struct file *f);
/* send.c: its bytes, as the request's conditions want them. */
bool file_send(struct req *rq, struct files *files, const struct file *f, struct err *e);

/* What an object store says names its place and its rights: that is for the log, and whoever asked
 * is told what they can do. False. */
bool file_store_failed(const struct files *files, struct err *e);

/* upload.c: PUT of a file and POST of a form, streamed. */
extern const struct route file_put_route, file_form_route;
