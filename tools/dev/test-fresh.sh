#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs README's two commands on empty machines: in roots of Debian that hold nothing but what is named
# here, in a fresh clone of HEAD.
# Usage: tools/dev/test-fresh.sh [RELEASE [VARIANT [COMMAND [USER]]]]    each of them may be "all"
#   RELEASE   bookworm, trixie
#   VARIANT   bare (make and git), laptop (also a compiler, pkg-config and python3)
#   COMMAND   demo, test
#   USER      root, user (an ordinary one, with sudo)
# Without arguments: both commands as root in each, and as an ordinary user on the laptops.
#
# Needs root, debootstrap, and leave to mount. Mounts and processes live in namespaces of their own,
# which end with this script, however it ends. Packages and compiled objects are kept in
# NAUHA_FRESH_CACHE (build/fresh-cache) from run to run, the checkout and what is built in it never.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
cache=${NAUHA_FRESH_CACHE:-$top/build/fresh-cache}
releases='bookworm trixie'
declare -A packages=([bare]='make git' [laptop]='make git build-essential pkg-config python3')
DAYS=7        # how old an empty root may be
UNPREPARED=77 # what a cell exits with when the machine could not be prepared, and this script when no cell ran

# ---- inside: in namespaces of their own ----

inside() { # root release variant command user
    local root=$1 release=$2 variant=$3 command=$4 user=$5 path
    set -e
    mount -t proc proc "$root/proc"
    mount --bind /sys "$root/sys"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    mount --bind "$cache/apt-$release" "$root/var/cache/apt/archives"
    mount --bind "$cache/ccache-$release" "$root/opt/fresh/ccache"
    mount --bind "$cache/pip-$user" "$root/opt/fresh/pip"
    while read -r path; do # package indexes of pip's that lie on this machine's disk
        mkdir -p "$root$path"
        mount --bind -o ro "$path" "$root$path"
    done <"$root/opt/fresh/pip-folders"
    exec chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
        sh /opt/fresh/run "$command" "$user" "${packages[$variant]}"
}

# What the root runs. Its own preparations are none of what is tested.
run_script() {
    cat <<'RUN'
set -eu
command=$1 user=$2 packages=$3
. /opt/fresh/environment
prepare() {
    export DEBIAN_FRONTEND=noninteractive HOME=/root
    apt-get -q update
    [ "$user" = root ] || packages="$packages sudo"
    # shellcheck disable=SC2086 # a list
    apt-get -q -y --no-install-recommends install $packages
    # ccache stands in front of compilers that are there, without being a package that is installed.
    mkdir -p /var/cache/apt/archives/ccache/partial
    if apt-get -q -y --no-install-recommends --download-only -o Dir::Cache::archives=/var/cache/apt/archives/ccache install ccache; then
        for package in /var/cache/apt/archives/ccache/*.deb; do dpkg-deb -x "$package" /opt/fresh/unpacked; done
        mkdir /opt/fresh/lib
        for library in /opt/fresh/unpacked/usr/lib/*/*.so.*; do
            [ -e "${library#/opt/fresh/unpacked}" ] || mv "$library" /opt/fresh/lib
        done
        /opt/fresh/in-front
        echo 'DPkg::Post-Invoke { "/opt/fresh/in-front"; };' >/etc/apt/apt.conf.d/99fresh
    fi
    if [ "$user" != root ]; then
        useradd --create-home --uid 1000 --shell /bin/bash tester
        echo 'tester ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/tester
        mkdir -p /home/tester/.config/pip
        cp /root/.config/pip/pip.conf /home/tester/.config/pip/ 2>/dev/null || true
        chown -R tester: /home/tester /src/nauha
    fi
}
(prepare) || exit 77
echo "== make $command"
cd /src/nauha
if [ "$user" = root ]; then
    export HOME=/root USER=root
    exec make "$command"
fi
exec runuser -u tester -- env HOME=/home/tester USER=tester make "$command"
RUN
}

in_front_script() {
    cat <<'FRONT'
#!/bin/sh
for name in gcc g++ cc c++; do
    [ ! -x /usr/bin/$name ] || ln -sf /opt/fresh/compiler /usr/local/bin/$name
done
FRONT
}

compiler_script() {
    cat <<'COMPILER'
#!/bin/sh
exec env LD_LIBRARY_PATH=/opt/fresh/lib CCACHE_DIR=/opt/fresh/ccache CCACHE_UMASK=000 CCACHE_MAXSIZE=2G \
    /opt/fresh/unpacked/usr/bin/ccache "/usr/bin/${0##*/}" "$@"
COMPILER
}

# ---- outside ----

# The mirrors that apt here takes Debian from, or Debian's own.
mirror_of() { # label, default
    local found
    found=$(apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        sed -n "s/^$1|//p" | head -n 1)
    found=${found%/}
    echo "${found:-$2}"
}

