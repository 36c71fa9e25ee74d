#!/bin/sh
# Runs one container in the namespaces of its own that the stand-in for the kubelet has made: pod.sh ROOT UID GID WRITABLE
# COMMAND... A root that nobody can write holds the programs of this machine, the files of the image, and, below /etc and
# where the pod says, what the pod mounts: ROOT/etc and ROOT/mounts are prepared. WRITABLE is `yes` for a root that may be
# written. It begins when a line comes in, once the network is there.
set -eu
root=$1 user=$2 group=$3 writable=$4
shift 4
read -r _

new=$root/root
mkdir -p "$new"
mount -t tmpfs -o mode=755 image "$new"
for folder in bin etc lib lib64 proc dev usr tmp; do mkdir -p "$new/$folder"; done
# The image is empty but for one program; the debug build needs the libraries of this machine.
for folder in bin lib lib64 usr; do mount --rbind "/$folder" "$new/$folder"; mount -o remount,bind,ro "$new/$folder"; done
mount --rbind "$root/etc" "$new/etc"
mount --bind /proc "$new/proc"
for device in null urandom; do : >"$new/dev/$device"; mount --bind "/dev/$device" "$new/dev/$device"; done
for file in "$root"/image/*; do
  [ -e "$file" ] || continue
  : >"$new/$(basename "$file")"
  mount --bind "$file" "$new/$(basename "$file")"
done
# Each line of `mounts` is a folder of this machine, where it goes, and rw or ro.
while IFS='	' read -r from to mode; do
  mkdir -p "$new$to"
  mount --bind "$from" "$new$to"
  mount -o "remount,bind,$mode,nosuid,nodev" "$new$to"
done <"$root/mounts"
mount -o remount,bind,ro "$new/etc"
[ "$writable" = yes ] || mount -o remount,ro "$new"
exec /usr/sbin/chroot "$new" /usr/bin/setpriv --reuid "$user" --regid "$group" --groups "$group" --bounding-set=-all --inh-caps=-all \
  --no-new-privs -- "$@"
