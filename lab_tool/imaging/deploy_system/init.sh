#!/bin/sh
# The deploy system's first and only service: bring up drivers and network, run the client until it has succeeded.
# Nobody gets a shell here, and nothing listens; whatever goes wrong is shown, and tried again.
export PATH=/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8 PYTHONPATH=/usr/lib/lab PYTHONDONTWRITEBYTECODE=1

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /run /tmp /mnt /root /var/lib/lab /var/log
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
trap '' INT QUIT TERM HUP TSTP
exec </dev/null
sysctl -q -w kernel.sysrq=0 kernel.panic=10 kernel.printk='1 4 1 7' net.core.rmem_max=16777216 \
  net.ipv6.conf.all.disable_ipv6=1 2>/dev/null

# Where people look: the screen, and the first serial port if there is one.
shown=
for device in tty1 ttyS0; do
  if (echo >/dev/$device) 2>/dev/null; then shown="$shown /dev/$device"; fi
done
say() {
  echo "LAB: $*" | tee $shown >/dev/null
}

# The word after NAME= on the kernel's command line, or in the script that the server has for this PC.
word() {
  (set -f && each_word "$1") | tail -n 1
}
each_word() {
  for each in $words; do
    case $each in "$1="*) echo "${each#*=}" ;; esac
  done
}

# Drivers for the hardware that is there, also for what only shows once a bus has its own driver.
load_drivers() {
  before=
  for round in 1 2 3 4 5 6; do
    found=$(find /sys/devices -name modalias -exec cat {} + 2>/dev/null | sed '/^dmi:/d' | sort -u)
    if [ "$found" = "$before" ] && [ "$round" -gt 2 ]; then break; fi
    before=$found
    echo "$found" | xargs -r modprobe -a -b -q 2>/dev/null
    sleep 0.3
  done
  modprobe -a -b -q af_packet efivarfs sd_mod fuse loop 2>/dev/null
  if [ -d /sys/firmware/efi/efivars ]; then
    mount -t efivarfs efivarfs /sys/firmware/efi/efivars 2>/dev/null
  fi
}

# The wired cards that are meant: the one of lab.mac, else all.
cards() {
  for card in /sys/class/net/*; do
    if [ ! -e "$card/device" ] || [ -e "$card/wireless" ]; then continue; fi
    if [ -z "$mac" ] || [ "$(cat "$card/address")" = "$mac" ]; then echo "${card##*/}"; fi
  done
}

have_address() {
  [ -n "$(ip -4 -o addr show scope global 2>/dev/null)" ]
}

# An address for one of the cards. It is renewed for as long as the work takes.
connect() {
  until have_address; do
    for card in $(cards); do
      ip link set "$card" up
      if udhcpc -i "$card" -n -t 6 -T 2 -A 1 -s /usr/lib/lab/lease >/dev/null 2>&1 && have_address; then
        ip route replace 224.0.0.0/4 dev "$card" 2>/dev/null
        mac=$(cat "/sys/class/net/$card/address")
        say "connected: $card $mac $(ip -4 -o addr show dev "$card" | awk '{print $4}')"
        return
      fi
    done
    say "no address from the network for ${mac:-any card}; is the cable in? Trying again"
    load_drivers
    sleep 5
  done
}

# A new token, since each is good for one attempt: what the server would have this PC boot. Another deploy system than
# this one is for the firmware to fetch.
ask_again() {
  server=$(word lab.http)
  script=$(timeout 20 wget -q -O - "$server/boot/$(echo "$mac" | tr -d :).ipxe" 2>/dev/null | grep '^kernel ')
  case $script in
  '')
    say "the server $server has no order for $mac"
    return 1
    ;;
  *"/$own/"*)
    words="$(cat /proc/cmdline) $script"
    return 0
    ;;
  esac
  if [ "$(word lab.stick)" ]; then
    say "the server $server wants another deploy system than this stick's; write the stick anew"
    return 1
  fi
  restart
}

restart() {
  say "restarting"
  sync
  sleep 1
  reboot -f
  while true; do sleep 60; done
}

# Exit code 0: done, start from disk. Others: it did not succeed.
attempt() {
  echo "$words" >/run/lab-command-line
  python3 -m lab_tool.imaging.deploy --command-line /run/lab-command-line 2>&1 | tee $shown >/dev/null
}

set -o pipefail
own=$(sed -n 's/.*"id":"\([0-9a-f]*\)".*/\1/p' /etc/lab/deploy.json)
words=$(cat /proc/cmdline)
mac=$(word lab.mac)
heal=$(word lab.heal)
say "deploy system $own"
load_drivers
while true; do
  if [ "$heal" != 1 ]; then connect; fi
  if [ "$heal" = 1 ] || [ "$(word lab.token)" ] || ask_again; then
    if attempt; then restart; fi
  fi
  say "trying again in 30 seconds; switching off does no harm"
  # Used up, whatever became of it.
  words="$(cat /proc/cmdline) lab.token="
  sleep 30
done
