package jwt

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/factors"
)

// nonceOf is the nonce that comes with the rejection of a request.
func (b *bench) nonceOf(r factors.Request) string {
	b.t.Helper()
	_, err := b.factor.Verify(b.t.Context(), factors.Verification{Request: r})
	var rejected *factors.Rejection
	if !errors.As(err, &rejected) || rejected.Reason != ReasonProofNonce || rejected.Nonce == "" {
		b.t.Fatalf("no nonce: %v", err)
	}
	return rejected.Nonce
}

func TestProofsHoldANonceOfTheFactors(t *testing.T) {
	key := strings.Repeat("k", minKey)
	b := &bench{t: t, world: newWorld(), signer: newKey(t)}
	section, files := basic+"\ndpop_nonce: required\ndpop_nonce_key: nonces", map[string]string{"keys.json": keySet(t, named(t, b.signer, "k1")), "nonces": key + "\n"}
	b.load(section, files)
	holder := newKey(t)
	token := b.token(with(map[string]any{"cnf": map[string]any{"jkt": thumbprint(t, holder)}}))
	with := func(nonce any) factors.Request {
		return b.proven(token, holder, func(c map[string]any) { c["nonce"] = nonce })
	}
	nonce := b.nonceOf(b.proven(token, holder, nil))
	b.good("with it", with(nonce))
	b.good("and again, in another proof", with(nonce))
	for name, bad := range map[string]any{"empty": "", "a number": 5, "another": strings.Repeat("A", len(nonce)), "cut": nonce[:len(nonce)-1], "longer": nonce + "A",
		"another time": "B" + nonce[1:], "not what base64url is": "!" + nonce[1:]} {
		if got := b.nonceOf(with(bad)); got != nonce {
			t.Errorf("%s: another nonce in the same second", name)
		}
	}
	// Whoever has no good proof gets no nonce, and so has a try that is counted.
	b.refused("another key", b.proven(token, newKey(t), nil), ReasonProofKey)
	b.refused("no proof", func() factors.Request { r := with(nonce); r.Carried.Proof = ""; return r }(), ReasonProofMissing)
	// It is good for five minutes, on every instance, and for this factor.
	at := func(after time.Duration) factors.Request {
		r := b.proven(token, holder, func(c map[string]any) { c["nonce"], c["iat"] = nonce, now.Add(after).Unix() })
		r.Now = now.Add(after)
		return r
	}
	b.good("at its end", at(nonceLife))
	if got := b.nonceOf(at(nonceLife + time.Second)); got == nonce {
		t.Error("the old one was given again")
	}
	if got := b.nonceOf(at(-time.Minute)); got == nonce {
		t.Error("one from the future is good")
	}
	b.factor = b.instance()
	b.good("on another instance", with(nonce))
	files["nonces"] = strings.Repeat("j", minKey)
	b.load(section, files)
	if b.nonceOf(with(nonce)) == nonce {
		t.Error("another key makes the same nonce")
	}
	b.load(basic+"\ndpop_nonce: required", files)
	own := b.nonceOf(b.proven(token, holder, nil))
	b.good("of its own key", with(own))
	b.factor = b.instance()
	if b.nonceOf(with(own)) == own {
		t.Error("two processes without a key in common make the same nonce")
	}
}

func TestSettingsOfNoncesThatMakeNoSense(t *testing.T) {
	for section, says := range map[string]string{
		"dpop_nonce: yes_please":                      "required, or left out",
		"dpop_nonce_key: nonces":                      "without dpop_nonce",
		"dpop: off\ndpop_nonce: required":             "dpop: off",
		"dpop_nonce: required\ndpop_nonce_key: short": "32 to 4096 bytes",
		"dpop_nonce: required\ndpop_nonce_key: none":  "none",
	} {
		_, err := load(t, basic+"\n"+section, map[string]string{"keys.json": keySet(t, named(t, newKey(t), "k1")), "short": "x", "nonces": strings.Repeat("k", minKey)})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", section, err)
		}
	}
}

func TestFactorsOfOneKeyFileShareNoNonces(t *testing.T) {
	key := []byte(strings.Repeat("k", minKey))
	one, err := newNonces(&Settings{name: "one", nonce: true, nonceKey: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	other, err := newNonces(&Settings{name: "other", nonce: true, nonceKey: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !one.good(one.fresh(now), now, 0) || other.good(one.fresh(now), now, 0) {
		t.Error("a nonce of one factor is good for the other, or for neither")
	}
}
