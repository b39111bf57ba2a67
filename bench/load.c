/* The load generator: drives one server from one core, and prints what it measured as JSON.
 *
 *     load echo --port PORT --messages FILE --connections 100 --in-flight 16 ...
 *     load --help
 *
 * What lives here: the options, the workloads, the clocks. It is meant to be faster than whatever
 * it measures: one epoll loop, frames masked and compressed in advance, one recv and one send for
 * all messages of a read. All messages are compared with what was sent before the clock starts;
 * afterwards they are counted, and opcodes and sizes are checked. After the last the server must
 * have answered each message, or the run fails.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "load.h"

enum { EVENTS = 256, OPENING = 64, DRAIN_SECONDS = 30 };
enum { CHECKED = 16, CHECKED_SIZE = 1 << 18 }; /* on each connection: messages, octets */
enum { STEPS = 32, BUCKETS = 64 * STEPS }; /* of the histogram: 32 to each power of two */

struct options options = {.host = "127.0.0.1",
                          .path = "/",
                          .connections = 1,
                          .in_flight = 1,
                          .warmup = 0.5,
                          .seconds = 2};

static uint64_t histogram[BUCKETS], worst;
static uint64_t asked, answered; /* messages, or publishes and deliveries, or handshakes */
static unsigned opened, to_check;
static struct client *publisher; /* the last that was opened: every other is known by then */
static bool wanted; /* something is to be read from stdin */
static bool stopping, checking, pacing, publishing, shaking, idle;

/* Latencies, in nanoseconds */

static void note(uint64_t latency)
{
    unsigned power = latency < STEPS ? 0 : 63 - (unsigned)__builtin_clzll(latency) - 4;
    uint64_t bucket = power ? power * STEPS + ((latency >> (power - 1)) - STEPS) : latency;
    histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    if (latency > worst)
        worst = latency;
}

static double percentile(double share)
{
    uint64_t total = 0, seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++)
        total += histogram[i];
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += histogram[i];
        if (seen && (double)seen >= share * (double)total) {
            unsigned power = i / STEPS;
            double low = power ? ldexp(i % STEPS + STEPS, (int)power - 1) : i;
            double width = power ? ldexp(1, (int)power - 1) : 1;
            return (low + width / 2) / 1000;
        }
    }
    return 0;
}

/* What the events lead to */

static void publish(void)
{
    asked++;
    queue(publisher, 1);
    flush(publisher);
}

static void messages_came(struct client *c, unsigned count)
{
    uint64_t now = nanoseconds(CLOCK_MONOTONIC);
    answered += count;
    if (publishing) {
        if (answered == asked * options.connections) {
            while (publisher->sent_count) {
                note(now - publisher->sent[publisher->sent_first]);
                publisher->sent_first = (publisher->sent_first + 1) % options.in_flight;
                publisher->sent_count--;
            }
            if (!stopping)
                for (unsigned i = 0; i < options.in_flight; i++)
                    publish();
        }
        return;
    }
    if (count > c->sent_count)
        die("load: more came back on connection %u than was sent", c->number);
    for (unsigned i = 0; i < count; i++) {
        note(now - c->sent[c->sent_first]);
        c->sent_first = c->sent_first + 1 == options.in_flight ? 0 : c->sent_first + 1;
        c->sent_count--;
    }
    if (checking && c->received + c->sent_count >= to_check)
        return;
    if (!stopping && !pacing) {
        asked += count;
        queue(c, count);
        flush(c);
    }
}

static void opening_event(struct client *c, uint32_t events)
{
    if (c->state == CLOSING) {
        if (receive_close(c)) {
            answered++;
            note(nanoseconds(CLOCK_MONOTONIC) - c->sent[0]);
            opened--;
            if (stopping) {
                close(c->fd);
            } else {
                asked++;
                restart(c);
                c->sent[0] = nanoseconds(CLOCK_MONOTONIC);
            }
        }
        return;
    }
    advance(c, events);
    if (c->state == OPEN) {
        opened++;
        publisher = c;
        if (shaking)
            send_close(c);
    }
}

static void turn(int milliseconds)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll, events, EVENTS, milliseconds);
    if (count < 0 && errno != EINTR)
        die("load: epoll_wait: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        struct client *c = events[i].data.ptr;
        if (!c) {
            wanted = true;
            continue;
        }
        if (c->state != OPEN) {
            opening_event(c, events[i].events);
            continue;
        }
        if (events[i].events & EPOLLOUT)
            flush(c);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
            unsigned messages = receive(c);
            if (messages)
                messages_came(c, messages);
        }
    }
}

/* Opens connections up to `count`, a few at a time: the servers' backlogs are short. */
static void open_connections(unsigned from, unsigned count)
{
    unsigned started = from;
    uint64_t patience = nanoseconds(CLOCK_MONOTONIC) + 120ull * 1000000000;
    while (opened < count) {
        while (started < count && started - opened < OPENING)
            start(&clients[started], started), started++;
        turn(1000);
        if (nanoseconds(CLOCK_MONOTONIC) > patience)
            die("load: after two minutes %u of %u connections are open", opened, count);
    }
}

