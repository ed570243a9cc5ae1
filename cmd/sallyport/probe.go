package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/factors/mtls"
)

// probeTokenEnv has the probe's token where no file is named.
const probeTokenEnv = "SALLYPORT_PROBE_TOKEN"

const probeUsage = `usage: sallyport probe [flags] URL

Sends forged certificates in headers, and everything that could pass for them, to the probe route of a
program (mtls.ProbeRoute) through its public address, and says what arrived there. URL is that of the route,
with https. The route's token is read from a file or from $SALLYPORT_PROBE_TOKEN.

Exit code: 0 all checks passed, warnings included; 1 one failed; 2 it could not be told.

`

// probeOptions are the flags of the command.
type probeOptions struct {
	tokenFile, ca, clientCert, clientKey string
	others                               []string
	timeout                              time.Duration
	json                                 bool
}

// probe runs mtls.Probe and prints what it found.
func probe(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	var o probeOptions
	flags := flag.NewFlagSet("probe", flag.ContinueOnError)
	flags.StringVar(&o.tokenFile, "token-file", "", "read the token from `FILE`")
	flags.StringVar(&o.ca, "ca", "", "`FILE` with the authorities of the server's certificate; without it those of the system")
	flags.StringVar(&o.clientCert, "client-cert", "", "`FILE` with a client's own certificate, which the deployment accepts")
	flags.StringVar(&o.clientKey, "client-key", "", "`FILE` with its key")
	flags.Func("cert", "`FILE` with the certificate of somebody else, without its key, to be forged too; may be repeated", func(s string) error {
		o.others = append(o.others, s)
		return nil
	})
	flags.DurationVar(&o.timeout, "timeout", 10*time.Second, "for each request")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	flags.Usage = func() {
		_, _ = io.WriteString(flags.Output(), probeUsage)
		flags.PrintDefaults()
	}
	rest, err := parse(flags, args, stderr)
	if err != nil {
		return 0, err
	}
	if len(rest) != 1 {
		return 0, errors.New("give one URL, that of the probe route")
	}
	c, err := o.config(rest[0])
	if err != nil {
		return 0, err
	}
	report, err := mtls.Probe(ctx, c)
	if err != nil {
		return 0, advised(err, c)
	}
	if err := show(stdout, report, o.json); err != nil {
		return 0, err
	}
	switch report.Outcome() {
	case mtls.ProbeFailed:
		return exitFound, nil
	case mtls.ProbeUnknown:
		return exitCannotTell, nil
	}
	return exitGood, nil
}

// advised adds what flag would help.
func advised(err error, c mtls.ProbeConfig) error {
	switch {
	case errors.Is(err, mtls.ErrProbeServer):
		return fmt.Errorf("%w: name its authority with -ca", err)
	case errors.Is(err, mtls.ErrProbeRefused) && c.Own == nil:
		return fmt.Errorf("%w: give a certificate with -client-cert and -client-key", err)
	}
	return err
}

// config reads the files that the flags name.
func (o *probeOptions) config(url string) (mtls.ProbeConfig, error) {
	if o.timeout <= 0 {
		return mtls.ProbeConfig{}, errors.New("-timeout is more than nothing")
	}
	c := mtls.ProbeConfig{URL: url, Timeout: o.timeout}
	var err error
	if c.Token, err = o.token(); err != nil {
		return c, err
	}
	if o.ca != "" {
		text, err := read(o.ca)
		if err != nil {
			return c, err
		}
		if c.Roots = x509.NewCertPool(); !c.Roots.AppendCertsFromPEM(text) {
			return c, fmt.Errorf("%s: no certificate in it", o.ca)
		}
	}
	for _, file := range o.others {
		other, err := certificate(file)
		if err != nil {
			return c, err
		}
		c.Others = append(c.Others, other)
	}
	c.Own, err = o.own()
	return c, err
}

func (o *probeOptions) token() (string, error) {
	token := os.Getenv(probeTokenEnv)
	if o.tokenFile != "" {
		text, err := read(o.tokenFile)
		if err != nil {
			return "", err
		}
		token = string(text)
	}
	if token = strings.TrimSpace(token); token == "" {
		return "", fmt.Errorf("no token: give it with -token-file, or in $%s", probeTokenEnv)
	}
	return token, nil
}

// own reads the certificate and key of a client, nil where none are named.
func (o *probeOptions) own() (*tls.Certificate, error) {
	switch {
	case o.clientCert == "" && o.clientKey == "":
		return nil, nil
	case o.clientCert == "" || o.clientKey == "":
		return nil, errors.New("-client-cert and -client-key go together")
	}
	cert, err := read(o.clientCert)
	if err != nil {
		return nil, err
	}
	key, err := read(o.clientKey)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: not a certificate and its key", o.clientCert, o.clientKey)
	}
	return &pair, nil
}

// certificate reads the first certificate of a file.
func certificate(file string) (*x509.Certificate, error) {
	text, err := read(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s: does not begin with a certificate in PEM", file)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: a certificate that cannot be read", file)
	}
	return c, nil
}

// maxFile bounds what is read of a file, in bytes.
const maxFile = 1 << 20

func read(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s: over %d bytes", file, maxFile)
	}
	return text, err
}

// show prints a report, for people or as data.
func show(w io.Writer, r mtls.ProbeReport, asJSON bool) error {
	if asJSON {
		out := json.NewEncoder(w)
		out.SetEscapeHTML(false)
		out.SetIndent("", "  ")
		return out.Encode(struct {
			Outcome mtls.ProbeOutcome `json:"outcome"`
			mtls.ProbeReport
		}{r.Outcome(), r})
	}
	count := map[mtls.ProbeOutcome]int{}
	for _, c := range r.Checks {
		count[c.Outcome]++
		if _, err := fmt.Fprintf(w, "%-8s %-20s %s\n", c.Outcome, c.Code, c.Says); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d passed, %d warnings, %d failed, %d unknown, %d skipped\n", count[mtls.ProbePassed], count[mtls.ProbeWarning],
		count[mtls.ProbeFailed], count[mtls.ProbeUnknown], count[mtls.ProbeSkipped])
	return err
}
