// SPDX-License-Identifier: Apache-2.0
/*
 * Write numbered, checksummed records: what an application does, reduced to what can be proved.
 *
 *   recorder volumes          on each volume beside the root disk, for as long as it is attached
 *   recorder file PATH NAME   into a file, until SIGTERM; NAME is the volume in the reports
 *   recorder health           a CGI answer: 200 unless a volume is there and is not written to
 *   recorder writing          a CGI answer: 200 only while every volume is written to
 *   recorder clock            keep the clock with the firmware's, for ever
 *   recorder config-drive     print the device of the config drive and its file system's type
 *
 * Record n has 512 bytes at the offset n * 512. It is written every 100 ms; each write is on the
 * disk when it returns. At its start the recorder looks for the last good record and goes on with
 * the next number. It is stubborn: what fails is tried again for ever with the same number, since
 * a writer that gives up would hide what becomes of a fence that is lifted.
 *
 * Reports go to the standard output, the server's console, one checksummed line each:
 *
 *   HACON by=<server> boot=<id> vol=<serial> event=start first=<number> seq=<number> ...
 *
 *   start  it goes on with the number seq
 *   ack    all from first up to seq were acknowledged, the slowest since the last report in
 *          slowest= milliseconds
 *   err    the write of seq failed with errno=; all from first up to seq - 1 were acknowledged
 *   gone   the device is gone while seq was being written (pending=1) or between two writes
 *   stop   SIGTERM; all from first up to seq - 1 were acknowledged
 *   full   there is no room for seq
 *   taken  a file system is on the volume, so nothing is written to it
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SECTOR = 512, WINDOW = 2048, NAME = 64, LINE = 400, DEVICES = 26 };

static const long long INTERVAL_MS = 100;
static const long long STALE_MS = 3000;
static const long long CLOCK_PAUSE_MS = 5000;
/* How exactly the moment of a step has to be known. */
static const long long CLOCK_DOUBT_MS = 40;
static const char STATES[] = "/run/recorder";

struct target {
    char path[256];   /* device or file */
    char device[NAME]; /* name in /sys/block; empty for a file */
    char sequence[NAME]; /* the kernel's number of this attachment of the device */
    char volume[NAME]; /* what the reports call it */
    long long room;   /* in records; -1 without a limit */
};

struct session {
    int fd;
    long long first, seq; /* first number of this session, number of the next record */
    long long slowest;    /* milliseconds, since the last report */
    int state;            /* of the file for the health check */
};

static char by[NAME] = "unknown", boot[NAME] = "unknown";
static int report_every = 10;
static volatile sig_atomic_t must_stop;

static void on_term(int number) { (void)number; must_stop = 1; }

static long long now_ms(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static uint32_t crc32(const char *data, size_t length) {
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < length; i++) {
        crc ^= (unsigned char)data[i];
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xedb88320u & -(crc & 1));
    }
    return ~crc;
}

/* Read the first line of a file; an empty text when there is none. */
static void read_line(const char *path, char *text, size_t size) {
    text[0] = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t length = read(fd, text, size - 1);
    close(fd);
    text[length > 0 ? length : 0] = 0;
    text[strcspn(text, "\n")] = 0;
}

static void read_block(const char *device, const char *name, char *text, size_t size) {
    char path[256];
    snprintf(path, sizeof path, "/sys/block/%.63s/%s", device, name);
    read_line(path, text, size);
}

static void report(const struct target *target, const char *event, const char *format, ...) {
    char line[LINE];
    int length = snprintf(line, sizeof line, "HACON by=%s boot=%s vol=%s event=%s ", by, boot,
                          target->volume, event);
    va_list values;
    va_start(values, format);
    length += vsnprintf(line + length, sizeof line - length, format, values);
    va_end(values);
    length += snprintf(line + length, sizeof line - length, " t=%lld", now_ms(CLOCK_REALTIME));
    uint32_t crc = crc32(line, length);
    length += snprintf(line + length, sizeof line - length, " crc=%08x\n", crc);
    /* One call, so that the lines of several recorders do not mix. A full console is no reason
     * to stop. */
    if (write(STDOUT_FILENO, line, length) < 0) return;
}

static void format_record(char *sector, long long seq) {
    memset(sector, ' ', SECTOR);
    int length = snprintf(sector, SECTOR, "HAREC seq=%lld by=%s boot=%s up=%lld t=%lld", seq, by,
                          boot, now_ms(CLOCK_BOOTTIME), now_ms(CLOCK_REALTIME));
    length += snprintf(sector + length, SECTOR - length, " crc=%08x", crc32(sector, length));
    sector[length] = ' ';
    sector[SECTOR - 1] = '\n';
}

