#!/bin/bash
# Writes the files of an image to standard output, as an archive: the CPython that runs here, the
# shared libraries it needs, and a shell. So tests have an image where no registry can be reached.
# usage: python_image.sh PYTHON
set -euo pipefail
python=$(readlink -f "$("$1" -c 'import sys; print(sys._base_executable)')")
prefix=$("$python" -c 'import sys; print(sys.base_prefix)')
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

mkdir -p "$root"/{tmp,etc/ssl/certs,root,proc,sys,dev,usr/bin,usr/lib,usr/lib64,usr/sbin,var/tmp}
chmod 1777 "$root/tmp" "$root/var/tmp"
for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$root/$folder"; done

mkdir -p "$root$prefix"
tar -C "$prefix" --exclude='*/site-packages/*' --exclude="lib/python$version/test" \
    --exclude='lib/python*/config-*' --exclude='__pycache__' --exclude='*.a' --exclude=share \
    --exclude=include -cf - "bin/$(basename "$python")" "lib/python$version" \
    $(cd "$prefix" && ls -d lib/libpython* 2>/dev/null || true) | tar -C "$root$prefix" -xf -
[ -e "$root/usr/bin/python3" ] || ln -s "$python" "$root/usr/bin/python3"

programs="/bin/sh /bin/cat /bin/sleep /bin/mkdir /bin/rm /usr/bin/env /bin/kill"
for program in $programs; do cp -L "$program" "$root/usr/bin/"; done
{
    ldd $programs "$python"
    find "$prefix/lib/python$version/lib-dynload" -name '*.so' -print0 | xargs -0 ldd
} 2>/dev/null | sed -nE 's,^(.*=> )?[[:space:]]*(/[^ ]+) \(0x.*,\2,p' | sort -u |
    while read -r library; do
        case $library in /lib/* | /lib64/*) target=$root/usr$library ;; *) target=$root$library ;; esac
        mkdir -p "$(dirname "$target")"
        [ -e "$target" ] || cp -L "$library" "$target"
    done
# Also what uv and the wheels of the usual libraries are linked with.
for library in /lib/*-linux-gnu/libnss_{files,dns}.so.2 /lib/*-linux-gnu/libresolv.so.2 \
    /lib/*-linux-gnu/lib{rt,pthread,dl,m,util,gcc_s,gomp}.so.[0-9] \
    /lib/*-linux-gnu/libstdc++.so.6; do
    if [ -e "$library" ]; then cp -L "$library" "$root/usr$library"; fi
done
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
tar -C "$root" -c .
