# faucet: two commands do everything on a fresh Debian 12 machine.
#
#   make run     installs what it needs, builds, serves conf/faucet.yaml
#   make test    installs what it needs, runs every test
#
# Also: make, check, lint, format, bench, fuzz, install, clean. Variables:
#   SANITIZER=address   builds with AddressSanitizer and UBSan into build/address
#   PREFIX=/usr/local DESTDIR=   where `make install` puts things; SYSTEMDUNITDIR=PREFIX/lib/systemd/system
#   TELEMETRY=off       make run without a PostgreSQL of its own
#   V=1                 shows the compiler's command lines

# ---- every package, in one place -------------------------------------------------------------------------------------
PACKAGES_BUILD = gcc libc6-dev libev-dev libyaml-dev libpq-dev libhttp-parser-dev libjansson-dev libc-ares-dev
PACKAGES_RUN   = $(PACKAGES_BUILD) r-base-core r-cran-shiny r-cran-plumber r-cran-jsonlite python3-fastapi uvicorn \
                 python3-multipart python3-websockets postgresql postgresql-client
PACKAGES_TEST  = $(PACKAGES_RUN) libcmocka-dev python3-pytest python3-pytest-xdist python3-httpx python3-jsonschema \
                 python3-yaml python3-selenium chromium chromium-driver procps curl systemd \
                 python3-psycopg2 openssl pgbouncer e2fsprogs util-linux mount
PACKAGES_LINT  = $(PACKAGES_BUILD) libcmocka-dev clang clang-tidy clang-format python3
PACKAGES_BENCH = $(PACKAGES_RUN) python3-httpx python3-psycopg2 nginx-light haproxy wrk util-linux procps
PACKAGES_FUZZ  = $(PACKAGES_BUILD) clang libclang-rt-14-dev

# ---- what is built ----------------------------------------------------------------------------------------------------
VERSION   = 0.1.0
SANITIZER =
Q         = $(if $(V),,@)
PREFIX    = /usr/local
DESTDIR   =
SYSTEMDUNITDIR = $(PREFIX)/lib/systemd/system
CC        = gcc
BUILD     = build$(if $(SANITIZER),/$(SANITIZER))
FAUCET    = $(BUILD)/faucet

WARNINGS  = -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
CFLAGS    = $(if $(SANITIZER),-O1 -fsanitize=$(SANITIZER) -fsanitize=undefined -fno-sanitize-recover=undefined \
            -fno-omit-frame-pointer,-O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong) -g
# libev's headers break strict aliasing by design (ev.pod, COMPILER SUPPORT)
FAUCET_CFLAGS = -std=c11 -D_GNU_SOURCE -DFAUCET_VERSION='"$(VERSION)"' -Isrc -I/usr/include/postgresql \
                $(WARNINGS) -fno-strict-aliasing -pthread -MMD -MP
LDFLAGS   = $(if $(SANITIZER),-fsanitize=$(SANITIZER) -fsanitize=undefined,-Wl,-z,relro,-z,now)
LDLIBS    = -lev -lyaml -lhttp_parser -lpq -ljansson -lcares -lm -pthread

SOURCES   = $(shell find src -name '*.c' | LC_ALL=C sort)
OBJECTS   = $(SOURCES:%.c=$(BUILD)/%.o)
LIBRARY   = $(BUILD)/libfaucet.a
UNITS     = $(shell find tests/unit -name 'test_*.c' 2>/dev/null | LC_ALL=C sort)
UNIT_BINS = $(UNITS:%.c=$(BUILD)/%)

.PHONY: all run test check lint format bench fuzz install clean schema packages-build packages-run packages-test \
        packages-lint packages-bench packages-fuzz unit e2e
.DELETE_ON_ERROR:

all: $(FAUCET)

$(FAUCET): $(BUILD)/src/main.o $(LIBRARY)
	@echo "  LINK $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(LIBRARY): $(filter-out $(BUILD)/src/main.o,$(OBJECTS))
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC   $<"
	$(Q)$(CC) $(FAUCET_CFLAGS) $(CFLAGS) -c -o $@ $<

$(BUILD)/tests/unit/%: tests/unit/%.c $(LIBRARY)
	@mkdir -p $(@D)
	@echo "  TEST $@"
	$(Q)$(CC) $(FAUCET_CFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(LIBRARY) $(LDLIBS) -lcmocka

$(BUILD)/src/telemetry/schema_sql.o: $(wildcard sql/*.sql)

-include $(OBJECTS:.o=.d) $(UNIT_BINS:=.d)

# ---- the two commands -------------------------------------------------------------------------------------------------
JOBS := $(shell nproc 2>/dev/null || echo 2)

run: packages-run
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@exec contrib/dev/demo $(FAUCET) $(if $(filter off,$(TELEMETRY)),--no-telemetry)

test: packages-test
	@$(MAKE) --no-print-directory -j$(JOBS) all $(UNIT_BINS)
	@tests/run --faucet $(FAUCET) --units "$(UNIT_BINS)"

# ---- for developers ----------------------------------------------------------------------------------------------------
check: all $(UNIT_BINS)
	@tests/run --units "$(UNIT_BINS)" --units-only

lint: packages-lint
	@contrib/dev/lint

format:
	clang-format -i $$(git ls-files 'src/*.[ch]' 'tests/unit/*.[ch]' | grep -v miniobj.h)

schema: $(FAUCET)
	$(FAUCET) schema > schemas/faucet.schema.json
	$(FAUCET) schema --markdown > docs/settings.md

bench: packages-bench
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@tests/bench/run --faucet $(FAUCET) $(BENCH)

fuzz: packages-fuzz
	@contrib/dev/fuzz $(FUZZ)

install: all
	install -D -m 755 $(FAUCET) $(DESTDIR)$(PREFIX)/bin/faucet
	install -D -m 644 schemas/faucet.schema.json $(DESTDIR)$(PREFIX)/share/faucet/faucet.schema.json
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/faucet/sql sql/*.sql
	install -D -m 644 conf/example.yaml $(DESTDIR)$(PREFIX)/share/doc/faucet/example.yaml
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/faucet README.md docs/*.md contrib/systemd/notify-reload.conf
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/faucet/es docs/es/*.md
	install -d -m 755 $(DESTDIR)$(SYSTEMDUNITDIR)
	for unit in faucet.service faucet.socket; do \
	    sed 's|/usr/local/|$(PREFIX)/|g' contrib/systemd/$$unit > $(DESTDIR)$(SYSTEMDUNITDIR)/$$unit && \
	    chmod 644 $(DESTDIR)$(SYSTEMDUNITDIR)/$$unit || exit 1; \
	done

clean:
	@[ ! -e build/demo/server ] || contrib/dev/demo --clean
	rm -rf build

# Installs what is missing, and asks the package manager nothing when all is there.
define install_packages
	@missing=$$(for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	    echo "installing:" $$missing; \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; } \
	        > /tmp/faucet-packages.log 2>&1 || { tail -20 /tmp/faucet-packages.log; exit 1; }; \
	fi
endef
packages-build: ; $(call install_packages,$(PACKAGES_BUILD))
packages-run:   ; $(call install_packages,$(PACKAGES_RUN))
packages-test:  ; $(call install_packages,$(PACKAGES_TEST))
packages-lint:  ; $(call install_packages,$(PACKAGES_LINT))
packages-bench: ; $(call install_packages,$(PACKAGES_BENCH))
packages-fuzz:  ; $(call install_packages,$(PACKAGES_FUZZ))