/* Waits for all answers; dies when they do not come. */
static void drain(const char *what)
{
    uint64_t each = publishing ? options.connections : 1;
    uint64_t last = answered, since = nanoseconds(CLOCK_MONOTONIC);
    while (answered < asked * each) {
        turn(1000);
        uint64_t now = nanoseconds(CLOCK_MONOTONIC);
        if (answered != last)
            last = answered, since = now;
        else if (now - since > DRAIN_SECONDS * 1000000000ull)
            die("load: %s: %llu of %llu answers never came", what,
                (unsigned long long)(asked * each - answered), (unsigned long long)(asked * each));
    }
    if (answered > asked * each)
        die("load: %s: more came back than was sent", what);
}

/* The first messages of every connection, compared octet by octet. */
static void check(unsigned from, unsigned count)
{
    size_t affordable = CHECKED_SIZE / ring.plain_size[0] + 1;
    to_check = affordable < CHECKED ? (unsigned)affordable : CHECKED;
    if (idle)
        to_check = 1;
    checking = true;
    for (unsigned i = from; i < count; i++)
        clients[i].checking = true;
    if (publishing) {
        stopping = true;
        for (unsigned i = 0; i < to_check; i++) {
            publish();
            drain("check");
        }
        stopping = false;
    } else {
        for (unsigned i = from; i < count; i++) {
            unsigned first = options.in_flight < to_check ? options.in_flight : to_check;
            asked += first;
            queue(&clients[i], first);
            flush(&clients[i]);
        }
        drain("check");
    }
    for (unsigned i = from; i < count; i++) {
        clients[i].checking = false;
        free_inflater(clients[i].inflater);
        clients[i].inflater = NULL;
    }
    checking = false;
}

static uint64_t server_cpu(void)
{
    clockid_t clock;
    if (!options.pid || clock_getcpuclockid(options.pid, &clock))
        return 0;
    return nanoseconds(clock);
}

static uint64_t own_cpu(void) { return nanoseconds(CLOCK_PROCESS_CPUTIME_ID); }

/* Runs until the given moment: one message each `interval_us`, or one for each that is back. */
static void run_until(uint64_t end)
{
    uint64_t next = nanoseconds(CLOCK_MONOTONIC);
    while (nanoseconds(CLOCK_MONOTONIC) < end) {
        if (pacing && clients[0].sent_count == 0) {
            next += options.interval_us * 1000ull;
            struct timespec moment = {(time_t)(next / 1000000000), (long)(next % 1000000000)};
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, NULL);
            asked++;
            queue(&clients[0], 1);
            flush(&clients[0]);
        }
        turn(100);
    }
}

static void begin(void)
{
    pacing = options.interval_us;
    if (shaking) {
        for (unsigned i = 0; i < options.connections; i++) {
            asked++;
            start(&clients[i], i);
            clients[i].sent[0] = nanoseconds(CLOCK_MONOTONIC);
        }
    } else if (publishing) {
        for (unsigned i = 0; i < options.in_flight; i++)
            publish();
    } else if (!pacing) {
        for (unsigned i = 0; i < options.connections; i++) {
            asked += options.in_flight;
            queue(&clients[i], options.in_flight);
            flush(&clients[i]);
        }
    }
}

static void measure(void)
{
    begin();
    run_until(nanoseconds(CLOCK_MONOTONIC) + (uint64_t)(options.warmup * 1e9));
    memset(histogram, 0, sizeof histogram);
    worst = 0;
    uint64_t start = nanoseconds(CLOCK_MONOTONIC), before = answered;
    uint64_t server = server_cpu(), own = own_cpu(), octets = octets_received;
    run_until(start + (uint64_t)(options.seconds * 1e9));
    server = server_cpu() - server;
    own = own_cpu() - own;
    octets = octets_received - octets;
    double elapsed = (double)(nanoseconds(CLOCK_MONOTONIC) - start) / 1e9;
    uint64_t done = answered - before;
    double p50 = percentile(.5), p90 = percentile(.9), p99 = percentile(.99);
    double p999 = percentile(.999), most = (double)worst / 1000;
    stopping = true;
    drain("after the measurement");
    double each = done ? 1 / (double)done : 0, busy = 1 / 1e9 / elapsed;
    printf("{\"mode\": \"%s\", \"connections\": %u, \"in_flight\": %u, \"count\": %llu, "
           "\"seconds\": %.6f, \"rate\": %.1f, \"cpu_us\": %.4f, \"octets\": %.1f, "
           "\"server_load\": %.3f, \"generator_load\": %.3f, "
           "\"latency_us\": {\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p99.9\": %.1f, "
           "\"max\": %.1f}}\n",
           options.mode, options.connections, options.in_flight, (unsigned long long)done, elapsed,
           (double)done / elapsed, (double)server / 1000 * each, (double)octets * each,
           (double)server * busy, (double)own * busy, p50, p90, p99, p999, most);
}

