package live_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/sallyport-auth/sallyport/factors/mtls/mtlstest"
)

// client is a client made of the libraries alone, which shows what a provider says before anybody judges it.
type client struct {
	t        testing.TB
	ctx      context.Context
	provider *oidc.Provider
	config   oauth2.Config
}

// bare is the client portal of a provider.
func bare(t testing.TB, ca *mtlstest.CA, issuer, redirect string) client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}
	t.Cleanup(transport.CloseIdleConnections)
	ctx := oidc.ClientContext(t.Context(), &http.Client{Transport: transport})
	p, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		t.Fatal(err)
	}
	return client{t, ctx, p, oauth2.Config{ClientID: "portal", ClientSecret: secret, Endpoint: p.Endpoint(), RedirectURL: redirect, Scopes: []string{"openid"}}}
}

// signIn gives the tokens of a sign-in.
func (c client) signIn(walk walker) (accessToken, idToken string) {
	c.t.Helper()
	verifier := oauth2.GenerateVerifier()
	back := walk(c.config.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier), oidc.Nonce("nonce")))
	got, err := c.config.Exchange(c.ctx, back.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		c.t.Fatal(err)
	}
	idToken, _ = got.Extra("id_token").(string)
	return got.AccessToken, idToken
}

// verified is an ID token as go-oidc has it.
func (c client) verified(idToken string) *oidc.IDToken {
	c.t.Helper()
	got, err := c.provider.Verifier(&oidc.Config{ClientID: "portal"}).Verify(c.ctx, idToken)
	if err != nil {
		c.t.Fatal(err)
	}
	return got
}
