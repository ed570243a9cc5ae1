package oauth_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/internal/jose"
	"github.com/sallyport-auth/sallyport/factors/oauth"
)

// A provider may change its keys while somebody is signing in.
func TestKeysChangeDuringALogin(t *testing.T) {
	b := newBench(t, "")
	b.link(alice) // and the keys are known
	two := newSigner(t, "two")
	b.provider.rotate(two, b.provider.signer, two)
	if _, err := b.verify(b.come(acme, nil)); err != nil {
		t.Error(err)
	}
	if n := b.provider.called("/keys"); n != 2 {
		t.Errorf("fetched %d times", n)
	}
	same := newSigner(t, "two") // a restart, after which another key has the name
	b.provider.rotate(same, same)
	v := b.come(acme, nil)
	v.Now = now.Add(11 * time.Second)
	if _, err := b.verify(v); err != nil {
		t.Error(err)
	}
}

// However many tokens with unknown keys come, keys are fetched ahead of time once in ten seconds.
func TestUnknownKeysAreFetchedRarely(t *testing.T) {
	b := newBench(t, "")
	b.link(alice)
	stray := newSigner(t, "stray")
	b.provider.signer = stray
	forged := b.provider.sign("logout+jwt", logout(nil))
	try := func(at time.Time) {
		t.Helper()
		_, err := b.factor.Notice(t.Context(), factors.Notice{Now: at, Tenant: "acme", Form: map[string][]string{"logout_token": {forged}}})
		if why := rejection(t, err); why != oauth.ReasonKey {
			t.Error(why)
		}
	}
	for _, tt := range []struct {
		after time.Duration
		calls int
	}{{0, 2}, {0, 2}, {9 * time.Second, 2}, {10 * time.Second, 3}, {15 * time.Second, 3}, {20 * time.Second, 4}} {
		for range 5 {
			try(now.Add(tt.after))
		}
		if n := b.provider.called("/keys"); n != tt.calls {
			t.Errorf("after %v fetched %d times, want %d", tt.after, n, tt.calls)
		}
	}
}

// Many at once share one fetch, and none of them waits for another's context.
func TestFetchesAreShared(t *testing.T) {
	b := newBench(t, "")
	b.link(alice)
	two := newSigner(t, "two")
	b.provider.rotate(two, two)
	var all []factors.Verification
	for range 20 {
		all = append(all, b.come(acme, nil))
	}
	before := b.provider.called("/keys")
	var wait sync.WaitGroup
	for _, v := range all {
		wait.Go(func() {
			if _, err := b.verify(v); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if n := b.provider.called("/keys") - before; n != 1 {
		t.Errorf("20 logins fetched %d times", n)
	}
}

// A fetch that fails is not tried again at once by everybody, and what was known stays.
func TestAFetchThatFails(t *testing.T) {
	b := newBench(t, "")
	b.link(alice)
	b.provider.handle["/keys"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	known := b.provider.signer
	good := b.come(acme, nil)
	b.provider.signer = newSigner(t, "two")
	_, err := b.verify(b.come(acme, nil))
	broken(t, "a new key, and the keys cannot be had", err)
	b.provider.signer = known
	if _, err := b.verify(good); err != nil {
		t.Errorf("a known key: %v", err)
	}
	b.provider.signer = newSigner(t, "two")
	_, err = b.verify(b.come(acme, nil))
	if why := rejection(t, err); why != oauth.ReasonKey {
		t.Error(why)
	}
	if n := b.provider.called("/keys"); n != 2 {
		t.Errorf("fetched %d times", n)
	}
}

func TestKeysThatDoNotCount(t *testing.T) {
	b := newBench(t, "")
	one := b.provider.signer
	set := func(body string) {
		b.provider.handle["/keys"] = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(body))
		}
	}
	k, err := jose.NewKey(one.key.Public(), "one", "ES256")
	if err != nil {
		t.Fatal(err)
	}
	key, err := jose.FormatKey(k)
	if err != nil {
		t.Fatal(err)
	}
	enc := []byte(string(key[:len(key)-1]) + `,"key_ops":["encrypt"]}`)
	for name, body := range map[string]string{"none": `{"keys":[]}`, "for another use": `{"keys":[` + string(enc) + `]}`, "a secret": `{"keys":[{"kty":"oct","k":"AAAA","kid":"one"}]}`} {
		set(body)
		b.factor = newFactorOf(b)
		_, err := b.verify(b.come(acme, nil))
		if why := rejection(t, err); why != oauth.ReasonKey {
			t.Errorf("%s: %s", name, why)
		}
	}
	set(`{"keys":[{"kty":"EC","crv":"secp256k1","kid":"x"},` + string(key) + `,{"kty":"AKP","kid":"y"}]}`)
	b.factor = newFactorOf(b)
	b.link(alice)
	if _, err := b.verify(b.come(acme, nil)); err != nil {
		t.Errorf("beside keys of types that nobody knows: %v", err)
	}
	for name, body := range map[string]string{"no JSON": "x", "a list": "[]", "twice": `{"keys":[],"keys":[` + string(key) + `]}`} {
		set(body)
		b.factor = newFactorOf(b)
		_, err := b.verify(b.come(acme, nil))
		broken(t, name, err)
	}
}

// Where a token names no key, the provider must have exactly one that fits.
func TestTokensThatNameNoKey(t *testing.T) {
	b := newBench(t, "")
	b.provider.header = func(h *jose.Header) { h.Kid = "" }
	b.link(alice)
	b.provider.rotate(b.provider.signer, b.provider.signer, newSigner(t, "two"))
	b.factor = newFactorOf(b)
	_, err := b.verify(b.come(acme, nil))
	if why := rejection(t, err); why != oauth.ReasonKey {
		t.Error(why)
	}
}