/* Holds connections: reads how many there shall be, opens them, says so, until stdin ends. */
static void hold(void)
{
    char line[32];
    unsigned count = 0;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event))
        die("load: stdin must be a pipe");
    setvbuf(stdin, NULL, _IONBF, 0);
    for (;;) {
        wanted = false;
        while (!wanted)
            turn(1000);
        if (!fgets(line, sizeof line, stdin))
            return;
        unsigned more = (unsigned)atoi(line);
        if (more < count || more > options.connections)
            die("load: not from %u to %u connections of %u", count, more, options.connections);
        open_connections(count, more);
        if (idle)
            check(count, more);
        count = more;
        printf("%u\n", count);
        fflush(stdout);
    }
}

static const char help[] =
    "usage: load MODE --port PORT [options]\n\n"
    "modes:\n"
    "  echo         messages that come back\n"
    "  broadcast    one connection sends, all receive; counts deliveries\n"
    "  handshakes   connect, upgrade, close, again\n"
    "  idle         hold connections, as many as a number read from stdin says\n"
    "  unused       the same, without a message on each of them first\n\n"
    "options:\n"
    "  --host ADDRESS        IPv4 (default: 127.0.0.1)\n"
    "  --path PATH           of the request (default: /)\n"
    "  --messages FILE       one message a line\n"
    "  --binary              send them as binary messages\n"
    "  --deflate             offer permessage-deflate, and compress\n"
    "  --connections N       (default: 1)\n"
    "  --in-flight M         messages under way on each connection (default: 1)\n"
    "  --interval-us US      one message at a time, each so many microseconds after the other\n"
    "  --warmup SECONDS      (default: 0.5)\n"
    "  --seconds SECONDS     (default: 2)\n"
    "  --pid PID             the server's, for its processor time\n";

static void read_options(int count, char **arguments)
{
    static const struct option known[] = {
        {"host", 1, NULL, 'h'},       {"port", 1, NULL, 'p'},      {"path", 1, NULL, 'a'},
        {"messages", 1, NULL, 'm'},   {"binary", 0, NULL, 'b'},    {"deflate", 0, NULL, 'd'},
        {"connections", 1, NULL, 'n'}, {"in-flight", 1, NULL, 'f'}, {"interval-us", 1, NULL, 'i'},
        {"warmup", 1, NULL, 'w'},     {"seconds", 1, NULL, 's'},   {"pid", 1, NULL, 'c'},
        {"help", 0, NULL, 'H'},       {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(count, arguments, "", known, NULL)) != -1) {
        switch (option) {
        case 'h': options.host = optarg; break;
        case 'p': options.port = atoi(optarg); break;
        case 'a': options.path = optarg; break;
        case 'm': options.messages = optarg; break;
        case 'b': options.binary = true; break;
        case 'd': options.deflate = true; break;
        case 'n': options.connections = (unsigned)atoi(optarg); break;
        case 'f': options.in_flight = (unsigned)atoi(optarg); break;
        case 'i': options.interval_us = (unsigned)atoi(optarg); break;
        case 'w': options.warmup = atof(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'c': options.pid = atoi(optarg); break;
        case 'H': fputs(help, stdout); exit(0);
        default: exit(1);
        }
    }
    if (optind + 1 != count)
        die("load: one mode, please; see --help");
    options.mode = arguments[optind];
    if (options.port < 1 || options.port > 65535)
        die("load: --port is 1 to 65535");
    if (!options.connections || !options.in_flight)
        die("load: --connections and --in-flight are at least 1");
    if (options.interval_us && (options.connections > 1 || options.in_flight > 1))
        die("load: --interval-us is for one connection with one message in flight");
}

int main(int count, char **arguments)
{
    struct rlimit files;
    read_options(count, arguments);
    signal(SIGPIPE, SIG_IGN); /* who has closed is found out by the error, and named */
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (options.connections + 16 > files.rlim_cur)
        die("load: %u connections, but this process may open %llu files", options.connections,
            (unsigned long long)files.rlim_cur);
    const char *mode = options.mode;
    bool unused = !strcmp(mode, "unused");
    idle = !strcmp(mode, "idle");
    publishing = !strcmp(mode, "broadcast");
    shaking = !strcmp(mode, "handshakes");
    if (!idle && !unused && !publishing && !shaking && strcmp(mode, "echo"))
        die("load: no such mode: %s", mode);
    if (options.messages)
        read_messages(options.messages);
    else if (!shaking)
        die("load: --messages, please");
    epoll = epoll_create1(0);
    clients = calloc(options.connections, sizeof *clients);
    if (idle || unused) {
        hold();
        return 0;
    }
    if (!shaking) {
        open_connections(0, options.connections);
        check(0, options.connections);
    }
    measure();
    return 0;
}
