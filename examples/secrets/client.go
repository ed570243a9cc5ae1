package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/session/sessionhttp"
)

const (
	patience  = 30 * time.Second
	warnToken = 5 * time.Minute // before it ends
	maxAnswer = 1 << 20
)

// call is one command of the client.
type call struct {
	command, name string
	server        string
	ca            string
	cert, key     string // empty: none is shown
	token         string // a file; empty: none is carried
	now           func() time.Time
}

func parseClient(command string, args []string, out io.Writer) (*call, error) {
	c := &call{command: command, now: time.Now}
	var data, as string
	f := flag.NewFlagSet("secrets "+command, flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&c.server, "server", "https://localhost:8445", "the server, as its ready line says")
	f.StringVar(&data, "data", "secrets-data", "the server's data folder, where the files of -as are")
	f.StringVar(&as, "as", "writer", "which program to be: writer or reader")
	f.StringVar(&c.ca, "ca", "", "a file with the authority of the server's certificate (default DATA/pki/server-ca.crt)")
	f.StringVar(&c.cert, "cert", "", "a file with the client certificate (default DATA/pki/AS.crt)")
	f.StringVar(&c.key, "key", "", "a file with its key (default DATA/pki/AS.key)")
	f.StringVar(&c.token, "token", "", "a file with the token, which nobody else may read (default DATA/tokens/AS.jwt)")
	if err := f.Parse(args); err != nil {
		return nil, said(err)
	}
	given := map[string]bool{}
	f.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for _, d := range []struct {
		name string
		to   *string
		file string
	}{{"ca", &c.ca, "pki/server-ca.crt"}, {"cert", &c.cert, "pki/" + as + ".crt"}, {"key", &c.key, "pki/" + as + ".key"}, {"token", &c.token, "tokens/" + as + ".jwt"}} {
		if !given[d.name] {
			*d.to = filepath.Join(data, d.file)
		}
	}
	if command == "list" {
		if f.NArg() > 0 {
			return nil, fmt.Errorf("list takes no name: %q", f.Arg(0))
		}
		return c, nil
	}
	if f.NArg() != 1 || !names.MatchString(f.Arg(0)) {
		return nil, fmt.Errorf("%s takes one name, after the flags: 1 to 128 letters, digits, '.', '_' and '-'", command)
	}
	c.name = f.Arg(0)
	return c, nil
}

// run makes the call. The value of a put comes from stdin: arguments are seen by everybody on the machine.
func (c *call) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, leaf, err := c.client(stderr)
	if err != nil {
		return err
	}
	token, err := c.readToken(stderr)
	if err != nil {
		return err
	}
	r, err := c.request(ctx, stdin)
	if err != nil {
		return err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := client.Do(r)
	if err != nil {
		return c.unreachable(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return c.refused(res, b, token, leaf)
	}
	return c.show(stdout, b)
}

func (c *call) request(ctx context.Context, stdin io.Reader) (*http.Request, error) {
	method := map[string]string{"put": http.MethodPut, "get": http.MethodGet, "list": http.MethodGet, "delete": http.MethodDelete}[c.command]
	to, err := url.JoinPath(c.server, "v1", "secrets", c.name)
	if err != nil || !strings.HasPrefix(to, "https://") {
		return nil, fmt.Errorf("-server %s: an address such as https://localhost:8445 is wanted", c.server)
	}
	if c.command != "put" {
		return http.NewRequestWithContext(ctx, method, strings.TrimSuffix(to, "/"), nil)
	}
	value, err := io.ReadAll(io.LimitReader(stdin, maxValue+3))
	if err != nil {
		return nil, err
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(value), "\n"), "\r") // of echo, and no part of a secret
	if len(text) > maxValue {
		return nil, errLarge
	}
	if !utf8.ValidString(text) {
		return nil, errors.New("the value is no text in UTF-8, and would not come back as it is: encode it, for example with base64")
	}
	body, err := json.Marshal(map[string]string{"value": text})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err == nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, err
}

