// Secrets is a store of secrets for programs: every request carries a client certificate and a bearer token that is bound to
// it, and is authenticated by itself. "secrets serve" runs it, and put, get, list and delete use it.
//
// Serve makes everything that it needs in a folder: certificates, policy, tokens, keys and databases. What it prints on
// standard output is for people and scripts; its log goes to standard error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

const usage = `usage:
  secrets serve  [-addr localhost:8445] [-data DIR]
  secrets put    [flags] NAME     the value comes from standard input
  secrets get    [flags] NAME
  secrets list   [flags]
  secrets delete [flags] NAME

"secrets serve -h" and "secrets get -h" tell the flags.
`

func main() {
	signal.Ignore(syscall.SIGPIPE) // whoever reads the first lines only does not end the server
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "secrets:", strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

// run runs one command.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	switch command {
	case "serve":
		o, err := parseServer(args, stderr)
		if err != nil {
			return err
		}
		return o.run(ctx, stdout, stderr)
	case "put", "get", "list", "delete":
		c, err := parseClient(command, args, stderr)
		if err != nil {
			return err
		}
		return c.run(ctx, stdin, stdout, stderr)
	}
	if command == "help" || command == "-h" || command == "--help" {
		_, _ = io.WriteString(stdout, usage)
		return flag.ErrHelp
	}
	if command != "" {
		fmt.Fprintf(stderr, "secrets: there is no command %q\n", command)
	}
	_, _ = io.WriteString(stderr, usage)
	return errUsage
}

var errUsage = errors.New("wrong usage, and said so")

// said is the error of flags that were asked about, or refused: the flag package has written which.
func said(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	return errUsage
}
