/* Sizes of Amazon's computers and what they cost: the rates as of one day, compiled in. An estimate
 * for a person who chooses, no contract; `dais render aws` says so wherever it prints one. */
#include "render/aws_impl.h"

const char aws_price_date[] = "2026-11";
const char *const aws_compute_names[AWS_COMPUTES] = {"vm", "express", "fargate", "apprunner"};

#define HOURS 730 /* of a month */

/* ---- sizes -------------------------------------------------------------------------------------
 */

/* By memory. A machine's rate is in 1/10,000 of a cent an hour; containers have rates per unit. */
static const struct {
    struct aws_size size;
    int64_t rate;
} machines[] = {
    {{"t4g.micro", 2048, 1024}, 8400},      {{"t4g.small", 2048, 2048}, 16800},
    {{"t4g.medium", 2048, 4096}, 33600},    {{"t4g.large", 2048, 8192}, 67200},
    {{"t4g.xlarge", 4096, 16384}, 134400},  {{"t4g.2xlarge", 8192, 32768}, 268800},
    {{"r7g.2xlarge", 8192, 65536}, 428400}, {{"r7g.4xlarge", 16384, 131072}, 856800},
};
static const struct aws_size tasks[] = {
    {"", 256, 512},    {"", 256, 1024},   {"", 512, 2048},   {"", 512, 4096},     {"", 1024, 8192},
    {"", 2048, 16384}, {"", 4096, 30720}, {"", 8192, 61440}, {"", 16384, 122880},
};
static const struct aws_size runners[] = {
    {"", 256, 512},   {"", 256, 1024},  {"", 1024, 2048},  {"", 1024, 3072},  {"", 1024, 4096},
    {"", 2048, 6144}, {"", 4096, 8192}, {"", 4096, 10240}, {"", 4096, 12288},
};
#define COUNT(a) (sizeof(a) / sizeof *(a))

static const struct aws_size *sizes_of(enum aws_compute compute, size_t *ret_n)
{
    bool is_runner = compute == AWS_APPRUNNER;
    *ret_n = is_runner ? COUNT(runners) : COUNT(tasks);
    return is_runner ? runners : tasks;
}

static size_t machine_of(int64_t memory_mb)
{
    size_t i = 0;
    while (i + 1 < COUNT(machines) && machines[i].size.memory_mb < memory_mb)
        i++;
    return i;
}

struct aws_size aws_size_of(enum aws_compute compute, int64_t memory_mb)
{
    size_t n, i = 0;
    if (compute == AWS_VM)
        return machines[machine_of(memory_mb)].size;
    const struct aws_size *sizes = sizes_of(compute, &n);
    while (i + 1 < n && sizes[i].memory_mb < memory_mb)
        i++;
    return sizes[i];
}

int64_t aws_memory_max_mb(enum aws_compute compute)
{
    return aws_size_of(compute, INT64_MAX).memory_mb;
}

/* ---- prices ------------------------------------------------------------------------------------
 */

/* In 1/10,000 of a cent: an hour of a thing, or a month of it. */
enum {
    FARGATE_CPU = 40480,  /* $0.04048 for a processor and hour */
    FARGATE_GB = 4445,    /* $0.004445 for a GB and hour */
    RUNNER_CPU = 64000,   /* $0.064, while it answers */
    RUNNER_GB = 7000,     /* $0.007, always */
    BALANCER = 22500,     /* $0.0225 */
    ADDRESS = 5000,       /* $0.005 for an IPv4 address */
    DATABASE = 16000,     /* $0.016 for a db.t4g.micro */
    DATABASE_GB = 115000, /* $0.115 a month */
    DISK_GB = 80000,      /* $0.08 a month */
    FILES_GB = 300000,    /* $0.30 a month */
    SECRET = 400000,      /* $0.40 a month */
    STORAGE_GB = 23000,   /* $0.023 a month */
    REGISTRY_GB = 100000, /* $0.10 a month */
    LOG_GB = 500000,      /* $0.50 a GB */
};

static void add(struct aws_price *p, const char *what, int64_t amount)
{
    int64_t cents = (amount + 5000) / 10000;
    p->lines[p->n++] = (struct aws_price_line){what, cents};
    p->cents += cents;
}

static void add_machine(struct aws_price *p, const struct aws_size *size)
{
    add(p, size->instance, machines[machine_of(size->memory_mb)].rate * HOURS);
    add(p, "8 GB disk for the system, 20 GB for data (gp3)", 28 * DISK_GB);
    add(p, "one IPv4 address", ADDRESS * HOURS);
}

static void add_task(struct aws_price *p, const struct aws_price_of *of)
{
    const struct aws_size *size = &of->size;
    add(p, "Fargate, one task",
        (FARGATE_CPU * size->cpu + FARGATE_GB * size->memory_mb) * HOURS / 1024);
    add(p, "load balancer with little traffic", BALANCER * HOURS);
    add(p, "three IPv4 addresses", 3 * ADDRESS * HOURS);
    if (of->compute == AWS_FARGATE && of->keeps_files)
        add(p, "1 GB of files (EFS)", FILES_GB);
}

static void add_runner(struct aws_price *p, const struct aws_size *size)
{
    int64_t cpu = RUNNER_CPU * size->cpu * HOURS / 1024 / 20;
    add(p, "App Runner, busy for a twentieth of the time",
        cpu + RUNNER_GB * size->memory_mb * HOURS / 1024);
}

static void add_services(struct aws_price *p)
{
    add(p, "RDS Postgres db.t4g.micro, 20 GB", DATABASE * HOURS + 20 * DATABASE_GB);
    add(p, "1 GB of images, 1 GB of logs", REGISTRY_GB + LOG_GB);
}

struct aws_price aws_price(const struct aws_price_of *of)
{
    struct aws_price p = {0};
    if (of->compute == AWS_VM)
        add_machine(&p, &of->size);
    else if (of->compute == AWS_APPRUNNER)
        add_runner(&p, &of->size);
    else
        add_task(&p, of);
    if (of->compute != AWS_VM)
        add_services(&p);
    add(&p, "1 GB of files (S3), little traffic", STORAGE_GB);
    if (of->n_secrets)
        add(&p, "Secrets Manager", of->n_secrets * SECRET);
    return p;
}
