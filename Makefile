# SPDX-License-Identifier: MIT
# nauha. `make demo` and `make test` need nothing else; `make help` lists the rest.
#
#   CONFIG=release|asan|tsan   what to build (objects under build/CONFIG/)
#   CC= CXX=                   compilers
#   CPPFLAGS= CFLAGS= CXXFLAGS= LDFLAGS= LDLIBS= CFLAGS_EXTRA=
#                              further flags, behind those of this file (CI adds -Werror to C and C++)
#   LIBTORCH=DIR|python        another libtorch than the distribution's

MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

CONFIG ?= release
LIBTORCH ?=
PREFIX ?= /usr/local
DESTDIR ?=
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
DOCDIR ?= $(DATADIR)/doc/nauha
OWNDIR := $(PREFIX)/lib/nauha
from_prefix = $(patsubst $(PREFIX)/%,$${prefix}/%,$(1))
PYTHON ?= $(or $(wildcard /usr/bin/python3),python3)
ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := g++
endif

VERSION := $(shell cat VERSION)
# What the names of the shared libraries end in: another one wherever a program has to be linked
# again, which is with each major version, and before 1.0 with each minor one.
VERSION_PARTS := $(subst ., ,$(VERSION))
SOVERSION := $(if $(filter 0,$(firstword $(VERSION_PARTS))),0.$(word 2,$(VERSION_PARTS)),$(firstword $(VERSION_PARTS)))
B := build/$(CONFIG)
# The release program stands at build/nauha, where README.md says it is.
OUT := $(if $(filter release,$(CONFIG)),build,$(B))

# ---- what is built ----

