/*
 * How glibc manages the memory of the command. It runs before `main`.
 *
 * glibc maps a large buffer by itself, gives its memory back as soon as it is freed, and gives back what is free at the end of a
 * heap. From which size on it does so it changes on its own: each time a large buffer is freed, only larger ones count from then
 * on, up to 32 MiB, and twice as much may be free at the end of a heap. A repository moves packs of 8 MiB and a long index through
 * several threads, so that after the first of them freed buffers stay in the heaps of all threads: `verify` of a repository of
 * 10 GiB took 88 MiB. Sizes that are set stay.
 *
 * Smaller ones take more time than they save memory: with 512 KiB a backup took twice as long, because zstd's buffers were mapped
 * anew for each chunk.
 *
 * This is C because mallopt is a function of C, and no crate but `ffi` may have code that the Rust compiler cannot check.
 */
#include <malloc.h>

#define LARGE (4 * 1024 * 1024)

__attribute__((constructor)) static void give_large_buffers_back(void)
{
	mallopt(M_MMAP_THRESHOLD, LARGE);
	mallopt(M_TRIM_THRESHOLD, LARGE);
}