// client is what makes requests, and the certificate that it shows, if any.
func (c *call) client(stderr io.Writer) (*http.Client, *x509.Certificate, error) {
	roots := x509.NewCertPool()
	b, err := os.ReadFile(c.ca)
	if err != nil {
		return nil, nil, fmt.Errorf("the authority of the server's certificate: %w. Name the server's data folder with -data, or the file with -ca", err)
	}
	if !roots.AppendCertsFromPEM(b) {
		return nil, nil, fmt.Errorf("%s holds no certificate", c.ca)
	}
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	var leaf *x509.Certificate
	if c.cert != "" {
		pair, err := tls.LoadX509KeyPair(c.cert, c.key)
		if err != nil {
			return nil, nil, fmt.Errorf("the client certificate: %w. Name it with -cert and -key", err)
		}
		leaf = pair.Leaf
		if about, err := os.Stat(c.key); err == nil && about.Mode().Perm()&0o077 != 0 {
			fmt.Fprintf(stderr, "secrets: %s can be read by others: whoever reads it has the key. Run: chmod 600 %s\n", c.key, quote(c.key))
		}
		// Also where the server does not name its authority: what is wrong with it is for the server to say.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, leaf, nil
}

// readToken reads the token anew for each call: whoever renews it replaces the file.
func (c *call) readToken(stderr io.Writer) (string, error) {
	if c.token == "" {
		return "", nil
	}
	token, err := readToken(c.token)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no token: %w. Name its file with -token", err)
	}
	if err != nil {
		return "", err
	}
	claims, err := claimsOf(token)
	if err != nil {
		return "", fmt.Errorf("%s: %w", c.token, err)
	}
	ends := time.Unix(claims.Expires, 0)
	switch left := ends.Sub(c.now()); {
	case left <= 0:
		return "", fmt.Errorf("the token in %s expired at %s: get a new one from whoever issued it (the demonstration's server renews its own while it runs)", c.token, ends.Format(time.RFC3339))
	case left < warnToken:
		fmt.Fprintf(stderr, "secrets: the token in %s ends at %s: get a new one\n", c.token, ends.Format(time.RFC3339))
	}
	return token, nil
}

func (c *call) unreachable(err error) error {
	var unknown *tls.CertificateVerificationError
	if errors.As(err, &unknown) {
		return fmt.Errorf("the server is not the one that %s vouches for: nothing was sent. Look at -server and -ca: %w", c.ca, unknown.Err)
	}
	return fmt.Errorf("the server cannot be reached: %w. Does it run at %s? Name another with -server", err, c.server)
}

// refused says what a refusal means. The server does not tell: what the token says of itself helps its owner.
func (c *call) refused(res *http.Response, body []byte, token string, leaf *x509.Certificate) error {
	var p struct {
		Code  sessionhttp.Code `json:"code"`
		Title string           `json:"title"`
	}
	_ = json.Unmarshal(body, &p)
	claims, _ := claimsOf(token)
	switch {
	case p.Code == sessionhttp.CodeCertificateRequired:
		return errors.New("the server saw no client certificate: name one with -cert and -key")
	case p.Code == sessionhttp.CodeNotAuthenticated:
		return errors.New("the server saw no token: name its file with -token")
	case p.Code == sessionhttp.CodeForbidden:
		return fmt.Errorf("the token allows %q, and %s needs %s", claims.Scope, c.command, map[bool]string{true: readScope, false: writeScope}[c.command == "get" || c.command == "list"])
	case p.Code == sessionhttp.CodeBadRequest && c.command != "put":
		return fmt.Errorf("%s (%s) Is %s the address in the server's ready line, to the letter?", p.Title, res.Status, c.server)
	case p.Code != sessionhttp.CodeInvalidCredential:
		return fmt.Errorf("%s (%s)", p.Title, res.Status)
	}
	why := c.unlike(claims, leaf)
	if why == "" && leaf != nil {
		why = fmt.Sprintf("The certificate is %q of %q: is that the authority of this service?", leaf.Subject.CommonName, leaf.Issuer.CommonName)
	}
	return fmt.Errorf("the certificate or the token was not accepted. %s The operators find the reason in the audit log", why)
}

// unlike is what of a token is not as this service wants it, as far as its owner can see.
func (c *call) unlike(claims tokenClaims, leaf *x509.Certificate) string {
	switch {
	case claims.Audience != audience:
		return fmt.Sprintf("The token is for %q, and this server is %q.", claims.Audience, audience)
	case c.now().Add(time.Minute).Unix() < max(claims.Issued, claims.NotBefore):
		return fmt.Sprintf("The token is good from %s on.", time.Unix(max(claims.Issued, claims.NotBefore), 0).Format(time.RFC3339))
	case claims.Confirmation.Certificate == "":
		return "The token is bound to no certificate."
	case leaf == nil:
		return ""
	case claims.Confirmation.Certificate != thumbprint(leaf):
		return fmt.Sprintf("The token is bound to another certificate than %s.", c.cert)
	case claims.Subject != leaf.Subject.CommonName:
		return fmt.Sprintf("The token is of %q, and the certificate of %q.", claims.Subject, leaf.Subject.CommonName)
	case claims.Issuer != issuerName:
		return fmt.Sprintf("The token is of the issuer %q, and this server takes those of %q.", claims.Issuer, issuerName)
	}
	return ""
}

func (c *call) show(stdout io.Writer, body []byte) error {
	var err error
	switch c.command {
	case "get":
		var s secret
		if err := json.Unmarshal(body, &s); err != nil {
			return fmt.Errorf("the server's answer cannot be read: %w", err)
		}
		_, err = fmt.Fprintln(stdout, s.Value)
	case "list":
		var all struct{ Secrets []string }
		if err := json.Unmarshal(body, &all); err != nil {
			return fmt.Errorf("the server's answer cannot be read: %w", err)
		}
		for _, name := range all.Secrets {
			if _, err = fmt.Fprintln(stdout, name); err != nil {
				break
			}
		}
	}
	return err
}