static int is_good(const char *sector, long long seq) {
    char start[NAME];
    int length = snprintf(start, sizeof start, "HAREC seq=%lld ", seq);
    if (memcmp(sector, start, length)) return 0;
    const char *mark = memmem(sector, SECTOR, " crc=", 5);
    if (!mark || mark + 13 > sector + SECTOR) return 0;
    char wanted[16];
    snprintf(wanted, sizeof wanted, "%08x", crc32(sector, mark - sector));
    return !memcmp(mark + 5, wanted, 8);
}

static int is_there(const struct target *target) {
    char sequence[NAME];
    if (!target->device[0]) return 1;
    read_block(target->device, "diskseq", sequence, sizeof sequence);
    return !strcmp(sequence, target->sequence);
}

/* Leave a word for the health check. */
static void set_state(struct session *session, const char *word) {
    char text[128];
    int length = snprintf(text, sizeof text, "%s %lld %lld\n", word, session->seq,
                          now_ms(CLOCK_BOOTTIME));
    if (session->state >= 0 && pwrite(session->state, text, length, 0) == length)
        if (ftruncate(session->state, length)) return;
}

static void state_path(const struct target *target, char *path, size_t size) {
    const char *name = target->device[0] ? target->device : "file";
    snprintf(path, size, "%s/%s", STATES, name);
}

/* End this recorder: its device is gone or it was asked to. */
static void finish(struct target *target, struct session *session, const char *event,
                   int pending) {
    char path[256];
    report(target, event, "first=%lld seq=%lld pending=%d", session->first, session->seq, pending);
    state_path(target, path, sizeof path);
    unlink(path);
    exit(0);
}

/* Return how many sectors were read into the window; end when the device is gone. */
static long long read_window(struct target *target, struct session *session, char *window,
                             long long from, long long count) {
    for (;;) {
        ssize_t length = pread(session->fd, window, count * SECTOR, from * SECTOR);
        if (length >= 0) return length / SECTOR;
        report(target, "err", "first=-1 seq=%lld op=read errno=%d", from, errno);
        set_state(session, "failing");
        if (!is_there(target)) finish(target, session, "gone", 0);
        if (must_stop) finish(target, session, "stop", 0);
        usleep(INTERVAL_MS * 1000);
    }
}

/* Find the number after the last good record: by halves, then by reading on, since a record in
 * the middle may be bad. */
static long long find_next(struct target *target, struct session *session) {
    char *window = aligned_alloc(4096, WINDOW * SECTOR);
    long long good = -1, bad = 0;
    if (!window) exit(1);
    for (bad = 0; read_window(target, session, window, bad, 1) && is_good(window, bad);) {
        good = bad;
        bad = bad ? bad * 2 : 1;
    }
    while (bad - good > 1) {
        long long middle = good + (bad - good) / 2;
        int is_middle = read_window(target, session, window, middle, 1) &&
                        is_good(window, middle);
        *(is_middle ? &good : &bad) = middle;
    }
    for (int found = 1; found;) {
        long long from = good + 1;
        long long count = read_window(target, session, window, from, WINDOW);
        found = 0;
        for (long long i = 0; i < count; i++)
            if (is_good(window + i * SECTOR, from + i)) good = from + i, found = 1;
    }
    free(window);
    return good + 1;
}

/* Write one record, as often as it takes. */
static void write_record(struct target *target, struct session *session, char *sector) {
    for (long long tries = 1;; tries++) {
        long long began = now_ms(CLOCK_BOOTTIME);
        errno = 0;
        format_record(sector, session->seq);
        ssize_t length = pwrite(session->fd, sector, SECTOR, session->seq * SECTOR);
        if (length == SECTOR && !target->device[0] && fsync(session->fd)) length = -1;
        int number = errno;
        long long took = now_ms(CLOCK_BOOTTIME) - began;
        if (took > session->slowest) session->slowest = took;
        if (length == SECTOR) return;
        set_state(session, "failing");
        if (!is_there(target)) finish(target, session, "gone", 1);
        report(target, "err", "first=%lld seq=%lld op=write errno=%d tries=%lld took=%lld",
               session->first, session->seq, number, tries, took);
        if (must_stop) finish(target, session, "stop", 1);
        usleep(INTERVAL_MS * 1000);
    }
}

static void wait_until(long long when) {
    struct timespec moment = {when / 1000, when % 1000 * 1000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, NULL);
}

