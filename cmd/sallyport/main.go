// Sallyport is the operator's command. "sallyport probe" checks from outside whether a deployment lets forged certificates
// through.
//
// It exits with 0 if all is well, 1 if something was found, and 2 if it could not tell. Results go to standard output, errors to
// standard error.
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
  sallyport probe [flags] URL

"sallyport probe -h" tells the flags.
`

// Exit codes.
const (
	exitGood = iota
	exitFound
	exitCannotTell
)

// commands are what the first argument may be.
var commands = map[string]func(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error){
	"probe": probe,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run runs one command and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		_, _ = io.WriteString(stderr, usage)
		return exitCannotTell
	}
	if args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		_, _ = io.WriteString(stdout, usage)
		return exitGood
	}
	command, ok := commands[args[0]]
	if !ok {
		fmt.Fprintf(stderr, "sallyport: there is no command %q\n%s", args[0], usage)
		return exitCannotTell
	}
	code, err := command(ctx, args[1:], stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitGood
	case err != nil:
		fmt.Fprintf(stderr, "sallyport %s: %s\n", args[0], strings.ReplaceAll(err.Error(), "\n", "; "))
		return exitCannotTell
	}
	return code
}

// parse takes flags before and behind the arguments, and returns these. It says nothing itself, but for the help.
func parse(flags *flag.FlagSet, args []string, stderr io.Writer) ([]string, error) {
	flags.SetOutput(io.Discard)
	var rest []string
	for {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				flags.SetOutput(stderr)
				flags.Usage()
			}
			return nil, err
		}
		if flags.NArg() == 0 {
			return rest, nil
		}
		rest, args = append(rest, flags.Arg(0)), flags.Args()[1:]
	}
}
