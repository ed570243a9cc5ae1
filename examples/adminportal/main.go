// Adminportal is the admin portal of a small company, behind two doors: the certificate of the administrator's machine,
// then a passkey.
//
// It makes everything that it needs in a folder: certificates, policy, database, users and their invitations. What it
// prints on standard output is for people and scripts; its log goes to standard error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	signal.Ignore(syscall.SIGPIPE) // whoever reads the first lines only does not end the portal
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	o, err := parse(os.Args[1:], os.Stderr)
	if err == nil {
		err = o.run(ctx, os.Stdout, os.Stderr)
	}
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "adminportal:", strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

// errUsage: the flag package has said what is wrong with the flags.
var errUsage = errors.New("wrong usage")

// options are the flags, and the clock.
type options struct {
	addr   string
	data   string
	policy string
	invite string
	behind string
	socket string
	probe  string // the token of the probe's route; empty: there is no such route
	now    func() time.Time
}

func parse(args []string, out io.Writer) (options, error) {
	o := options{now: time.Now, probe: os.Getenv("SALLYPORT_PROBE_TOKEN")}
	f := flag.NewFlagSet("adminportal", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&o.addr, "addr", "localhost:8443", "where to listen, and what browsers see")
	f.StringVar(&o.data, "data", "adminportal-data", "the folder for certificates, policy and database")
	f.StringVar(&o.policy, "policy", "", "a policy file of your own, used where it lies")
	f.StringVar(&o.invite, "invite", "", "print a new invitation for a user of this login name")
	f.StringVar(&o.behind, "behind", "", "what ends TLS in front of this program: nginx, haproxy or apache. It listens on a socket then, and -addr is what browsers see")
	f.StringVar(&o.socket, "socket", "", "the socket to listen on with -behind (default: portal.sock in the data folder)")
	if err := f.Parse(args); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			err = errUsage
		}
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	return o, nil
}

// run runs the portal until ctx ends.
func (o options) run(ctx context.Context, stdout, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	if err := o.check(); err != nil {
		return err
	}
	var l net.Listener
	var err error
	at := address(o.addr)
	host, _, _ := net.SplitHostPort(at)
	if o.behind == "" {
		if l, err = net.Listen("tcp", o.addr); err != nil {
			return fmt.Errorf("%w. Name another address with -addr", err)
		}
		defer l.Close()
		at = net.JoinHostPort(host, fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
	}
	p, err := prepare(ctx, o, host, at, log)
	if err != nil && ctx.Err() != nil {
		log.Info("ended before it was ready", "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer p.close()
	if p.socket != "" { // not sooner: one that is left there may be removed only by whoever has the data folder
		if l, err = listenBehind(p.socket); err != nil {
			return err
		}
		defer l.Close()
	}
	return p.serve(ctx, l, at, stdout)
}

// address is where to listen as browsers write it. Where the program listens everywhere the host is localhost: no browser
// goes to "everywhere".
func address(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && ip.IsUnspecified():
		host = "localhost"
	case err == nil:
		host = ip.Unmap().String()
	}
	return net.JoinHostPort(strings.ToLower(host), port)
}
