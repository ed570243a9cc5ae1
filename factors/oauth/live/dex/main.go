// Command dex runs the OpenID provider dex for tests: on loopback, over TLS, with everything in memory. It is a module of its
// own, so that dex is none of the requirements of what it tests.
//
// It reads one line of JSON, a config, from its input, prints READY with its issuer once that is open, and ends when its
// input does. Keys are made at each start.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/dexidp/dex/server"
	"github.com/dexidp/dex/server/authflow"
	"github.com/dexidp/dex/server/signer"
	"github.com/dexidp/dex/storage"
	"github.com/dexidp/dex/storage/memory"
	"golang.org/x/crypto/bcrypt"
)

// config is what the program is told.
type config struct {
	Cert, Key string // PEM, of the server
	Port      int    // zero: any free one
	Clients   []client
	Accounts  []account
	Password  string // of all accounts
}

type client struct {
	ID, Secret   string
	RedirectURIs []string
}

type account struct{ ID, Name, Email string }

func main() {
	log.SetFlags(0)
	if err := run(os.Stdin, os.Stdout); err != nil {
		log.Fatal("dex: ", err)
	}
}

func run(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("no configuration: %w", err)
	}
	var c config
	if err := json.Unmarshal(line, &c); err != nil {
		return fmt.Errorf("the configuration: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		cancel()
	}()
	return c.serve(ctx, out)
}

func (c config) serve(ctx context.Context, out io.Writer) error {
	pair, err := tls.X509KeyPair([]byte(c.Cert), []byte(c.Key))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", c.Port))
	if err != nil {
		return err
	}
	issuer := fmt.Sprintf("https://localhost:%d", l.Addr().(*net.TCPAddr).Port)
	handler, err := c.provider(ctx, issuer)
	if err != nil {
		return err
	}
	s := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}}
	go func() {
		<-ctx.Done()
		s.Close()
	}()
	fmt.Fprintln(out, "READY", issuer)
	if err := s.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// provider is dex with a page for passwords, and a page that asks for consent.
func (c config) provider(ctx context.Context, issuer string) (http.Handler, error) {
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	store, err := c.storage(logger)
	if err != nil {
		return nil, err
	}
	const day = 24 * time.Hour
	keys, err := (&signer.LocalConfig{KeysRotationPeriod: day.String()}).Open(ctx, store, day, time.Now, logger)
	if err != nil {
		return nil, err
	}
	return server.NewServer(ctx, server.Config{Issuer: issuer, Storage: store, Signer: keys, Logger: logger,
		PKCE: authflow.PKCEConfig{Enforce: true}})
}

func (c config) storage(logger *slog.Logger) (storage.Storage, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(c.Password), bcrypt.DefaultCost)
	if err != nil {
		return nil, err
	}
	var clients []storage.Client
	for _, in := range c.Clients {
		clients = append(clients, storage.Client{ID: in.ID, Secret: in.Secret, Name: in.ID, RedirectURIs: in.RedirectURIs})
	}
	var passwords []storage.Password
	for _, in := range c.Accounts {
		passwords = append(passwords, storage.Password{Email: in.Email, Hash: hash, Username: in.Name, UserID: in.ID})
	}
	s := storage.WithStaticClients(memory.New(logger), clients)
	s = storage.WithStaticPasswords(s, passwords, logger)
	return storage.WithStaticConnectors(s, []storage.Connector{{ID: "local", Type: "local", Name: "Email"}}), nil
}
