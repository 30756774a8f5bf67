/* A service in one static file: answers every path with its version, and counts its answers.
 *
 *   answering [VERSION [EVERY]]     every EVERY-th request fails with 503 (0: none, 1: health too)
 *
 * It goes on answering for a moment after it was told to end, as the cluster still sends requests.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PORT 8080
#define LINGER 3

static void end(int number) { (void)number; _exit(0); }
static void linger(int number) { (void)number; alarm(LINGER); }

static int listening(void) {
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int one = 1, door = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(door, (struct sockaddr *)&place, sizeof place) || listen(door, 128)) exit(1);
    return door;
}

static int asked(int caller, char *text, size_t size) {
    struct timeval patience = {.tv_sec = 1};
    size_t got = 0;
    setsockopt(caller, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    while (got + 1 < size) {
        ssize_t more = read(caller, text + got, size - 1 - got);
        if (more <= 0) return 0;
        got += (size_t)more;
        text[got] = 0;
        if (strstr(text, "\r\n\r\n")) return 1;
    }
    return 0;
}

static void answer(int caller, int status, const char *body) {
    char text[1024];
    int size = snprintf(text, sizeof text,
                        "HTTP/1.1 %d %s\r\nContent-Type: text/plain; version=0.0.4\r\n"
                        "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                        status, status == 200 ? "OK" : "Service Unavailable", strlen(body), body);
    if (write(caller, text, (size_t)size) < 0) return;
}

int main(int count, char **arguments) {
    long every = count > 2 ? atol(arguments[2]) : 0, good = 0, bad = 0;
    const char *version = count > 1 ? arguments[1] : "unnamed";
    int door = listening();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, linger);
    signal(SIGALRM, end);
    for (;;) {
        char text[4096], body[512];
        int caller = accept(door, 0, 0);
        if (caller < 0) continue;
        if (asked(caller, text, sizeof text)) {
            if (!strncmp(text, "GET /metrics", 12)) {
                snprintf(body, sizeof body,
                         "http_requests_total{code=\"200\"} %ld\n"
                         "http_requests_total{code=\"503\"} %ld\n",
                         good, bad);
                answer(caller, 200, body);
            } else if (!strncmp(text, "GET /health", 11)) {
                answer(caller, every == 1 ? 503 : 200, version);
            } else if (every && (good + bad + 1) % every == 0) {
                bad++;
                answer(caller, 503, version);
            } else {
                good++;
                answer(caller, 200, version);
            }
        }
        close(caller);
    }
}