# Proxies of apt's, from its configuration or from the environment.
apt_proxies() {
    apt-config dump 2>/dev/null | grep -iE '^Acquire::https?::Proxy(::[^ ]*)? "[^"]'
    local kind
    for kind in http https; do
        eval "local value=\${${kind}_proxy-}"
        [ -z "$value" ] || echo "Acquire::$kind::Proxy \"$value\";"
    done
}

pip_configurations() { ls /etc/pip.conf /etc/xdg/pip/pip.conf "$HOME/.config/pip/pip.conf" "$HOME/.pip/pip.conf" 2>/dev/null; }

# Files and folders here that pip's configuration names.
pip_paths() {
    { pip_configurations | xargs -r cat; env | grep -E '^(PIP_|SSL_CERT_FILE=|REQUESTS_CA_BUNDLE=)'; } |
        grep -oE '/[^][ ,;"'\'']+' | sed 's|^//*|/|' | sort -u | while read -r path; do
        [ ! -e "$path" ] || echo "$path"
    done
}

reach_pypi() { # root: pip there finds what pip here does
    local root=$1 path name
    : >"$root/opt/fresh/pip-folders"
    pip_paths | while read -r path; do
        if [ -d "$path" ]; then
            [ "${path##*/}" != simple ] || path=${path%/*} # its links lead beside it
            echo "$path" >>"$root/opt/fresh/pip-folders"
        else
            mkdir -p "$root${path%/*}"
            cp -L "$path" "$root$path"
        fi
    done
    for path in /etc/pip.conf /etc/xdg/pip/pip.conf; do
        [ ! -e "$path" ] || { mkdir -p "$root${path%/*}" && cp -L "$path" "$root$path"; }
    done
    mkdir -p "$root/root/.config/pip" "$root/usr/local/share"
    for path in "$HOME/.config/pip/pip.conf" "$HOME/.pip/pip.conf"; do
        [ ! -e "$path" ] || cp -L "$path" "$root/root/.config/pip/pip.conf"
    done
    [ ! -d /usr/local/share/ca-certificates ] || cp -rL /usr/local/share/ca-certificates "$root/usr/local/share/"
    for name in $(compgen -e | grep -E '^(PIP_|SSL_CERT_FILE$|REQUESTS_CA_BUNDLE$|(https?|no)_proxy$|(HTTPS?|NO)_PROXY$)'); do
        printf 'export %s=%q\n' "$name" "${!name}"
    done >"$root/opt/fresh/environment"
    echo 'export PIP_CACHE_DIR=/opt/fresh/pip' >>"$root/opt/fresh/environment"
}

# An empty root, as a tar file.
make_base() { # release
    local base=$cache/base-$1.tar
    if [ -n "$(find "$base" -mtime -$DAYS 2>/dev/null)" ]; then return; fi
    say "an empty $1, by debootstrap"
    debootstrap --variant=minbase --cache-dir="$cache/apt-$1" "$1" "$cache/root" \
        "$(mirror_of Debian http://deb.debian.org/debian)" >"$cache/log/base-$1" 2>&1 &&
        rm -f "$cache/root"/var/cache/apt/archives/*.deb &&
        tar -C "$cache/root" -cf "$base.new" . && mv "$base.new" "$base"
    local status=$?
    remove_root
    return $status
}

prepare_root() { # release user
    local root=$cache/root release=$1 security
    security=$(mirror_of Debian-Security http://security.debian.org/debian-security)
    mkdir "$root" && tar -C "$root" -xpf "$cache/base-$release.tar" || return
    mkdir -p "$root/opt/fresh/ccache" "$root/opt/fresh/pip" "$root/src" "$root/etc/dpkg/dpkg.cfg.d"
    printf 'deb %s main\n' "$(mirror_of Debian http://deb.debian.org/debian) $release" \
        "$(mirror_of Debian http://deb.debian.org/debian) $release-updates" "$security $release-security" >"$root/etc/apt/sources.list"
    { echo 'APT::Sandbox::User "root";'; apt_proxies; } >"$root/etc/apt/apt.conf.d/98fresh"
    echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/fresh"
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    reach_pypi "$root"
    run_script >"$root/opt/fresh/run"
    in_front_script >"$root/opt/fresh/in-front"
    compiler_script >"$root/opt/fresh/compiler"
    chmod 755 "$root/opt/fresh/in-front" "$root/opt/fresh/compiler"
    git clone -q "$top" "$root/src/nauha"
}

# Everything below the folder, and nothing that is mounted there: that would be another's.
remove_root() {
    local tries
    for tries in 1 2 3 4 5 6 7 8 9 10; do
        if [ ! -e "$cache/root" ]; then return 0; fi
        if grep -qF " $cache/root/" /proc/self/mountinfo; then break; fi
        rm -rf --one-file-system "$cache/root" 2>/dev/null && return 0
        sleep 0.5 # what is being killed may still write
    done
    echo "$0: \"$cache/root\" was not removed: something in it is mounted or in use" >&2
    return 1
}

worker=
end() {
    trap - EXIT INT TERM HUP
    if [ -n "$worker" ]; then
        kill -KILL "$worker" 2>/dev/null # and with it all that runs in the root
        wait "$worker" 2>/dev/null
    fi
    remove_root
    exit "${1:-1}"
}

say() { printf '  %s (%s)\n' "$1" "$(date +%T)"; }

# Why nothing can be run here; nothing said: it can.
hindrance() {
    local tool
    if [ "$(id -u)" -ne 0 ]; then echo 'this needs root'; return; fi
    for tool in debootstrap unshare setpriv chroot tar git flock; do
        command -v $tool >/dev/null || { echo "there is no $tool"; return; }
    done
    unshare --mount --pid --fork --propagation private sh -c '
        mkdir -p "$1" && mount -t tmpfs tmpfs "$1" && mount -t proc proc "$1" && umount "$1" &&
            mknod "$1/null" c 1 3 && : >"$1/null"' sh "$cache/probe" 2>/dev/null ||
        echo 'mounting or making device nodes is not permitted'
    rmdir "$cache/probe" 2>/dev/null
}

passed=0 failed=0 skipped=0 table=
result() { # cell, verdict, words
    case $2 in
    passed) passed=$((passed + 1)) ;;
    FAILED) failed=$((failed + 1)) ;;
    skipped) skipped=$((skipped + 1)) ;;
    esac
    table+=$(printf '  %-30s %-8s %s' "$1" "$2" "$3")$'\n'
    printf '  %s: %s %s\n' "$1" "$2" "$3"
}

run_cell() { # release variant command user
    local log status started=$SECONDS
    log=$cache/log/$1-$2-$3-$4
    mkdir -p "$cache/apt-$1/partial" "$cache/ccache-$1" "$cache/pip-$4"
    chmod 1777 "$cache/ccache-$1"
    [ "$4" = root ] || chown 1000 "$cache/pip-$4"
    if ! make_base "$1"; then
        result "$*" skipped "debootstrap makes no $1 ($(tail -n 1 "$cache/log/base-$1"))"
        return
    fi
    say "$*; what it says is in $log"
    if ! prepare_root "$1" >"$log" 2>&1; then
        tail -n 5 "$log"
        result "$*" skipped 'the root cannot be prepared'
        remove_root
        return
    fi
    setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --propagation private "$0" --inside "$cache/root" "$@" \
        >>"$log" 2>&1 </dev/null &
    worker=$!
    wait "$worker"
    status=$?
    worker=
    remove_root
    local seconds=$((SECONDS - started))
    if [ "$status" -eq 0 ]; then
        result "$*" passed "$(printf '%d:%02d' $((seconds / 60)) $((seconds % 60)))  $([ "$3" != test ] || tail -n 1 "$log")"
    elif [ "$status" -eq $UNPREPARED ]; then
        tail -n 5 "$log"
        result "$*" skipped 'the packages of an empty machine cannot be installed'
    else
        sed -n '/ FAILED (exit /,$p' "$log" | grep . | head -n 200
        tail -n 40 "$log"
        result "$*" FAILED "exit $status; $(tail -n 1 "$log")"
    fi
}

# The cells that were asked for, one a line; where no user was: root, and on laptops an ordinary one.
cells() { # [RELEASE [VARIANT [COMMAND [USER]]]]
    local release variant command user
    for release in $releases; do
        for variant in bare laptop; do
            for user in root user; do
                for command in demo test; do
                    [[ ${1:-all} == all || $1 == "$release" ]] && [[ ${2:-all} == all || $2 == "$variant" ]] &&
                        [[ ${3:-all} == all || $3 == "$command" ]] && [[ ${4:-all} == all || $4 == "$user" ]] &&
                        [[ -n ${4-} || "$variant $user" != 'bare user' ]] &&
                        echo "$release $variant $command $user"
                done
            done
        done
    done
}

main() {
    local chosen cell why
    chosen=$(cells "$@")
    if [ $# -gt 4 ] || [ -z "$chosen" ]; then
        sed -n 's/^# \{0,1\}//; 5,10p' "$0" >&2
        exit 2
    fi
    mkdir -p "$cache/log" || exit
    cache=$(cd "$cache" && pwd)
    export NAUHA_FRESH_CACHE=$cache # for what runs inside
    why=$(hindrance)
    if [ -z "$why" ]; then
        exec 9>"$cache/lock"
        flock -n 9 || why="\"$cache\" is in use by another run"
    fi
    if [ -n "$why" ]; then
        while read -r cell; do result "$cell" skipped "$why"; done <<<"$chosen"
    else
        trap 'end 130' INT
        trap 'end 143' TERM HUP
        trap 'end $?' EXIT
        remove_root || exit # of a run that was killed
        while read -r -u 3 cell; do
            # shellcheck disable=SC2086 # four words
            run_cell $cell
        done 3<<<"$chosen"
    fi
    printf '\n%s' "$table"
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ] || exit 1
    [ "$passed" -gt 0 ] || exit $UNPREPARED # nothing is shown
    exit 0
}

if [ "${1-}" = --inside ]; then
    shift
    inside "$@"
fi
main "$@"
