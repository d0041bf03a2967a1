/* Sizes and prices of Amazon's computers, for rows_aws.c. */
#pragma once
#include "base/arena.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum aws_compute { AWS_VM, AWS_EXPRESS, AWS_FARGATE, AWS_APPRUNNER, AWS_COMPUTES };
extern const char *const aws_compute_names[AWS_COMPUTES];

/* The smallest size that holds so much memory; the largest when none does. */
struct aws_size {
    const char *instance; /* of a machine: t4g.micro */
    int64_t cpu;          /* of a container, in 1/1024 of a processor */
    int64_t memory_mb;
};
struct aws_size aws_size_of(enum aws_compute compute, int64_t memory_mb);
int64_t aws_memory_max_mb(enum aws_compute compute);

/* What a month costs, as lines and their sum, in cents. Rates were read on aws_price_date for
 * us-east-1; a month has 730 hours. */
extern const char aws_price_date[];
struct aws_price_line {
    const char *what;
    int64_t cents;
};
#define AWS_PRICE_LINES 10
struct aws_price {
    struct aws_price_line lines[AWS_PRICE_LINES];
    unsigned n;
    int64_t cents;
};
struct aws_price_of {
    enum aws_compute compute;
    struct aws_size size;
    unsigned n_secrets; /* in Secrets Manager */
    bool keeps_files;
};
struct aws_price aws_price(const struct aws_price_of *of);
