/* must(): an assertion that stays on in release builds. For our own mistakes, never for input. */
#pragma once

#define must(cond) ((cond) ? (void)0 : must_failed(#cond, __FILE__, __LINE__, __func__))

/* Prints what was being done (must_context), then aborts. */
_Noreturn void must_failed(const char *cond, const char *file, int line, const char *func);

/* What this thread is doing now, printed when a must() fails; both strings must outlive the work.
 */
void must_context(const char *request_id, const char *step);

#define MUST_CHECK        __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