/* Write until the target is gone or SIGTERM comes; never returns. */
static void record(struct target *target, int flags) {
    struct session session = {.fd = -1, .first = -1, .seq = -1, .state = -1};
    char path[256], *sector = aligned_alloc(4096, 4096);
    if (!sector) exit(1);
    mkdir(STATES, 0755);
    state_path(target, path, sizeof path);
    session.state = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    set_state(&session, "starting");
    while ((session.fd = open(target->path, O_RDWR | O_CLOEXEC | flags, 0644)) < 0) {
        report(target, "err", "first=-1 seq=-1 op=open errno=%d", errno);
        if (!is_there(target)) finish(target, &session, "gone", 0);
        if (must_stop) finish(target, &session, "stop", 0);
        usleep(INTERVAL_MS * 1000);
    }
    session.first = session.seq = find_next(target, &session);
    report(target, "start", "first=%lld seq=%lld", session.first, session.seq);
    long long next = now_ms(CLOCK_MONOTONIC);
    for (;;) {
        if (target->room >= 0 && session.seq >= target->room) {
            report(target, "full", "first=%lld seq=%lld", session.first, session.seq);
            for (; !must_stop && is_there(target);) sleep(1);
        } else {
            write_record(target, &session, sector);
            set_state(&session, "writing");
            long long done = ++session.seq - session.first;
            if (done == 1 || session.seq % report_every == 0) {
                report(target, "ack", "first=%lld seq=%lld slowest=%lld", session.first,
                       session.seq - 1, session.slowest);
                session.slowest = 0;
            }
        }
        if (must_stop) finish(target, &session, "stop", 0);
        if (!is_there(target)) finish(target, &session, "gone", 0);
        long long now = now_ms(CLOCK_MONOTONIC);
        next = next + INTERVAL_MS > now ? next + INTERVAL_MS : now;
        wait_until(next);
    }
}

/* Return what else than records is on a device: the type of a file system, with which it can be
 * mounted, or NULL. It is read past the page cache: reading through it would let a write of the
 * recorder fail that comes at the same time. */
static const char *type_on(const char *path, int *is_config_drive) {
    static char start[36864] __attribute__((aligned(4096)));
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
    memset(start, 0, sizeof start);
    ssize_t length = fd < 0 ? -1 : read(fd, start, sizeof start);
    if (fd >= 0) close(fd);
    if (length < 0) return NULL;
    *is_config_drive = 1;
    if (!memcmp(start + 32769, "CD001", 5)) {
        *is_config_drive = !strncasecmp(start + 32808, "config-2", 8);
        return "iso9660";
    }
    if (!memcmp(start + 54, "FAT", 3) || !memcmp(start + 82, "FAT", 3)) {
        *is_config_drive = !strncasecmp(start + (start[54] == 'F' ? 43 : 71), "config-2", 8);
        return "vfat";
    }
    *is_config_drive = 0;
    return memcmp(start + 1080, "\x53\xef", 2) ? NULL : "ext4";
}

/* Print where the config drive is, and its type. */
static int find_config_drive(void) {
    char path[NAME] = "/dev/sr0";
    for (char letter = 'a'; letter <= 'z'; letter++) {
        int is_config_drive = 0;
        const char *type = type_on(path, &is_config_drive);
        if (type && is_config_drive) return printf("%s %s\n", path, type) < 0;
        snprintf(path, sizeof path, "/dev/vd%c", letter);
    }
    return 1;
}

/* Fill in what is known of an attached device. Return 0 when it is none of ours. */
static int look_at(const char *name, struct target *target) {
    char text[NAME];
    memset(target, 0, sizeof *target);
    if (strncmp(name, "vd", 2) || !strcmp(name, "vda")) return 0;
    snprintf(target->device, sizeof target->device, "%.60s", name);
    snprintf(target->path, sizeof target->path, "/dev/%.60s", name);
    read_block(name, "diskseq", target->sequence, sizeof target->sequence);
    read_block(name, "serial", target->volume, sizeof target->volume);
    if (!target->volume[0]) snprintf(target->volume, sizeof target->volume, "%.60s", name);
    read_block(name, "ro", text, sizeof text);
    if (!target->sequence[0] || text[0] != '0') return 0;
    read_block(name, "size", text, sizeof text);
    target->room = atoll(text);
    return target->room > 0;
}

/* Start a recorder for each device that is new, for ever. */
static void record_volumes(void) {
    static char known[DEVICES][NAME];
    int turn = 0;
    for (;; usleep(INTERVAL_MS * 1000)) {
        struct dirent *entry;
        DIR *folder = opendir("/sys/block");
        while (folder && (entry = readdir(folder))) {
            struct target target;
            int is_known = 0;
            if (!look_at(entry->d_name, &target)) continue;
            for (int i = 0; i < DEVICES; i++) is_known |= !strcmp(known[i], target.sequence);
            if (is_known || access(target.path, F_OK)) continue;
            strcpy(known[turn++ % DEVICES], target.sequence);
            int is_config_drive;
            if (type_on(target.path, &is_config_drive)) {
                report(&target, "taken", "first=-1 seq=-1");
            } else if (!fork()) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                record(&target, O_DIRECT | O_SYNC);
            }
        }
        if (folder) closedir(folder);
        while (waitpid(-1, NULL, WNOHANG) > 0) continue;
    }
}

