//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"net"
	"syscall"
)

// listenPrivate listens on a socket that is for this program's own user alone from the first moment on: whoever may open
// it may send anybody's certificate.
func listenPrivate(socket string) (net.Listener, error) {
	before := syscall.Umask(0o177)
	defer syscall.Umask(before)
	return net.Listen("unix", socket)
}
