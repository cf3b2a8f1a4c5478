#!/bin/sh
# Called by udhcpc with what it was given. Names are not looked up here, so name servers are left alone.
case $1 in
deconfig)
  ip addr flush dev "$interface"
  ip link set "$interface" up
  ;;
bound | renew)
  ip addr replace "$ip/${mask:-24}" broadcast + dev "$interface"
  if [ "$router" ]; then ip route replace default via "${router%% *}" dev "$interface"; fi
  ;;
esac
exit 0
