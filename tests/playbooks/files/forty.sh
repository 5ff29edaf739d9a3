#!/bin/sh
case $1 in
--serve) exec sleep infinity ;;
--tick) date >/run/forty.tick ;;
esac
