#!/bin/sh
# A RUSTC_WRAPPER that links the programs of the images statically, and leaves all else as it is: so the libraries of the debug
# build are used as they are, and cargo asks what the compiler can do without noticing. static.sh RUSTC WORD...
case " $* " in
  *" --crate-name queue_service "*" --crate-type bin "* | *" --crate-name rest_gateway "*" --crate-type bin "* \
    | *" --crate-name bot_worker "*" --crate-type bin "* | *" --crate-name repartee "*" --crate-type bin "*)
    exec "$@" -C target-feature=+crt-static -C strip=symbols
    ;;
  *) exec "$@" ;;
esac
