/*
 * How glibc manages the memory of the command. It runs before `main`.
 *
 * glibc maps a large buffer by itself, and gives its memory back as soon as it is freed. What counts as large it changes on its
 * own: each time such a buffer is freed, only larger ones count from then on, up to 32 MiB. A repository moves packs of 8 MiB
 * and an index of many through several threads. After the first of them all these buffers come from the heaps of the threads,
 * where freed ones stay: reading a repository of 10 GiB then took 90 MiB of memory and not 56. A threshold that is set stays.
 *
 * This is C because mallopt is a function of C, and no crate but `ffi` may have code that the Rust compiler cannot check.
 */
#include <malloc.h>

__attribute__((constructor)) static void give_large_buffers_back(void)
{
	mallopt(M_MMAP_THRESHOLD, 512 * 1024);
	mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
}
