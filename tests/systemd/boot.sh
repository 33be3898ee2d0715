#!/bin/sh
# Becomes a systemd of its own: the first process of new namespaces, on a copy of this machine's files.
# usage: boot.sh FOLDER PYTHON_PREFIX VENV SOURCE, inside of unshare --pid --mount --cgroup --uts --ipc
set -eu
folder=$1 python=$2 venv=$3 source=$4
mount --make-rprivate /
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup

# What is written to these folders is written to memory.
mkdir -p "$folder/layers"
mount -t tmpfs tmpfs "$folder/layers"
for changed in etc var opt; do
    mkdir "$folder/layers/$changed" "$folder/layers/$changed.work"
    mount -t overlay overlay -o "lowerdir=/$changed,upperdir=$folder/layers/$changed,workdir=$folder/layers/$changed.work" "/$changed"
done
mount -t tmpfs tmpfs /run
mkdir /run/lock

# runnerd where the unit expects it, readable by its user wherever the checkout lies.
packages=$(cd "$venv" && echo lib/python*/site-packages)
mkdir -p /opt/runnerd-test/python /opt/runnerd-test/venv /opt/runnerd-test/source /opt/runnerd/bin "/opt/runnerd/$packages"
mount --bind "$python" /opt/runnerd-test/python
mount --bind "$venv" /opt/runnerd-test/venv
mount --bind "$source" /opt/runnerd-test/source
# A Python that is built with a shared library looks for it in the folder that it was built for.
echo /opt/runnerd-test/python/lib >/etc/ld.so.conf.d/00-runnerd-test.conf
ldconfig
printf 'home = /opt/runnerd-test/python/bin\ninclude-system-site-packages = false\n' >/opt/runnerd/pyvenv.cfg
ln -s /opt/runnerd-test/python/bin/python3 /opt/runnerd/bin/python
ln -s /opt/runnerd-test/venv/bin/uv /opt/runnerd/bin/uv
printf '/opt/runnerd-test/source\n/opt/runnerd-test/venv/%s\n' "$packages" >"/opt/runnerd/$packages/runnerd-test.pth"
printf '#!/opt/runnerd/bin/python\nimport sys\nfrom runnerd.cli import main\nsys.exit(main())\n' >/opt/runnerd/bin/runnerd
chmod +x /opt/runnerd/bin/runnerd

grep -q '^runnerd:' /etc/passwd || echo 'runnerd:x:64321:64321::/nonexistent:/usr/sbin/nologin' >>/etc/passwd
grep -q '^runnerd:' /etc/group || echo 'runnerd:x:64321:' >>/etc/group
mkdir -p /etc/runnerd
cp "$folder/runnerd.toml" /etc/runnerd/runnerd.toml
chmod 644 /etc/runnerd/runnerd.toml

export container=runnerd-test SYSTEMD_UNIT_PATH="$folder/units"
exec /lib/systemd/systemd --system --unit=booted.target --show-status=no
