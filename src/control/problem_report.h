/* Problems of a configuration, shown: lines for people, JSON for programs, or log lines. */
#ifndef FAUCET_CONTROL_PROBLEM_REPORT_H
#define FAUCET_CONTROL_PROBLEM_REPORT_H

#include <stdio.h>

#include "base/log.h"
#include "config/config.h"

void problem_report_print(const struct problems *p, FILE *to);
/* {"file":…,"errors":1,"warnings":0,"problems":[{"level":"error","where":…,"key":…,"message":…}]} */
void problem_report_json(const struct problems *p, const char *file, FILE *to);
void problem_report_log(const struct problems *p, struct log *log);

#endif