CORE_SRC := $(wildcard recorder/core/*.c recorder/core/*/*.c)
RECORDER_SRC := $(wildcard recorder/*.c)
# From replay/sinks/tensorboard.proto, by protoc-c.
GENERATED := build/generated
PROTO_SRC := $(GENERATED)/replay/sinks/tensorboard.pb-c.c
REPLAY_SRC := $(wildcard replay/*/*.c) $(PROTO_SRC)
ANALYZERS_SRC := $(wildcard analyzers/*.c analyzers/metrics/*.c analyzers/rules/*.c)
LINALG_SRC := $(wildcard analyzers/linalg/*.c)
TOOLS_SRC := $(wildcard tools/cli/*.c tools/commands/*.c tools/report/*.c)
# What a report's page has built in.
REPORT_ASSETS := tools/report/report.css tools/report/report.js
TRAIN_SRC := $(wildcard tools/train/*.cpp)
MODEL_SRC := $(wildcard tools/model/*.cpp)
UNIT_SRC := $(wildcard tests/unit/test_*.c)
UNIT_TORCH_SRC := $(wildcard tests/unit/test_*.cpp)
# Libraries to preload, and programs.
TEST_PRELOAD_SRC := tests/tools/power_loss.c tests/tools/hasty_clock.c tests/tools/slow_disk.c
TEST_TOOLS_SRC := $(filter-out $(TEST_PRELOAD_SRC),$(wildcard tests/tools/*.c))
BENCH_SRC := $(wildcard tests/bench/*.c)
FAST_SRC := $(wildcard tools/python/fast/*.c)

obj = $(patsubst %,$(B)/%.o,$(1))
CORE_OBJ := $(call obj,$(CORE_SRC))
RECORDER_OBJ := $(call obj,$(RECORDER_SRC))
REPLAY_OBJ := $(call obj,$(REPLAY_SRC))
ANALYZERS_OBJ := $(call obj,$(ANALYZERS_SRC))
LINALG_OBJ := $(call obj,$(LINALG_SRC))
TOOLS_OBJ := $(call obj,$(TOOLS_SRC)) $(patsubst %,$(B)/%.c.o,$(REPORT_ASSETS))
TRAIN_OBJ := $(call obj,$(TRAIN_SRC))
MODEL_OBJ := $(call obj,$(MODEL_SRC) tools/train/datasets.cpp tools/train/models.cpp)
LIBRARY_OBJ := $(CORE_OBJ) $(RECORDER_OBJ) $(REPLAY_OBJ) $(ANALYZERS_OBJ)

UNIT_BIN := $(patsubst %.c,$(B)/%,$(UNIT_SRC))
UNIT_TORCH_BIN := $(patsubst %.cpp,$(B)/%,$(UNIT_TORCH_SRC))
TEST_TOOLS_BIN := $(patsubst %.c,$(B)/%,$(TEST_TOOLS_SRC))
TEST_PRELOAD := $(patsubst %.c,$(B)/%.so,$(TEST_PRELOAD_SRC))
BENCH_BIN := $(patsubst %.c,$(B)/%,$(BENCH_SRC))
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN := $(patsubst %.c,build/fuzz/%,$(FUZZ_SRC))

PROGRAM := $(OUT)/nauha
TRAIN := $(OUT)/nauha_train.so
MODEL := $(OUT)/nauha_model.so
MPI := $(OUT)/nauha_mpi.so
# What needs OpenBLAS, loaded by the metrics that do.
LINALG := $(OUT)/nauha_linalg.so
RECORDER_LIB := $(OUT)/libnauha-recorder.so
REPLAY_LIB := $(OUT)/libnauha-replay.so
# What the Python package does for every message, for any Python 3 and any PyTorch.
FAST := $(OUT)/nauha_fast.so
# All of it in one library: what the Python package loads.
LIBRARY := $(OUT)/libnauha.so
# One HDF5 filter in each.
H5_PLUGINS := $(patsubst recorder/hdf5-filters/%.c,$(OUT)/plugins/libnauha_%.so,$(wildcard recorder/hdf5-filters/*.c))

# ---- flags ----

# What there is to build with is looked for by each make, and never kept in a file: what is installed
# or removed between two of them is noticed by the second. It takes some milliseconds.
PACKAGES := hdf5 libzstd liblz4 libxxhash libcjson libprotobuf-c
pkg = $(shell pkg-config $(1) 2>/dev/null)
pkg_cflags = $(patsubst -I%,-isystem %,$(call pkg,--cflags $(1)))
PKG_CFLAGS := $(call pkg_cflags,$(PACKAGES))
PKG_LIBS := $(call pkg,--libs $(PACKAGES))

# Only nauha_mpi.so needs MPI, and is built where there is Open MPI.
MPI_SRC := $(wildcard tools/mpi/*.c)
MPI_FOUND := $(call pkg,--modversion ompi-c)
MPI_CFLAGS := $(if $(MPI_FOUND),$(call pkg_cflags,ompi-c))
MPI_LIBS := $(if $(MPI_FOUND),$(call pkg,--libs ompi-c))

# Only nauha_fast.so needs the headers of Python. PYTHON_CFLAGS= names others.
ifeq ($(origin PYTHON_CFLAGS),undefined)
PYTHON_CFLAGS := $(call pkg_cflags,python3)
endif

# OpenBLAS: where there is one, the static library, so that nothing of it meets the BLAS of the
# program we are loaded into (Debian, Ubuntu); else the shared one. The variant with threads: that
# without may not be called from two threads at a time. module.c answers how many threads it makes.
# OPENBLAS_LIBS= OPENBLAS_CFLAGS= name another one.
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
OPENBLAS_STATIC := $(wildcard /usr/lib/$(MULTIARCH)/openblas-pthread/libopenblas.a)
ifeq ($(origin OPENBLAS_LIBS),undefined)
ifneq ($(OPENBLAS_STATIC),)
OPENBLAS_LIBS := $(OPENBLAS_STATIC) -l:libgfortran.so.5 -Wl,--exclude-libs,ALL \
    -Wl,--wrap=openblas_num_threads_env
OPENBLAS_CFLAGS ?= -isystem /usr/include/$(MULTIARCH)/openblas-pthread
OPENBLAS_VERSION := $(shell stat -L -c %Y-%s $(OPENBLAS_STATIC))
else
OPENBLAS_LIBS := $(call pkg,--libs openblas)
OPENBLAS_VERSION := $(call pkg,--modversion openblas)
ifeq ($(origin OPENBLAS_CFLAGS),undefined)
OPENBLAS_CFLAGS := $(call pkg_cflags,openblas)
endif
endif
endif

# libtorch: TORCH_FOUND, TORCH_CXXFLAGS, TORCH_LIBS and TORCH_VERSION, or none of them.
define newline


endef
ifneq ($(filter-out deps help clean test-fresh check check-%,$(or $(MAKECMDGOALS),all)),)
TORCH := $(shell tools/dev/find-libtorch.sh $(LIBTORCH) || echo FAILED)
$(if $(findstring FAILED,$(TORCH)),$(error LIBTORCH=$(LIBTORCH) names no libtorch))
$(eval $(subst ;,$(newline),$(TORCH)))
endif

WARNINGS := -Wall -Wextra -Wconversion -Wshadow
SANITIZE_asan := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SANITIZE_tsan := -fsanitize=thread
SANITIZE := $(SANITIZE_$(CONFIG))
OPTIMISE := $(if $(filter release,$(CONFIG)),-O3,-O1)

# The flags of this file. Whoever builds adds to them by the variables that people know, which stand last.
OWN_CPPFLAGS := -Iinclude -I. -isystem $(GENERATED) -D_GNU_SOURCE $(PKG_CFLAGS)
COMMON := -g $(OPTIMISE) $(WARNINGS) -fPIC -fvisibility=hidden -pthread $(SANITIZE)
OWN_CXXFLAGS := $(TORCH_CXXFLAGS) $(filter-out -Wconversion -Wshadow,$(COMMON))
LINK_FLAGS := -pthread -Wl,-z,relro,-z,now -Wl,--as-needed $(SANITIZE) $(LDFLAGS)
LINK_LIBS := $(PKG_LIBS) -ldl -lm $(LDLIBS)
compile_c = $(CC) $(OWN_CPPFLAGS) $(CPPFLAGS) -std=c11 $(COMMON) $(CFLAGS_EXTRA) $(CFLAGS)
compile_cxx = $(CXX) $(OWN_CPPFLAGS) $(CPPFLAGS) $(OWN_CXXFLAGS) $(CFLAGS_EXTRA) $(CXXFLAGS)

# Changed flags, and another version of what was found, rebuild what they are for: each of these files
# changes only when its text does.
FLAGS_c := $(compile_c) $(LINK_FLAGS) $(LINK_LIBS) $(if $(PKG_LIBS),$(call pkg,--modversion $(PACKAGES)))
FLAGS_torch := $(compile_cxx) $(LINK_FLAGS) $(LINK_LIBS) $(TORCH_LIBS) $(TORCH_VERSION)
FLAGS_linalg := $(OPENBLAS_CFLAGS) $(OPENBLAS_LIBS) $(OPENBLAS_VERSION)
FLAGS_mpi := $(MPI_CFLAGS) $(MPI_LIBS) $(MPI_FOUND)
FLAGS_fast := $(PYTHON_CFLAGS)
$(addprefix $(B)/flags-,c torch linalg mpi fast): $(B)/flags-%: force
	$(need)
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS_$*))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(FLAGS_$*))' >$@

# Without these nothing can be compiled.
MISSING := $(if $(PKG_LIBS),,$(strip $(foreach package,$(PACKAGES),$(shell pkg-config --exists $(package) 2>/dev/null || echo $(package)))))
need = $(if $(MISSING),$(error pkg-config finds no $(MISSING): make deps installs what is missing, or names it))

# What is left out, where what it needs is not there; and what an earlier make left of it, which would
# pretend to be there.
WITHOUT_torch := $(if $(TORCH_FOUND),,$(TRAIN) $(MODEL) $(UNIT_TORCH_BIN))
WITHOUT_mpi := $(if $(MPI_FOUND),,$(MPI))
WITHOUT_linalg := $(if $(OPENBLAS_LIBS),,$(LINALG))
WITHOUT_fast := $(if $(PYTHON_CFLAGS),,$(FAST))
SAY_torch := nauha train and replay --model are left out: there is no libtorch (Debian: libtorch-dev)
SAY_mpi := replay under mpirun is left out: there is no Open MPI (Debian: libopenmpi-dev)
SAY_linalg := metrics of linear algebra are left out: there is no OpenBLAS (Debian: libopenblas-pthread-dev)
SAY_fast := recording from Python is slower for small tensors: there are no headers of Python (Debian: libpython3-dev)
.PHONY: without-torch without-mpi without-linalg without-fast
without-torch without-mpi without-linalg without-fast: without-%:
	@$(if $(WITHOUT_$*),rm -f $(WITHOUT_$*); echo "  $(SAY_$*); make deps installs it" >&2,:)

# Where the tests' stock HDF5 readers find filters: ours, and the distribution's for lz4.
HDF5_PLUGINS := $(abspath $(OUT)/plugins):$(firstword $(wildcard /usr/lib/*/hdf5/plugins /usr/lib/*/hdf5/serial/plugins))

# ---- targets for people ----

.PHONY: all demo test test-fresh torture power-loss attack bench bench-replay deps install uninstall dist deb man clean help force check check-layers check-headers \
    check-format check-size

all: $(PROGRAM) $(LIBRARY) $(RECORDER_LIB) $(REPLAY_LIB) $(H5_PLUGINS) linalg fast $(if $(TORCH_FOUND),$(TRAIN) $(MODEL)) $(if $(MPI_FOUND),$(MPI)) \
    without-torch without-mpi ## build everything

.PHONY: linalg fast torch-flags
linalg: $(if $(OPENBLAS_LIBS),$(LINALG)) without-linalg # what the Python package asks for
fast: $(if $(PYTHON_CFLAGS),$(FAST)) without-fast

torch-flags: # for a program of one's own, with the same libtorch
	@echo '$(TORCH_CXXFLAGS) $(TORCH_LIBS)'

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

deps: ## install what is missing (Debian, Ubuntu)
	@tools/dev/install-deps.sh

demo: deps ## train on Fashion-MNIST, replay the trace, draw the pictures
	@$(MAKE) --no-print-directory -j2 all
	@tools/dev/demo.sh build/nauha build/demo

test: deps ## all tests; T=codec runs one module, F='*full*' one case
	@tools/dev/install-torch.sh build/venv
	@$(MAKE) --no-print-directory -j2 run-test

.PHONY: run-test run-unit
run-unit: $(UNIT_BIN) $(H5_PLUGINS) $(TEST_TOOLS_BIN) linalg # what sanitizer runs take: no libtorch, no Python
	@NAUHA_BUILD=$(abspath $(B)) HDF5_PLUGIN_PATH=$(HDF5_PLUGINS) \
	    $(PYTHON) tests/run.py --build $(B) --units $(if $(T),--only '$(T)')

run-test: all $(UNIT_BIN) $(TEST_TOOLS_BIN) $(TEST_PRELOAD) $(if $(TORCH_FOUND),$(UNIT_TORCH_BIN))
	@NAUHA=$(abspath $(PROGRAM)) NAUHA_BUILD=$(abspath $(B)) HDF5_PLUGIN_PATH=$(HDF5_PLUGINS) \
	    $(PYTHON) tests/run.py --build $(B) $(if $(T),--only '$(T)') $(if $(F),--case '$(F)')

.PHONY: golden
golden: all $(TEST_TOOLS_BIN) ## take what the commands print now as what they should: look at the change
	@NAUHA_UPDATE_GOLDEN=1 $(MAKE) --no-print-directory run-test T=cli F='*Golden*' && git diff --stat tests/golden

test-fresh: ## both commands on empty machines; tools/dev/test-fresh.sh says how to choose some
	@tools/dev/test-fresh.sh

torture: deps ## kill 200 recordings at random moments and check what is left
	@$(MAKE) --no-print-directory -j2 all $(B)/tests/tools/make_trace
	@NAUHA_TORTURE=200 $(MAKE) --no-print-directory run-test T=torture

power-loss: deps ## make 250 of the files that a loss of power may leave, and check what is in them
	@$(MAKE) --no-print-directory -j2 all $(TEST_PRELOAD) $(B)/tests/tools/make_trace
	@NAUHA_POWER_LOSS=250 $(MAKE) --no-print-directory run-test T=power_loss

# What something fails on is kept in build/attack, with failures.txt on how it was made.
ATTACK_SECONDS ?= 600
attack: deps ## read traces that were made to do harm; ATTACK_SECONDS=600, ATTACK_SEED=N for the same ones again
	@$(MAKE) --no-print-directory -j2 all $(B)/tests/tools/make_trace
	@NAUHA=$(abspath $(PROGRAM)) NAUHA_BUILD=$(abspath $(B)) $(PYTHON) tests/attack/attack.py --seconds $(ATTACK_SECONDS) \
	    $(if $(ATTACK_SEED),--seed $(ATTACK_SEED))

bench: deps ## measure: codec, recorder, training
	@$(MAKE) --no-print-directory -j2 run-bench

bench-parallel: all ## measure: replay on one processor and on two
	@$(PYTHON) tests/bench/bench_parallel.py

.PHONY: run-bench bench-parallel
run-bench: all $(BENCH_BIN) $(TEST_PRELOAD)
	@for bench in $(filter-out %/bench_replay,$(BENCH_BIN)); do echo "== $${bench##*/}"; $$bench || exit 1; done
	@for python in $(PYTHON) build/venv/bin/python; do \
	    $$python -c 'import torch' 2>/dev/null || continue; \
	    echo "== bench_python"; $$python tests/bench/bench_python.py || exit 1; \
	    case $$python in build/venv/*) $$python -m pip install -q hdf5plugin tensorboard || true; \
	        tools/dev/install-smdebug.sh $$python build/smdebug || true; \
	        echo "== bench_recorder"; $$python tests/bench/bench_recorder.py || exit 1; \
	        echo "== bench_remake"; $$python tests/bench/bench_remake.py || exit 1;; esac; done

bench-replay: deps ## measure replay, beside h5py and torch.load
	@tools/dev/install-torch.sh build/venv
	@$(MAKE) --no-print-directory -j2 all $(B)/tests/bench/bench_replay
	@build/venv/bin/python tests/bench/bench_replay.py

# fuzz_*.c are the fuzzers, the others what they share.
# What a fuzzer finds new goes into its corpus; what it fails on lies in build/fuzz/. Needs clang and
# its runtime (Debian: clang libclang-rt-dev).
FUZZ_SECONDS ?= 60
.PHONY: fuzz fuzz-corpus
fuzz: $(FUZZ_BIN) ## fuzz with clang; FUZZ_SECONDS=60 for each of tests/fuzz/fuzz_*.c
	@for fuzzer in $(FUZZ_BIN); do \
	    name=$${fuzzer##*/}; corpus=tests/fuzz/corpus/$$name; mkdir -p $$corpus; \
	    echo "== $$name"; \
	    $$fuzzer -max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1 \
	        -artifact_prefix=build/fuzz/$$name- $$corpus || exit 1; \
	done

