#!/bin/sh
# Runs once, as root, inside the new root file system: makes a lab PC of a bare Debian. Argument: the system's code name.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

# The stock (see stock.py): fetched while the machine's own sources are in use, listed for apt, and set aside.
mkdir -p /srv/lab-stock/partial /etc/apt/stock.sources.d
# shellcheck disable=SC2046 # one word a package
apt-get install --yes --download-only --no-install-recommends -o Dir::Cache::archives=/srv/lab-stock \
  $(cat /srv/lab-packages/stock)
cd /srv/lab-stock
rm -rf partial lock
for deb in *.deb; do
  dpkg-deb --field "$deb"
  printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d' ' -f1)"
done >Packages
{
  cat /srv/lab-packages/stock.release
  printf 'SHA256:\n %s %s Packages\n' "$(sha256sum Packages | cut -d' ' -f1)" "$(stat -c %s Packages)"
} >Release
mv /srv/lab-packages/stock.sources /etc/apt/stock.sources.d/
rm /srv/lab-packages/stock /srv/lab-packages/stock.release
cd /

# The machine's own sources lie aside until a test asks for them (host.use_mirror): tests must not depend on today's mirror.
mkdir -p /etc/apt/machine.sources.d
for file in /etc/apt/sources.list.d/*; do
  name=${file##*/}
  mv "$file" "/etc/apt/machine.sources.d/${name#0000}"
done
if [ -s /etc/apt/sources.list ]; then mv /etc/apt/sources.list /etc/apt/machine.sources.d/machine.list; fi
mv /srv/lab-packages/lab-demo.sources /etc/apt/sources.list.d/
apt-get update
# shellcheck disable=SC2046 # one word a package
apt-get install --yes --target-release "$1" $(cat /srv/lab-packages/installed)
# shellcheck disable=SC2046
apt-mark hold $(cat /srv/lab-packages/held)
rm /srv/lab-packages/installed /srv/lab-packages/held

# Accounts: the one Ansible uses, and one of those who sit at the PCs.
useradd --create-home --shell /bin/bash lab-admin
useradd --create-home --shell /bin/bash student
echo 'lab-admin ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/lab-admin
chmod 440 /etc/sudoers.d/lab-admin

# SSH: each host gets a key of its own before it first boots. No logins before the system takes users.
rm -f /etc/ssh/ssh_host_*
printf 'HostKey /etc/ssh/ssh_host_ed25519_key\nPasswordAuthentication no\nUseDNS no\n' >/etc/ssh/sshd_config.d/lab.conf
mkdir -p /etc/systemd/system/ssh.service.d
printf '[Unit]\nAfter=systemd-user-sessions.service\n' >/etc/systemd/system/ssh.service.d/lab.conf
systemctl disable ssh.socket 2>/dev/null || true
systemctl enable ssh.service

# apt's own background updates are there, but their hour never comes.
for timer in apt-daily apt-daily-upgrade; do
  mkdir -p "/etc/systemd/system/$timer.timer.d"
  printf '[Timer]\nOnCalendar=\nOnCalendar=2099-01-01\nRandomizedDelaySec=0\nPersistent=false\n' \
    >"/etc/systemd/system/$timer.timer.d/lab.conf"
done

# What makes no sense in a container, or only costs time at boot.
for unit in systemd-timesyncd.service systemd-networkd.service systemd-resolved.service systemd-homed.service \
  e2scrub_all.timer fstrim.timer dpkg-db-backup.timer console-getty.service getty@.service; do
  ln -sf /dev/null "/etc/systemd/system/$unit"
done
: >/etc/fstab
apt-get clean
rm -- "$0"
