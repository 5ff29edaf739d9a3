#!/bin/sh
case $1 in
--serve) exec sleep infinity ;;
--tick) date >/srv/forty/data/tick ;;
esac
