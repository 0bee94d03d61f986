/* CPU time of libmodsecurity with Debian's CRS on whole requests: `modsecurity ROUNDS FILE…`.
 * Each file holds one raw request; each line of output is its mean and its 99th percentile in
 * microseconds. Every phase of the request is run, the response is not. */
#define _GNU_SOURCE
#include <modsecurity/modsecurity.h>
#include <modsecurity/rules_set.h>
#include <modsecurity/transaction.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *RULES =
    "SecRuleEngine On\nSecRequestBodyAccess On\nSecAuditEngine Off\nSecPcreMatchLimit 100000\n"
    "SecRule REQUEST_HEADERS:Content-Type \"^application/json\" "
    "\"id:1,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"\n"
    "Include /etc/modsecurity/crs/crs-setup.conf\n"
    "Include /usr/share/modsecurity-crs/rules/*.conf\n";

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void quiet(void *data, const void *message) { (void)data; (void)message; }

static int by_size(const void *a, const void *b) {
    double d = *(const double *)a - *(const double *)b;
    return (d > 0) - (d < 0);
}

static void once(ModSecurity *engine, RulesSet *rules, const char *raw, size_t len) {
    char *head = strndup(raw, len), *save = NULL;
    char *end = strstr(head, "\r\n\r\n");
    const char *body = end ? raw + (end - head) + 4 : raw + len;
    if (end) *end = 0;
    Transaction *t = msc_new_transaction(engine, rules, NULL);
    msc_process_connection(t, "203.0.113.7", 40000, "203.0.113.1", 80);
    char *line = strtok_r(head, "\r\n", &save);
    char *target = line ? strchr(line, ' ') : NULL;
    if (target) {
        *target++ = 0;
        char *version = strrchr(target, ' ');
        if (version) *version = 0;
        msc_process_uri(t, target, line, "1.1");
    }
    while ((line = strtok_r(NULL, "\r\n", &save))) {
        char *colon = strchr(line, ':');
        if (!colon) continue;
        *colon++ = 0;
        while (*colon == ' ') colon++;
        msc_add_request_header(t, (const unsigned char *)line, (const unsigned char *)colon);
    }
    msc_process_request_headers(t);
    if (body < raw + len) msc_append_request_body(t, (const unsigned char *)body, raw + len - body);
    msc_process_request_body(t);
    msc_transaction_cleanup(t);
    free(head);
}

int main(int count, char **words) {
    const char *error = NULL;
    ModSecurity *engine = msc_init();
    RulesSet *rules = msc_create_rules_set();
    msc_set_log_cb(engine, quiet);
    if (count < 3 || msc_rules_add(rules, RULES, &error) < 0) {
        fprintf(stderr, "%s\n", error ? error : "ROUNDS FILE…");
        return 1;
    }
    int rounds = atoi(words[1]);
    if (rounds < 1) return 1;
    double *times = calloc(rounds, sizeof *times);
    for (int at = 2; at < count; at++) {
        FILE *file = fopen(words[at], "rb");
        static char raw[1 << 20];
        if (!file) return 1;
        size_t len = fread(raw, 1, sizeof raw, file);
        fclose(file);
        double sum = 0;
        once(engine, rules, raw, len);
        for (int round = 0; round < rounds; round++) {
            double start = now_us();
            once(engine, rules, raw, len);
            times[round] = now_us() - start;
            sum += times[round];
        }
        qsort(times, rounds, sizeof *times, by_size);
        printf("%.1f %.1f\n", sum / rounds, times[rounds * 99 / 100]);
        fflush(stdout);
    }
    return 0;
}
