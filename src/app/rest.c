/* What only the start needed is let go of: code and constants that were read to get here go back to
 * the page cache, where they are anyway. Whatever is needed again is mapped again by its first use,
 * sixteen pages at a time. */
#include "app/app_impl.h"

#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Parts of files that nobody ever wrote to: what is dropped of them is what the file has. */
static int drop(struct dl_phdr_info *info, size_t size, void *user)
{
    const uintptr_t page = *(const uintptr_t *)user;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        bool is_kernels = info->dlpi_name && strstr(info->dlpi_name, "vdso");
        if (p->p_type != PT_LOAD || (p->p_flags & PF_W) || is_kernels)
            continue;
        uintptr_t from = (info->dlpi_addr + p->p_vaddr) & ~(page - 1);
        uintptr_t to = (info->dlpi_addr + p->p_vaddr + p->p_memsz + page - 1) & ~(page - 1);
        (void)madvise((void *)from, to - from, MADV_DONTNEED); /* or it stays */
    }
    return 0;
}

void rest_begin(void)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    dl_iterate_phdr(drop, &page);
}
