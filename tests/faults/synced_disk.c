/* Loaded before libc: notes what the disk has after every fsync and fdatasync of this process and its children, so that a
   test can make the disk of a power cut at any of them. WDIST_TEST_DISK names the folder that counts as the disk,
   WDIST_TEST_NOTES the folder for notes, where event N leaves
     N.file  the synced file's content           N.names  the names in the synced folder
     N.tree  all names on the disk at that moment, synced or not
   and a line "N kind id" in `events`. An id tells a file from a later one with the same inode. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int identify(int folder, const char *name, char *id, size_t size, mode_t *mode) {
    struct statx found;
    if (statx(folder, name, *name ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &found)) return -1;
    snprintf(id, size, "%llu.%lld.%u", (unsigned long long)found.stx_ino, (long long)found.stx_btime.tv_sec,
             found.stx_btime.tv_nsec);
    *mode = found.stx_mode;
    return 0;
}

static void list(FILE *out, int folder, const char *below, int deep) {
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY);
    DIR *names = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *entry;
    while (names && (entry = readdir(names))) {
        char id[96], path[PATH_MAX];
        mode_t mode;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (identify(dirfd(names), entry->d_name, id, sizeof id, &mode)) continue;
        snprintf(path, sizeof path, "%s%s", below, entry->d_name);
        fprintf(out, "%s %c %s\n", id, S_ISDIR(mode) ? 'd' : 'f', path);
        if (deep && S_ISDIR(mode)) {
            int child = openat(dirfd(names), entry->d_name, O_RDONLY | O_DIRECTORY);
            strncat(path, "/", sizeof path - strlen(path) - 1);
            if (child >= 0) list(out, child, path, 1), close(child);
        }
    }
    if (names) closedir(names);
}

static FILE *note(const char *notes, long number, const char *kind) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%ld.%s", notes, number, kind);
    return fopen(path, "w");
}

static void copy(const char *from, FILE *to) {
    char block[65536];
    int file = open(from, O_RDONLY);
    ssize_t got;
    while (file >= 0 && (got = read(file, block, sizeof block)) > 0) fwrite(block, 1, got, to);
    if (file >= 0) close(file);
}

static void synced(int file) {
    const char *disk = getenv("WDIST_TEST_DISK"), *notes = getenv("WDIST_TEST_NOTES");
    char link[64], path[PATH_MAX], id[96], events[PATH_MAX];
    mode_t mode;
    ssize_t length;
    if (!disk || !notes) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if ((length = readlink(link, path, sizeof path - 1)) < 0) return;
    path[length] = 0;
    if (strncmp(path, disk, strlen(disk)) || (path[strlen(disk)] && path[strlen(disk)] != '/')) return;
    if (identify(file, "", id, sizeof id, &mode)) return;
    snprintf(events, sizeof events, "%s/events", notes);
    int log = open(events, O_RDWR | O_CREAT | O_APPEND, 0600);
    if (log < 0 || flock(log, LOCK_EX)) abort();
    long number = 1;
    char last;
    for (off_t at = 0; pread(log, &last, 1, at) == 1; at++) number += last == '\n';
    FILE *out = note(notes, number, S_ISDIR(mode) ? "names" : "file");
    if (S_ISDIR(mode)) list(out, file, "", 0);
    else copy(link, out);
    fclose(out);
    int root = open(disk, O_RDONLY | O_DIRECTORY);
    out = note(notes, number, "tree");
    list(out, root, "", 1);
    fclose(out);
    close(root);
    dprintf(log, "%ld %c %s\n", number, S_ISDIR(mode) ? 'd' : 'f', id);
    close(log);
}

#define SYNC(name)                                                       \
    int name(int file) {                                                 \
        static int (*next)(int);                                         \
        if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, #name);         \
        int code = next(file), error = errno;                            \
        if (code == 0) synced(file);                                     \
        errno = error;                                                   \
        return code;                                                     \
    }

SYNC(fsync)
SYNC(fdatasync)