fuzz-corpus: $(FUZZ_BIN) ## run each fuzzer over its corpus only
	@for fuzzer in $(FUZZ_BIN); do \
	    name=$${fuzzer##*/}; \
	    echo "== $$name"; \
	    $$fuzzer -runs=0 -timeout=10 tests/fuzz/corpus/$$name >build/fuzz/$$name.log 2>&1 || \
	        { cat build/fuzz/$$name.log; exit 1; }; \
	done

check: check-layers check-headers check-format check-size ## the style checks

check-layers: ## includes follow the arrows of docs/architecture.md
	@tools/dev/check-layers.sh

check-headers: ## each public header compiles alone, as C11 and as C++
	@for header in $(wildcard include/nauha/*.h); do \
	    printf '#include "%s"\n' "$${header#include/}" | \
	        $(CC) -std=c11 $(WARNINGS) -Werror -fsyntax-only -Iinclude -x c - || exit 1; \
	    printf '#include "%s"\n' "$${header#include/}" | \
	        $(CXX) -std=c++17 $(filter-out -Wshadow,$(WARNINGS)) -Werror -fsyntax-only -Iinclude -x c++ - || exit 1; \
	done

check-format: ## clang-format has nothing to change
	@clang-format --dry-run -Werror $$(git ls-files '*.c' '*.h' '*.hpp' '*.cpp')

check-size: ## functions under 100 lines, files under 650
	@tools/dev/check-size.sh

.PHONY: docs
docs: man ## regenerate docs/man, and the lists of metrics and rules in docs/*.md, from the tables
	@NAUHA=$(abspath $(PROGRAM)) $(PYTHON) tools/dev/update-docs.py

man: $(PROGRAM) ## regenerate docs/man from the command tables
	@mkdir -p docs/man
	@$(PROGRAM) help --man >docs/man/nauha.1
	@for command in $$($(PROGRAM) help --commands); do \
	    $(PROGRAM) help --man $$command >docs/man/nauha-$$command.1 || exit 1; done

# Modules, plugins and the Python package lie in PREFIX/lib/nauha, where the program looks for them
# from its own place (../lib/nauha), so that all of it may be moved.
install: all ## DESTDIR= PREFIX=/usr/local LIBDIR= ...
	install -d $(addprefix $(DESTDIR),$(BINDIR) $(LIBDIR)/pkgconfig $(INCLUDEDIR)/nauha $(MANDIR)/man1 $(DOCDIR)/docs/examples \
	    $(DOCDIR)/docs/images $(OWNDIR)/hdf5-plugins $(OWNDIR)/plugins $(OWNDIR)/python/nauha/hook $(OWNDIR)/python/nauha/trainers)
	install -m 755 $(PROGRAM) $(DESTDIR)$(BINDIR)/nauha
	for library in $(RECORDER_LIB) $(REPLAY_LIB); do \
	    installed=$(DESTDIR)$(LIBDIR)/$${library##*/}; \
	    install -m 644 $$library $$installed.$(VERSION) && \
	    ln -sf $${library##*/}.$(VERSION) $$installed.$(SOVERSION) && \
	    ln -sf $${library##*/}.$(SOVERSION) $$installed || exit 1; done
	install -m 644 $(LIBRARY) $(if $(OPENBLAS_LIBS),$(LINALG)) $(if $(PYTHON_CFLAGS),$(FAST)) $(if $(TORCH_FOUND),$(TRAIN) $(MODEL)) \
	    $(if $(MPI_FOUND),$(MPI)) $(DESTDIR)$(OWNDIR)
	install -m 644 $(H5_PLUGINS) $(DESTDIR)$(OWNDIR)/hdf5-plugins
	install -m 644 $(wildcard tools/python/nauha/*.py tools/python/nauha/*.pyi) tools/python/nauha/py.typed $(DESTDIR)$(OWNDIR)/python/nauha
	for part in hook trainers; do \
	    install -m 644 tools/python/nauha/$$part/*.py $(DESTDIR)$(OWNDIR)/python/nauha/$$part || exit 1; done
	install -m 644 $(wildcard include/nauha/*.h include/nauha/*.hpp) $(DESTDIR)$(INCLUDEDIR)/nauha
	install -m 644 $(wildcard docs/man/*.1) $(DESTDIR)$(MANDIR)/man1
	install -d $(DESTDIR)$(DATADIR)/bash-completion/completions $(DESTDIR)$(DATADIR)/zsh/site-functions
	install -m 644 tools/packaging/completion/nauha.bash $(DESTDIR)$(DATADIR)/bash-completion/completions/nauha
	install -m 644 tools/packaging/completion/_nauha $(DESTDIR)$(DATADIR)/zsh/site-functions
	install -m 644 README.md CHANGELOG.md LICENSE $(DESTDIR)$(DOCDIR)
	install -m 644 $(wildcard docs/*.md) $(DESTDIR)$(DOCDIR)/docs
	install -m 644 $(wildcard docs/images/*) $(DESTDIR)$(DOCDIR)/docs/images
	install -m 644 $(wildcard docs/examples/*) $(DESTDIR)$(DOCDIR)/docs/examples
	for package in recorder replay plugin; do \
	    sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(call from_prefix,$(LIBDIR))|' \
	        -e 's|@INCLUDEDIR@|$(call from_prefix,$(INCLUDEDIR))|' -e 's|@OWNDIR@|$(call from_prefix,$(OWNDIR))|' -e 's|@VERSION@|$(VERSION)|' tools/packaging/nauha-$$package.pc.in \
	        >$(DESTDIR)$(LIBDIR)/pkgconfig/nauha-$$package.pc || exit 1; done
	$(if $(DESTDIR),,-ldconfig 2>/dev/null)

# What install would put there now is what goes, and then folders of ours that are empty.
uninstall: all ## remove what install put there; the same DESTDIR= PREFIX= ...
	@rm -rf build/uninstall
	@$(MAKE) --no-print-directory install DESTDIR=$(abspath build/uninstall) >build/uninstall.log
	cd build/uninstall && find . ! -type d | while read -r file; do rm -f "$(DESTDIR)/$$file"; done
	cd build/uninstall && find . -depth -type d -path '*nauha*' | while read -r folder; do \
	    rmdir "$(DESTDIR)/$$folder" 2>/dev/null || true; done
	@rm -rf build/uninstall build/uninstall.log

dist: ## build/nauha-VERSION.tar.gz, of what is committed
	@git rev-parse --verify -q HEAD >/dev/null || { echo "make dist takes the committed files of a git repository" >&2; exit 1; }
	@git diff --quiet HEAD || echo "note: changes that are not committed are left out" >&2
	@mkdir -p build
	@git archive --prefix=nauha-$(VERSION)/ HEAD | gzip -n -9 >build/nauha-$(VERSION).tar.gz
	@echo build/nauha-$(VERSION).tar.gz

# The program as `make all` builds it, divided into packages.
deb: all ## build/debian/*.deb
	@rm -rf build/debian
	@mkdir -p build/debian
	@$(MAKE) --no-print-directory install DESTDIR=$(abspath build/debian/stage) PREFIX=/usr \
	    LIBDIR=/usr/lib/$(MULTIARCH) >build/debian/install.log
	@tools/packaging/make-deb.sh build/debian/stage build/debian $(SOVERSION)
	@ls build/debian/*.deb

clean: ## remove build/
	rm -rf build

# ---- rules ----

$(GENERATED)/%.pb-c.c: %.proto | $(B)/flags-c
	@mkdir -p $(GENERATED)
	@echo "  PROTOC $<"
	@protoc-c --c_out=$(GENERATED) $<

$(call obj,replay/sinks/tensorboard_event.c) build/fuzz/replay/sinks/tensorboard_event.c.o: $(PROTO_SRC)

$(B)/%.c.o: %.c $(B)/flags-c
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(compile_c) -MMD -MP -c $< -o $@

# A text as an array of its bytes, report_css or report_js, and a zero. Kept, so that make does not
# end by removing them: the last line of `make test` is its summary.
.SECONDARY: $(patsubst %,$(B)/%.c,$(REPORT_ASSETS))
$(B)/tools/report/report.%.c: tools/report/report.%
	@mkdir -p $(@D)
	@{ echo 'extern const char report_$*[];'; echo 'const char report_$*[] = {'; \
	    od -An -v -tx1 $< | sed 's/ *\([0-9a-f][0-9a-f]\)/(char)0x\1,/g'; echo '0};'; } >$@

$(B)/tools/report/report.%.c.o: $(B)/tools/report/report.%.c $(B)/flags-c
	@echo "  CC   $<"
	@$(compile_c) -c $< -o $@

# Tests are not worth a minute of optimising libtorch's templates each.
$(B)/tests/unit/%.cpp.o: tests/unit/%.cpp $(B)/flags-torch
	@mkdir -p $(@D)
	@echo "  CXX  $<"
	@$(compile_cxx) -O0 -g0 -MMD -MP -c $< -o $@

# What is slow there is in libtorch.
$(B)/tools/model/%.cpp.o: tools/model/%.cpp $(B)/flags-torch
	@mkdir -p $(@D)
	@echo "  CXX  $<"
	@$(compile_cxx) -O1 -MMD -MP -c $< -o $@

$(B)/%.cpp.o: %.cpp $(B)/flags-torch
	@mkdir -p $(@D)
	@echo "  CXX  $<"
	@$(compile_cxx) -MMD -MP -c $< -o $@

$(call obj,recorder/core/version.c) build/fuzz/recorder/core/version.c.o: \
    OWN_CPPFLAGS += -DNAUHA_LIBRARY_VERSION='"$(VERSION)"'
$(call obj,recorder/core/version.c) build/fuzz/recorder/core/version.c.o: VERSION

# The program exports the public API to the training module and to plugins.
$(PROGRAM): $(TOOLS_OBJ) $(LIBRARY_OBJ)
	@echo "  LINK $@"
	@$(CC) $(LINK_FLAGS) -rdynamic $^ -o $@ $(LINK_LIBS)

$(TRAIN): $(TRAIN_OBJ)
	@echo "  LINK $@"
	@$(CXX) $(LINK_FLAGS) -shared $^ -o $@ $(TORCH_LIBS) -lz

$(LINALG_OBJ): OWN_CPPFLAGS += $(OPENBLAS_CFLAGS)
$(LINALG_OBJ): $(B)/flags-linalg
$(LINALG): $(LINALG_OBJ)
	@echo "  LINK $@"
	@$(CC) $(LINK_FLAGS) -shared $^ -o $@ $(OPENBLAS_LIBS) -lm

$(MODEL): $(MODEL_OBJ)
	@echo "  LINK $@"
	@$(CXX) $(LINK_FLAGS) -shared $^ -o $@ $(TORCH_LIBS) -lz

$(call obj,$(MPI_SRC)): OWN_CPPFLAGS += $(MPI_CFLAGS)
$(call obj,$(MPI_SRC)): $(B)/flags-mpi
$(MPI): $(call obj,$(MPI_SRC))
	@echo "  LINK $@"
	@$(CC) $(LINK_FLAGS) -shared $^ -o $@ $(MPI_LIBS)

$(call obj,$(FAST_SRC)): OWN_CPPFLAGS += $(PYTHON_CFLAGS)
$(call obj,$(FAST_SRC)): $(B)/flags-fast
$(FAST): $(call obj,$(FAST_SRC))
	@echo "  LINK $@"
	@$(CC) $(LINK_FLAGS) -shared $^ -o $@

# Programs remember a library by its soname, which in a build tree is a link to it.
$(RECORDER_LIB): $(CORE_OBJ) $(RECORDER_OBJ)
$(REPLAY_LIB): $(CORE_OBJ) $(REPLAY_OBJ) $(ANALYZERS_OBJ)
$(RECORDER_LIB) $(REPLAY_LIB): VERSION
	@echo "  LINK $@"
	@$(CC) $(LINK_FLAGS) -shared -Wl,-soname,$(@F).$(SOVERSION) $(filter %.o,$^) -o $@ $(LINK_LIBS)
	@ln -sf $(@F) $@.$(SOVERSION)

$(LIBRARY): $(filter-out $(B)/tools/cli/nauha.c.o,$(TOOLS_OBJ)) $(LIBRARY_OBJ)
	@echo "  LINK $@"
	@$(CC) $(LINK_FLAGS) -shared -Wl,-soname,$(@F) $^ -o $@ $(LINK_LIBS)

$(H5_PLUGINS): $(OUT)/plugins/libnauha_%.so: $(B)/recorder/hdf5-filters/%.c.o \
    $(call obj,recorder/core/codec/shuffle.c recorder/core/codec/sparse.c recorder/core/codec/temporal.c)
	@mkdir -p $(@D)
	@echo "  LINK $@"
	@$(CC) $(LINK_FLAGS) -shared $^ -o $@ $(PKG_LIBS)

$(B)/libnauha.a: $(LIBRARY_OBJ)
	@rm -f $@
	@ar rcs $@ $^

# Unit tests see everything, the program's tables too, but not its main().
# They find nauha_linalg.so; the old tag, since with the new one the address sanitizer's dlopen would not.
FIND_MODULES := -Wl,--disable-new-dtags,-rpath,$(abspath $(OUT))
UNIT_LINK := $(filter-out $(B)/tools/cli/nauha.c.o,$(TOOLS_OBJ))
$(UNIT_BIN): $(B)/%: $(B)/%.c.o $(UNIT_LINK) $(B)/libnauha.a
	@$(CC) $(LINK_FLAGS) -rdynamic $(FIND_MODULES) $^ -o $@ -lcmocka $(LINK_LIBS)

$(UNIT_TORCH_BIN): $(B)/%: $(B)/%.cpp.o $(TRAIN_OBJ) $(UNIT_LINK) $(B)/libnauha.a
	@$(CXX) $(LINK_FLAGS) $^ -o $@ -lcmocka $(LINK_LIBS) $(TORCH_LIBS) -lz

$(TEST_TOOLS_BIN) $(BENCH_BIN): $(B)/%: $(B)/%.c.o $(B)/libnauha.a
	@$(CC) $(LINK_FLAGS) $^ -o $@ $(LINK_LIBS) -lz

$(TEST_PRELOAD): $(B)/%.so: $(B)/%.c.o
	@$(CC) $(LINK_FLAGS) -shared $^ -o $@ -ldl

# Fuzzers are clang's, with what they test compiled the same way.
FUZZ_OBJ := $(patsubst %,build/fuzz/%.o,$(filter-out $(FUZZ_SRC),$(wildcard tests/fuzz/*.c)) \
    $(CORE_SRC) $(RECORDER_SRC) $(REPLAY_SRC) $(ANALYZERS_SRC))
FUZZ_FLAGS := -std=c11 -g -O1 -fsanitize=fuzzer-no-link,address,undefined \
    -fno-sanitize-recover=undefined -fno-omit-frame-pointer
build/fuzz/%.c.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  FUZZ $<"
	@clang $(OWN_CPPFLAGS) $(FUZZ_FLAGS) $(WARNINGS) -pthread -MMD -MP -c $< -o $@

$(FUZZ_BIN): %: %.c.o $(FUZZ_OBJ)
	@clang -pthread -fsanitize=fuzzer,address,undefined $^ -o $@ -lcmocka $(LINK_LIBS)

-include $(shell find $(B) build/fuzz -name '*.d' 2>/dev/null)