/* Answer as a CGI program: what each recorder last said, and whether that is well. */
static int answer(int must_write) {
    struct dirent *entry;
    char lines[2048] = "", path[300], text[128], word[32];
    int volumes = 0, failing = 0;
    long long seq, when, now = now_ms(CLOCK_BOOTTIME);
    DIR *folder = opendir(STATES);
    while (folder && (entry = readdir(folder))) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", STATES, entry->d_name);
        read_line(path, text, sizeof text);
        if (sscanf(text, "%31s %lld %lld", word, &seq, &when) != 3) continue;
        int is_well = !strcmp(word, "writing") && now - when < STALE_MS;
        volumes++;
        failing += !is_well;
        size_t used = strlen(lines);
        snprintf(lines + used, sizeof lines - used, "%s=%s seq=%lld age=%lld\n", entry->d_name,
                 is_well ? "writing" : "failing", seq, now - when);
    }
    int is_well = !failing && (volumes || !must_write);
    printf("HTTP/1.0 %s\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n",
           is_well ? "200 OK" : "503 Service Unavailable");
    printf("by=%s boot=%s volumes=%d failing=%d now=%lld\n%s", by, boot, volumes, failing,
           now_ms(CLOCK_REALTIME), lines);
    return 0;
}

/* Return the firmware's clock in seconds since 1970. */
static long long read_firmware_clock(int fd) {
    struct rtc_time read = {0};
    if (ioctl(fd, RTC_RD_TIME, &read)) return -1;
    struct tm parts = {.tm_sec = read.tm_sec, .tm_min = read.tm_min, .tm_hour = read.tm_hour,
                       .tm_mday = read.tm_mday, .tm_mon = read.tm_mon, .tm_year = read.tm_year};
    return timegm(&parts);
}

/* Keep the clock with the firmware's. On an emulated processor that gets little time, the kernel
 * measures its own clock's speed wrongly by up to some percent; the firmware's runs with the
 * host's. It counts whole seconds, so what is looked for is the moment at which it steps. */
static void keep_clock(void) {
    for (;; usleep(CLOCK_PAUSE_MS * 1000)) {
        int fd = open("/dev/rtc0", O_RDONLY | O_CLOEXEC);
        long long first = fd < 0 ? -1 : read_firmware_clock(fd), seconds = first, last = 0;
        while (seconds == first && first >= 0) {
            last = now_ms(CLOCK_MONOTONIC);
            usleep(5000);
            seconds = read_firmware_clock(fd);
        }
        if (fd >= 0) close(fd);
        long long doubt = now_ms(CLOCK_MONOTONIC) - last;
        if (seconds < 0 || doubt > CLOCK_DOUBT_MS) continue;
        long long ahead = now_ms(CLOCK_REALTIME) - seconds * 1000;
        struct timeval moment = {seconds, doubt / 2 * 1000};
        if (llabs(ahead) > CLOCK_DOUBT_MS && settimeofday(&moment, NULL)) perror("clock");
    }
}

/* Learn who this guest is, and how often it is to report. */
static void learn(void) {
    char text[512], *found;
    read_line("/sys/class/dmi/id/product_uuid", text, sizeof text);
    for (char *letter = text; *letter; letter++)
        if (*letter >= 'A' && *letter <= 'F') *letter += 'a' - 'A';
    if (text[0]) snprintf(by, sizeof by, "%.63s", text);
    read_line("/proc/sys/kernel/random/boot_id", text, sizeof text);
    if (text[0]) snprintf(boot, sizeof boot, "%.8s", text);
    read_line("/proc/cmdline", text, sizeof text);
    if ((found = strstr(text, "guest.report="))) report_every = atoi(strchr(found, '=') + 1);
    if (report_every < 1) report_every = 1;
}

int main(int count, char **words) {
    const char *mode = count > 1 ? words[1] : "";
    struct sigaction action = {.sa_handler = on_term};
    learn();
    if (!strcmp(mode, "health")) return answer(0);
    if (!strcmp(mode, "writing")) return answer(1);
    if (!strcmp(mode, "clock")) keep_clock();
    if (!strcmp(mode, "config-drive")) return find_config_drive();
    if (!strcmp(mode, "volumes")) record_volumes();
    if (!strcmp(mode, "file") && count == 4) {
        struct target target = {.room = -1};
        snprintf(target.path, sizeof target.path, "%s", words[2]);
        snprintf(target.volume, sizeof target.volume, "%.60s", words[3]);
        sigaction(SIGTERM, &action, NULL);
        record(&target, O_CREAT);
    }
    fprintf(stderr, "usage: recorder volumes | file PATH NAME | health | writing | clock | config-drive\n");
    return 2;
}
