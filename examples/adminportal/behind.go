package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sallyport-auth/sallyport/factors/mtls"
	"github.com/sallyport-auth/sallyport/factors/mtls/terminator"
)

// socketName is the socket in the data folder, which nobody but its owner gets into.
const socketName = "portal.sock"

// headersBehind are the bytes of a request's head: what browsers send, and the certificate that the terminator adds.
const headersBehind = 128 << 10

var (
	errSocketAlone = errors.New("-socket means nothing without -behind")
	errNoPort      = errors.New("what ends TLS must listen at the port that browsers see: give one")
)

// check finds flags that contradict each other.
func (o options) check() error {
	_, port, err := net.SplitHostPort(o.addr)
	switch {
	case err != nil:
		return fmt.Errorf("-addr %s: %w", o.addr, err)
	case o.behind == "" && o.socket != "":
		return errSocketAlone
	case o.behind != "" && (port == "" || port == "0"):
		return fmt.Errorf("-addr %s: %w", o.addr, errNoPort)
	}
	return nil
}

// source is where certificates are seen: in this program's own handshakes, or in the headers of what ends TLS in front
// of it, which is whoever calls by the socket. There is never a choice between the two.
func (o options) source(data string) (_ mtls.Source, socket string, err error) {
	if o.behind == "" {
		return mtls.FromTLS(), "", nil
	}
	socket = filepath.Join(data, socketName)
	if o.socket != "" {
		if socket, err = filepath.Abs(o.socket); err != nil {
			return nil, "", err
		}
	}
	front, err := terminator.New(terminator.Config{Name: o.behind, Format: terminator.Format(o.behind),
		Trust: []terminator.Rule{{Socket: socket}}, Client: terminator.ClientAddress{Header: "X-Forwarded-For"}, Now: o.now})
	if err != nil {
		return nil, "", fmt.Errorf("-behind: %w", err)
	}
	return front, socket, nil
}

// listenBehind listens on the socket. One that a kill left there is removed; one that somebody answers on is not.
func listenBehind(socket string) (net.Listener, error) {
	c, err := net.Dial("unix", socket)
	if err == nil {
		c.Close()
		return nil, fmt.Errorf("-socket %s: somebody listens there already", socket)
	}
	if at, stat := os.Lstat(socket); stat == nil && at.Mode().Type() == os.ModeSocket && errors.Is(err, syscall.ECONNREFUSED) {
		if err := os.Remove(socket); err != nil {
			return nil, err
		}
	}
	return listenPrivate(socket)
}
