package oauth

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
)

// keySet is the keys of a provider for one token, as go-oidc wants them. It remembers why it said no, because the library
// keeps the words of an error and not the error.
type keySet struct {
	provider *provider
	about    metadata
	token    jose.Token
	now      time.Time
	err      error
}

// VerifySignature implements oidc.KeySet for the one token, which was taken apart before.
func (k *keySet) VerifySignature(ctx context.Context, _ string) ([]byte, error) {
	if k.err = k.verify(ctx); k.err != nil {
		return nil, k.err
	}
	return k.token.Payload, nil
}

// verify tries the keys that are known, and once more where others have been published since (OpenID Connect Core section
// 10.1.1).
func (k *keySet) verify(ctx context.Context) error {
	fetch := k.provider.fetchKeys(k.about.Keys)
	set, seen, err := k.provider.keys.get(ctx, k.now, fetch)
	if err != nil {
		return err
	}
	refused := k.try(set)
	if refused == nil {
		return nil
	}
	set, is, err := k.provider.keys.newer(ctx, k.now, seen, fetch)
	if err != nil {
		return err
	}
	if !is {
		return refused
	}
	return k.try(set)
}

// try finds a key that signed the token. Where the token names none, the provider must have exactly one that fits.
func (k *keySet) try(set jose.Set) error {
	keys := set.For(k.token.Header)
	if len(keys) == 0 {
		return factors.Reject(ReasonKey, "")
	}
	if k.token.Header.Kid == "" && len(keys) > 1 {
		return factors.Reject(ReasonKey, "the token names no key, and the provider has several")
	}
	var err error
	for _, key := range keys {
		if err = jose.Verify(k.token, key, k.provider.client.allowed(k.about)); err == nil {
			return nil
		}
	}
	return rejected(err)
}

// rejected makes a rejection of what is wrong with a token.
func rejected(err error) error {
	var f *jose.Fault
	if !errors.As(err, &f) {
		return err
	}
	return factors.Reject(f.Reason, "")
}
