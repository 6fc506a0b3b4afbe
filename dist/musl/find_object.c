/* What libgcc_eh asks the C library for when a panic unwinds: the table of the program that holds an address. glibc has this
 * function, musl has not; but musl can go through the programs that are loaded. */
#define _GNU_SOURCE
#include <link.h>
#include <pthread.h>
#include <stdint.h>

/* libgcc_eh calls these only where a program has them, and a linker does not take them out of a static library for that. */
void *const certadm_unwinder_needs[] = {
    pthread_once, pthread_key_create, pthread_getspecific, pthread_setspecific, pthread_mutex_lock, pthread_mutex_unlock,
};

/* As in glibc's <dlfcn.h>, on x86-64. */
struct dl_find_object {
    unsigned long long flags;
    void *start;
    void *end;
    void *link_map;
    void *eh_frame;
    unsigned long long reserved[7];
};

struct search {
    uintptr_t address;
    struct dl_find_object *found;
};

static int look(struct dl_phdr_info *info, size_t size, void *data)
{
    struct search *search = data;
    uintptr_t start = UINTPTR_MAX, end = 0, table = 0;
    int within = 0;
    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t at = info->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_LOAD) {
            start = at < start ? at : start;
            end = at + part->p_memsz > end ? at + part->p_memsz : end;
            within |= search->address >= at && search->address - at < part->p_memsz;
        } else if (part->p_type == PT_GNU_EH_FRAME) {
            table = at;
        }
    }
    if (!within || table == 0)
        return 0;
    *search->found = (struct dl_find_object){
        .start = (void *)start, .end = (void *)end, .eh_frame = (void *)table,
    };
    return 1;
}

int _dl_find_object(void *address, struct dl_find_object *found)
{
    struct search search = { (uintptr_t)address, found };
    return dl_iterate_phdr(look, &search) ? 0 : -1;
}
