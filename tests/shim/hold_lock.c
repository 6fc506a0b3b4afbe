/* Holds a POSIX record lock on one byte of a file until its standard input is closed.
 * hold_lock FILE OFFSET: prints "held" once it has the lock. Stands for a stranger's SQLite in the middle of an act. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    int fd = open(argv[1], O_RDWR);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = atoll(argv[2]), .l_len = 1};
    if (fd < 0 || fcntl(fd, F_SETLKW, &lock) != 0) {
        perror(argv[1]);
        return 1;
    }
    puts("held");
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0) {
    }
    return 0;
}
