//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package main

import (
	"errors"
	"net"
)

// listenPrivate fails: who may open a socket cannot be held here.
func listenPrivate(string) (net.Listener, error) {
	return nil, errors.New("-behind needs a system on which sockets have permissions")
}
