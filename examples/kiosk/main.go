// Kiosk is a terminal that stands in a hall. Its certificate alone says which kiosk it is; a person may sign in above that,
// and out again, while the kiosk stays.
//
// It makes everything that it needs in a folder: certificates, policy, badges and database. What it prints on standard
// output is for people and scripts; its log goes to standard error.
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
	signal.Ignore(syscall.SIGPIPE) // whoever reads the first lines only does not end the program
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
		fmt.Fprintln(os.Stderr, "kiosk:", strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

// errUsage: the flag package has said what is wrong with the flags.
var errUsage = errors.New("wrong usage")

// options are the flags, the clock, and how slow it is to try a PIN.
type options struct {
	addr       string
	data       string
	policy     string
	now        func() time.Time
	iterations int
}

func parse(args []string, out io.Writer) (options, error) {
	o := options{now: time.Now, iterations: pinIterations}
	f := flag.NewFlagSet("kiosk", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&o.addr, "addr", "localhost:8446", "where to listen, and what browsers see")
	f.StringVar(&o.data, "data", "kiosk-data", "the folder for certificates, policy, badges and database")
	f.StringVar(&o.policy, "policy", "", "a policy file of your own, used where it lies")
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

// run runs the site until ctx ends.
func (o options) run(ctx context.Context, stdout, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	l, at, err := o.listen()
	if err != nil {
		return err
	}
	defer l.Close()
	s, err := prepare(ctx, o, at, log)
	if err != nil && ctx.Err() != nil {
		log.Info("ended before it was ready", "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer s.close()
	return s.serve(ctx, l, stdout)
}

// listen listens at the address, and says how browsers write it.
func (o options) listen() (_ net.Listener, at string, _ error) {
	if _, _, err := net.SplitHostPort(o.addr); err != nil {
		return nil, "", fmt.Errorf("-addr %s: %w", o.addr, err)
	}
	l, err := net.Listen("tcp", o.addr)
	if err != nil {
		return nil, "", fmt.Errorf("%w. Name another address with -addr", err)
	}
	return l, net.JoinHostPort(hostOf(o.addr), fmt.Sprint(l.Addr().(*net.TCPAddr).Port)), nil
}

// hostOf is the host of an address as browsers write it. Where the program listens everywhere it is localhost: no browser
// goes to "everywhere".
func hostOf(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && ip.IsUnspecified():
		return "localhost"
	case err == nil:
		return ip.Unmap().String()
	}
	return strings.ToLower(host)
}
