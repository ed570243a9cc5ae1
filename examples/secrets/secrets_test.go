package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// running is a server in a folder of its own, until the test ends.
type running struct {
	t    *testing.T
	data string
	url  string
	log  *output
	stop func()
}

// output is what a command writes, read while it does.
type output struct {
	mu    sync.Mutex
	b     bytes.Buffer
	ready chan string
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.b.Write(p)
	if line, ok := strings.CutPrefix(o.b.String(), "ready "); ok && o.ready != nil {
		line, _, _ = strings.Cut(line, "\n")
		o.ready <- line
		o.ready = nil
	}
	return n, err
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func start(t *testing.T, data, addr string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, log, done := &output{ready: make(chan string, 1)}, &output{}, make(chan error, 1)
	ready := out.ready
	go func() { done <- run(ctx, []string{"serve", "-addr", addr, "-data", data}, nil, out, log) }()
	r := &running{t: t, data: data, log: log}
	select {
	case r.url = <-ready:
	case err := <-done:
		cancel()
		t.Fatalf("the server ended: %v", err)
	}
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// command runs a command of the client.
func (r *running) command(stdin string, args ...string) (string, error) {
	r.t.Helper()
	var out bytes.Buffer
	args = append([]string{args[0], "-server", r.url, "-data", r.data}, args[1:]...)
	err := run(context.Background(), args, strings.NewReader(stdin), &out, io.Discard)
	return out.String(), err
}

func (r *running) wants(want, stdin string, args ...string) {
	r.t.Helper()
	got, err := r.command(stdin, args...)
	if err != nil || got != want {
		r.t.Errorf("%v: %q, %v, want %q", args, got, err, want)
	}
}

// fails fails unless a command does, and says what to do.
func (r *running) fails(says, stdin string, args ...string) {
	r.t.Helper()
	if got, err := r.command(stdin, args...); err == nil || !strings.Contains(err.Error(), says) {
		r.t.Errorf("%v: %q, %v, want %q", args, got, err, says)
	}
}

func TestSecretsOfPrograms(t *testing.T) {
	r := start(t, t.TempDir(), "localhost:0")
	r.wants("", "correct horse\n", "put", "-as", "writer", "db-password")
	r.wants("", "two", "put", "-as", "writer", "a.second")
	r.wants("correct horse\n", "", "get", "-as", "reader", "db-password")
	r.wants("a.second\ndb-password\n", "", "list", "-as", "reader")
	r.wants("", "another", "put", "-as", "writer", "db-password")
	r.wants("another\n", "", "get", "-as", "writer", "db-password")
	r.wants("", "", "delete", "-as", "writer", "a.second")
	r.fails("no such secret", "", "get", "-as", "reader", "a.second")
	r.fails("no such secret", "", "delete", "-as", "writer", "a.second")
	r.fails("needs secrets:write", "x", "put", "-as", "reader", "db-password")
	r.fails("needs secrets:write", "", "delete", "-as", "reader", "db-password")
	r.fails("takes one name", "", "get", "-as", "reader", "../etc/passwd")
	r.fails("64 KiB", strings.Repeat("x", maxValue+1), "put", "big")
	r.wants("", strings.Repeat("x", maxValue), "put", "big")
	// They are there after a restart, and nowhere in the clear.
	r.stop()
	all, err := filepath.Glob(filepath.Join(r.data, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		if b, err := os.ReadFile(file); err == nil && bytes.Contains(b, []byte("another")) {
			t.Errorf("%s has a value in the clear", file)
		}
	}
	r = start(t, r.data, strings.TrimPrefix(r.url, "https://"))
	r.wants("another\n", "", "get", "-as", "reader", "db-password")
	if strings.Contains(r.log.String(), "another") {
		t.Error("the log has a value")
	}
}

func TestClientSaysWhatToDo(t *testing.T) {
	r := start(t, t.TempDir(), "localhost:0")
	other := start(t, t.TempDir(), "localhost:0")
	in := func(name string) string { return filepath.Join(r.data, name) }
	r.fails("no client certificate", "", "list", "-cert", "")
	r.fails("no token: name", "", "list", "-token", "")
	r.fails("there is no token", "", "list", "-token", in("nothing"))
	r.fails("bound to another certificate", "", "list", "-as", "reader", "-token", in("tokens/writer.jwt"))
	r.fails("is not the one that", "", "list", "-ca", in("pki/service-ca.crt"))
	r.fails("is that the authority of this service", "", "list", "-cert", filepath.Join(other.data, "pki/reader.crt"), "-key", filepath.Join(other.data, "pki/reader.key"),
		"-token", filepath.Join(other.data, "tokens/reader.jwt"))
	if err := os.Chmod(in("tokens/reader.jwt"), 0o640); err != nil {
		t.Fatal(err)
	}
	r.fails("chmod 600", "", "list", "-as", "reader")
	file := in("token")
	r.mint(file, "writer", func(c *tokenClaims) { c.Expires = time.Now().Add(-time.Hour).Unix() })
	r.fails("expired at", "", "list", "-token", file)
	r.mint(file, "writer", func(c *tokenClaims) { c.Audience = "elsewhere" })
	r.fails(`is for "elsewhere"`, "", "list", "-token", file)
	r.mint(file, "writer", func(c *tokenClaims) { c.NotBefore = time.Now().Add(time.Hour).Unix() })
	r.fails("is good from", "", "list", "-token", file)
	r.mint(file, "writer", func(c *tokenClaims) { c.Confirmation = confirmation{} })
	r.fails("bound to no certificate", "", "list", "-token", file)
	r.mint(file, "writer", func(c *tokenClaims) { c.Subject = "reader" })
	r.fails(`of "reader", and the certificate of "writer"`, "", "list", "-token", file)
	r.mint(file, "writer", func(c *tokenClaims) { c.Issuer = "https://elsewhere.example" })
	r.fails(`of the issuer "https://elsewhere.example"`, "", "list", "-token", file)
	r.mint(file, "writer", func(c *tokenClaims) { c.Scope = "secrets:read" })
	r.fails("needs secrets:write", "x", "put", "-token", file, "name")
	r.fails("encode it", "\xff\xfe\x00", "put", "name")
	r.fails("in the server's ready line", "", "list", "-server", strings.Replace(r.url, "localhost", "127.0.0.1", 1))
	r.wants("", "", "list", "-token", file)
	r.stop()
	r.fails("cannot be reached", "", "list")
}

// mint writes a token of the server's own issuer, with claims of the test's.
func (r *running) mint(file, name string, edit func(*tokenClaims)) string {
	r.t.Helper()
	token := r.token(name, "at+jwt", nil, edit)
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return token
}

// token makes a token; with a key, one that the issuer did not sign.
func (r *running) token(name, typ string, key *ecdsa.PrivateKey, edit func(*tokenClaims)) string {
	r.t.Helper()
	i, err := newIssuer(r.data)
	if err != nil {
		r.t.Fatal(err)
	}
	cert, err := (pki{dir: filepath.Join(r.data, "pki")}).readCert(name + ".crt")
	if err != nil {
		r.t.Fatal(err)
	}
	c := tokenClaims{Issuer: issuerName, Subject: name, Audience: audience, Client: name, Scope: readScope + " " + writeScope, ID: rand.Text(),
		Issued: time.Now().Unix(), Expires: time.Now().Add(time.Hour).Unix(), Confirmation: confirmation{thumbprint(cert)}}
	if edit != nil {
		edit(&c)
	}
	if key == nil {
		key = i.key
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader("kid", i.kid))
	if err != nil {
		r.t.Fatal(err)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		r.t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		r.t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		r.t.Fatal(err)
	}
	return text
}

// ask makes a request with a certificate (empty: none) and headers.
func (r *running) ask(cert, method, path, body string, headers ...string) (int, http.Header, string) {
	r.t.Helper()
	ca, err := os.ReadFile(filepath.Join(r.data, "pki/server-ca.crt"))
	if err != nil {
		r.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	config := &tls.Config{RootCAs: roots}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(r.data, "pki", cert+".crt"), filepath.Join(r.data, "pki", cert+".key"))
		if err != nil {
			r.t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	q, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		q.Header.Add(headers[i], headers[i+1])
	}
	res, err := (&http.Client{Transport: transport}).Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}

func TestTokensThatAreRefusedAreAllAlike(t *testing.T) {
	r := start(t, t.TempDir(), "localhost:0")
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := r.token("reader", "at+jwt", nil, nil)
	if status, _, body := r.ask("reader", "GET", "/v1/secrets", "", "Authorization", "Bearer "+good); status != 200 || body != "{\"secrets\":[]}\n" {
		t.Fatalf("%d %s", status, body)
	}
	first := ""
	for name, token := range map[string]string{
		"forged":               r.token("reader", "at+jwt", foreign, nil),
		"expired":              r.token("reader", "at+jwt", nil, func(c *tokenClaims) { c.Expires = time.Now().Add(-time.Hour).Unix() }),
		"another audience":     r.token("reader", "at+jwt", nil, func(c *tokenClaims) { c.Audience = "other" }),
		"another issuer":       r.token("reader", "at+jwt", nil, func(c *tokenClaims) { c.Issuer = "https://other.example" }),
		"another certificate":  r.token("writer", "at+jwt", nil, nil),
		"another user":         r.token("reader", "at+jwt", nil, func(c *tokenClaims) { c.Subject = "writer" }),
		"nobody":               r.token("reader", "at+jwt", nil, func(c *tokenClaims) { c.Subject = "nobody" }),
		"bound to nothing":     r.token("reader", "at+jwt", nil, func(c *tokenClaims) { c.Confirmation.Certificate = "" }),
		"another type":         r.token("reader", "JWT", nil, nil),
		"a changed signature":  good[:len(good)-6] + "AAAAAA",
		"something else":       "abc",
		"with something after": good + ".x",
	} {
		status, header, body := r.ask("reader", "GET", "/v1/secrets", "", "Authorization", "Bearer "+token)
		answer := fmt.Sprint(status, header.Get("WWW-Authenticate"), header.Get("Content-Type"), body)
		if first == "" {
			first = answer
		}
		if status != 401 || answer != first || !strings.Contains(body, `"invalid_credential"`) {
			t.Errorf("%s: %s", name, answer)
		}
		if len(token) > 10 && strings.Contains(r.log.String(), token) {
			t.Errorf("%s: the log has the token", name)
		}
	}
	for _, c := range []struct {
		name, cert string
		headers    []string
		status     int
		code       string
	}{
		{"no certificate", "", []string{"Authorization", "Bearer " + good}, 403, "client_certificate_required"},
		{"no token", "reader", nil, 401, "not_authenticated"},
		{"two headers", "reader", []string{"Authorization", "Bearer " + good, "Authorization", "Bearer " + good}, 401, "invalid_credential"},
	} {
		status, header, body := r.ask(c.cert, "GET", "/v1/secrets", "", c.headers...)
		if status != c.status || !strings.Contains(body, `"`+c.code+`"`) {
			t.Errorf("%s: %d %s", c.name, status, body)
		}
		if c.code == "not_authenticated" && header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: %v", c.name, header)
		}
	}
	if status, _, _ := r.ask("reader", "GET", "/v1/secrets?access_token="+good, ""); status != 401 {
		t.Errorf("in the query: %d", status)
	}
}

func TestBodiesAreReadStrictly(t *testing.T) {
	r := start(t, t.TempDir(), "localhost:0")
	bearer := "Bearer " + r.token("writer", "at+jwt", nil, nil)
	for name, c := range map[string]struct {
		path, kind, body string
		status           int
	}{
		"good":           {"/v1/secrets/a", "application/json", `{"value":"x"}`, 201},
		"empty":          {"/v1/secrets/e", "application/json", `{"value":""}`, 201},
		"no value":       {"/v1/secrets/a", "application/json", `{}`, 400},
		"null":           {"/v1/secrets/a", "application/json", `{"value":null}`, 400},
		"another member": {"/v1/secrets/a", "application/json", `{"value":"x","other":1}`, 400},
		"two objects":    {"/v1/secrets/a", "application/json", `{"value":"x"}{}`, 400},
		"twice":          {"/v1/secrets/a", "application/json", `{"value":"x","value":"y"}`, 400},
		"another case":   {"/v1/secrets/a", "application/json", `{"VALUE":"x"}`, 400},
		"a number":       {"/v1/secrets/a", "application/json", `{"value":1}`, 400},
		"invalid UTF-8":  {"/v1/secrets/a", "application/json", "{\"value\":\"\xff\"}", 400},
		"another type":   {"/v1/secrets/a", "text/plain", `{"value":"x"}`, 415},
		"too large":      {"/v1/secrets/a", "application/json", `{"value":"` + strings.Repeat("x", maxValue+1) + `"}`, 413},
		"huge":           {"/v1/secrets/a", "application/json", `{"value":"` + strings.Repeat("x", maxBody) + `"}`, 413},
		"a bad name":     {"/v1/secrets/-a", "application/json", `{"value":"x"}`, 400},
		"no such path":   {"/v2/secrets/a", "application/json", `{"value":"x"}`, 404},
	} {
		status, header, body := r.ask("writer", "PUT", c.path, c.body, "Authorization", bearer, "Content-Type", c.kind)
		if status != c.status || status >= 400 && header.Get("Content-Type") != "application/problem+json" || strings.Contains(body, `"value"`) && status < 400 {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, _, body := r.ask("writer", "POST", "/v1/secrets/a", "{}", "Authorization", bearer); status != 405 || !strings.Contains(body, "bad_request") {
		t.Errorf("another method: %d %s", status, body)
	}
}

func TestValuesBelongToTheirNamesAndKeys(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	file, keys := filepath.Join(dir, "secrets.db"), filepath.Join(dir, "vault.key")
	open := func() *vault {
		t.Helper()
		v, err := openVault(ctx, file, keys)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { v.close() })
		return v
	}
	v := open()
	for _, tenant := range []string{"corp", "labs"} {
		if _, created, err := v.put(ctx, tenant, "a", "of "+tenant, time.Now()); err != nil || !created {
			t.Fatal(created, err)
		}
	}
	if s, err := v.get(ctx, "labs", "a"); err != nil || s.Value != "of labs" {
		t.Errorf("%+v, %v", s, err)
	}
	if err := v.remove(ctx, "acme", "a"); !errors.Is(err, errNoSecret) {
		t.Errorf("another tenant's was removed: %v", err)
	}
	// One value in the place of another is found out.
	if _, err := v.db.Exec(`UPDATE secrets SET value = (SELECT value FROM secrets WHERE tenant = 'corp') WHERE tenant = 'labs'`); err != nil {
		t.Fatal(err)
	}
	if s, err := v.get(ctx, "labs", "a"); err == nil {
		t.Errorf("it is %q", s.Value)
	}
	// A new key before the old one: what is there can be read, and what is written takes the new one.
	old, err := os.ReadFile(keys)
	if err != nil {
		t.Fatal(err)
	}
	fresh := append([]byte(hex.EncodeToString(bytes.Repeat([]byte{7}, 32))+"\n"), old...)
	if err := os.WriteFile(keys, fresh, 0o600); err != nil {
		t.Fatal(err)
	}
	w := open()
	if s, err := w.get(ctx, "corp", "a"); err != nil || s.Value != "of corp" {
		t.Errorf("%+v, %v", s, err)
	}
	if _, created, err := w.put(ctx, "corp", "a", "anew", time.Now()); err != nil || created {
		t.Errorf("created is %v, %v", created, err)
	}
	if _, err := v.get(ctx, "corp", "a"); err == nil {
		t.Error("the old key reads what the new one wrote")
	}
	for what, content := range map[string]string{"short": "abcd\n", "no hexadecimal": strings.Repeat("zz", 32), "empty": "\n"} {
		if err := os.WriteFile(keys, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openVault(ctx, file, keys); err == nil {
			t.Errorf("%s: opened", what)
		}
	}
	if err := os.WriteFile(keys, fresh, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(keys, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := openVault(ctx, file, keys); err == nil {
		t.Error("opened with a key that all can read")
	}
}

func TestTokensAreRenewedBeforeTheyEnd(t *testing.T) {
	data := t.TempDir()
	now := time.Now()
	certs := pki{dir: filepath.Join(data, "pki"), now: now}
	if err := certs.make("localhost", []string{"writer", "reader"}); err != nil {
		t.Fatal(err)
	}
	i, err := newIssuer(data)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(data, "tokens", "writer.jwt")
	at := func(now time.Time) string {
		t.Helper()
		if err := i.renew(certs, now); err != nil {
			t.Fatal(err)
		}
		token, err := readToken(file)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	first := at(now)
	if at(now.Add(tokenLife-renewTokensAt-time.Minute)) != first {
		t.Error("renewed too early")
	}
	second := at(now.Add(tokenLife - renewTokensAt))
	if second == first {
		t.Error("not renewed")
	}
	if err := os.Remove(filepath.Join(certs.dir, "writer.crt")); err != nil {
		t.Fatal(err)
	}
	if err := certs.make("localhost", []string{"writer", "reader"}); err != nil {
		t.Fatal(err)
	}
	if at(now.Add(tokenLife-renewTokensAt)) == second {
		t.Error("a token of the certificate before is kept")
	}
}

func TestOneServerForAFolder(t *testing.T) {
	r := start(t, t.TempDir(), "localhost:0")
	err := run(context.Background(), []string{"serve", "-addr", "localhost:0", "-data", r.data}, nil, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "uses the folder") {
		t.Errorf("a second server: %v", err)
	}
}

// The policy follows the address until somebody changes it.
func TestPolicyFollowsTheAddressUntilItIsEdited(t *testing.T) {
	data := t.TempDir()
	file := filepath.Join(data, "policy.yaml")
	start(t, data, "localhost:0").stop()
	r := start(t, data, "localhost:0") // another port
	r.wants("", "", "list")
	r.stop()
	mine, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	mine = append(mine, "# mine\n"...)
	if err := os.WriteFile(file, mine, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, data, "localhost:0").stop()
	if got, _ := os.ReadFile(file); !bytes.Equal(got, mine) {
		t.Errorf("it was changed:\n%s", got)
	}
}
